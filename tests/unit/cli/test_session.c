/*
 * A command from the tool's side: with the agent's own engine at the other end, and with people who misbehave.
 */
#include "cli/session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/link.h"
#include "tests/unit/guest/engine.h"
#include "tests/unit/run.h"

static struct engine engine;
static char path[80]; /* of the monitor's socket, so to speak */
static pid_t relay_pid;

static int listen_here(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        ck_assert_int_eq(listen(fd, 8), 0);
        return fd;
}

static void copy(int from, int to)
{
        char bytes[65536];
        ssize_t n = recv(from, bytes, sizeof(bytes), 0);

        if (n <= 0)
                _exit(0);
        for (ssize_t at = 0; at < n;) {
                ssize_t sent = send(to, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);

                if (sent < 0)
                        _exit(0);
                at += sent;
        }
}

/* CONNECT and OK, then bytes both ways; as the vsock device does it. */
static void relay(int client)
{
        char c = 0;

        while (c != '\n' && recv(client, &c, 1, 0) == 1)
                continue;

        int agent = engine_connect(&engine);

        if (send(client, "OK 7\n", 5, 0) != 5)
                _exit(1);
        for (;;) {
                struct pollfd fds[] = { { client, POLLIN, 0 }, { agent, POLLIN, 0 } };

                poll(fds, 2, -1);
                if (fds[0].revents)
                        copy(client, agent);
                if (fds[1].revents)
                        copy(agent, client);
        }
}

/* One who listens at @path, in a process of its own, and does @serve with each client. */
static void start_peer(void (*serve)(int client))
{
        int fd = listen_here();

        relay_pid = fork();
        if (relay_pid) {
                close(fd);
                return;
        }
        signal(SIGCHLD, SIG_IGN);
        for (;;) {
                int client = accept(fd, NULL, NULL);

                if (!fork()) {
                        close(fd);
                        serve(client);
                        _exit(0);
                }
                close(client);
        }
}

static void begin(void)
{
        engine_start(&engine, NULL);
        snprintf(path, sizeof(path), "%s.vsock", engine.path);
        start_peer(relay);
}

static void end(void)
{
        kill(relay_pid, SIGKILL);
        waitpid(relay_pid, NULL, 0);
        unlink(path);
        engine_stop(&engine);
}

struct outcome {
        int r, status;
        struct problem problem;
        char out[4096], err[4096];
};

static void read_back(int fd, char *to, size_t size)
{
        ssize_t n = pread(fd, to, size - 1, 0);

        to[n > 0 ? n : 0] = 0;
}

static void run(struct session_config *job, struct outcome *o)
{
        FILE *out = tmpfile(), *err = tmpfile();
        struct session_result result = { 0 };

        *o = (struct outcome){ .status = -1 };
        if (!job->socket)
                job->socket = path;
        if (!job->answer_ms)
                job->answer_ms = 5000;
        job->out = fileno(out);
        job->err = fileno(err);
        o->status = session_run(job, &result, &o->problem);
        o->r = o->status < 0 ? -1 : 0;
        read_back(job->out, o->out, sizeof(o->out));
        read_back(job->err, o->err, sizeof(o->err));
        fclose(out);
        fclose(err);
}

static struct session_config job_of(const char *const *args)
{
        return (struct session_config){ .in = -1, .exec.args = args };
}

START_TEST(test_commands)
{
        const char *args[] = { "sh", "-c", "echo out; echo err >&2; exit 3", NULL };
        const char *killed[] = { "sh", "-c", "kill -15 $$", NULL }, *none[] = { "no-such", NULL };
        const char *not_one[] = { "/etc/passwd", NULL };
        struct session_config job = job_of(args);
        struct outcome o;

        begin();
        run(&job, &o);
        ck_assert_int_eq(o.r, 0);
        ck_assert_int_eq(o.status, 3);
        ck_assert_str_eq(o.out, "out\n");
        ck_assert_str_eq(o.err, "err\n");
        job.exec.args = killed;
        run(&job, &o);
        ck_assert_int_eq(o.status, 128 + SIGTERM);
        job.exec.args = none;
        run(&job, &o);
        ck_assert_int_eq(o.problem.status, LINK_NOT_FOUND);
        job.exec.args = not_one;
        run(&job, &o);
        ck_assert_int_eq(o.problem.status, LINK_NOT_EXECUTABLE);
        end();
}
END_TEST

START_TEST(test_stdin)
{
        const char *args[] = { "wc", "-c", NULL }, *head[] = { "head", "-c", "5", NULL };
        struct session_config job = job_of(args);
        FILE *in = tmpfile();
        struct outcome o;

        ck_assert_int_eq(ftruncate(fileno(in), 5000000), 0);
        begin();
        job.in = fileno(in);
        job.interactive = true;
        run(&job, &o);
        ck_assert_str_eq(o.out, "5000000\n");
        rewind(in);
        lseek(fileno(in), 0, SEEK_SET);
        job.exec.args = head; /* it ends in the middle of its input */
        run(&job, &o);
        ck_assert_int_eq(o.status, 0);
        ck_assert_mem_eq(o.out, "\0\0\0\0\0", 5);
        fclose(in);
        end();
}
END_TEST

START_TEST(test_time_limit)
{
        const char *args[] = { "sh", "-c", "echo begun; sleep 1000", NULL };
        struct session_config job = job_of(args);
        struct outcome o;

        begin();
        job.timeout_ms = 300;
        run(&job, &o);
        ck_assert_int_eq(o.r, -1);
        ck_assert_int_eq(o.problem.status, 124);
        ck_assert_str_eq(o.out, "begun\n");
        end();
}
END_TEST

START_TEST(test_no_socket)
{
        const char *args[] = { "true", NULL };
        static const struct {
                const char *socket, *expect;
        } rows[] = {
                { "/no/such/socket", "no such socket" },
                { "/etc/passwd", "not a socket" },
                { "/etc", "not a socket" },
                { "", "at least one character" },
        };
        char longest[200];
        struct outcome o;

        for (size_t i = 0; i < array_size(rows); i++) {
                struct session_config job = job_of(args);

                job.socket = rows[i].socket;
                run(&job, &o);
                ck_assert_int_eq(o.r, -1);
                ck_assert_int_eq(o.problem.status, LINK_FAILED);
                ck_assert_msg(strstr(o.problem.text, rows[i].expect), "%s: %s", rows[i].socket,
                              o.problem.text);
        }
        memset(longest, 'x', sizeof(longest));
        for (size_t n = 107; n <= 108; n++) { /* what an address holds, and one more */
                struct session_config job = job_of(args);

                longest[n] = 0;
                job.socket = longest;
                run(&job, &o);
                ck_assert_ptr_nonnull(strstr(o.problem.text, n == 107 ? "no such socket" : "too long"));
                longest[n] = 'x';
        }
}
END_TEST

static void hang_up(int client)
{
        (void)client;
}

static void say_nothing(int client)
{
        (void)client;
        pause();
}

static void speak_http(int client)
{
        (void)!write(client, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
        pause();
}

static void welcome_and_die(int client)
{
        const struct protocol_welcome w = { .version = 1, .release = "", .message = "" };
        uint8_t frame[PROTOCOL_SMALL_MAX];
        size_t len = protocol_put_welcome(frame, &w);

        (void)!write(client, "OK 1\n", 5);
        (void)!write(client, frame, len);
        usleep(50000);
}

static void ok_and_die(int client)
{
        (void)!write(client, "OK 1\n", 5);
}

static void act_on_the_terminal(int client)
{
        uint8_t frame[PROTOCOL_SMALL_MAX];
        size_t len = protocol_put_error(frame, 1, PROTOCOL_FAULT_NO_USER, 0, "\033[2J\rgone");

        (void)!write(client, "OK 1\n", 5);
        (void)!write(client, frame, len);
        pause();
}

START_TEST(test_odd_peers)
{
        const char *args[] = { "true", NULL };
        static const struct {
                void (*serve)(int client);
                const char *expect;
        } rows[] = {
                { hang_up, "does not answer within 0 s" },
                { say_nothing, "does not answer within 0 s" },
                { speak_http, "does not answer as the vsock socket" },
                { welcome_and_die, "the connection has ended" },
                { ok_and_die, "closed before the agent answered" },
                { act_on_the_terminal, "?[2J?gone" },
        };
        struct outcome o;

        for (size_t i = 0; i < array_size(rows); i++) {
                struct session_config job = job_of(args);

                snprintf(path, sizeof(path), "/tmp/vmlet-test-peer-%d", getpid());
                start_peer(rows[i].serve);
                job.answer_ms = 400;
                run(&job, &o);
                kill(relay_pid, SIGKILL);
                waitpid(relay_pid, NULL, 0);
                ck_assert_int_eq(o.r, -1);
                ck_assert_int_eq(o.problem.status, LINK_FAILED);
                ck_assert_msg(strstr(o.problem.text, rows[i].expect), "%zu: %s", i, o.problem.text);

                job.socket = NULL; /* whoever listened is dead, its socket is left */
                run(&job, &o);
                ck_assert_msg(strstr(o.problem.text, "nobody listens"), "%zu: %s", i, o.problem.text);
                unlink(path);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_commands, test_stdin, test_time_limit, test_no_socket,
                                       test_odd_peers };

        return run_tests("session", tests, array_size(tests));
}
