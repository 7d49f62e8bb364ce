/*
 * Execs in the agent's engine: readers that come and go, terminals, limits, logs, and requests in the wrong
 * state. There are no control groups here: what needs them is tested in real guests.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "guest/exec.h"
#include "guest/server.h"
#include "tests/unit/guest/client.h"
#include "tests/unit/run.h"

static void send_frame(enum protocol_type type, uint32_t id, const void *payload, uint32_t len)
{
        struct protocol_frame frame = { .type = type, .id = id, .len = len };
        uint8_t head[PROTOCOL_HEADER_SIZE];

        protocol_put_header(head, &frame);
        send_all(head, sizeof(head));
        if (len)
                send_all(payload, len);
}

static void send_numbers(enum protocol_type type, uint32_t id, const uint32_t *numbers, uint32_t n)
{
        send_frame(type, id, numbers, n * 4);
}

static void expect_error(uint32_t id, uint32_t code)
{
        expect_frame(PROTOCOL_ERROR, id);
        ck_assert_int_eq(protocol_parse_error(c.bytes, c.frame.len, &c.error), 0);
        ck_assert_msg(c.error.code == code, "error %u: %.*s", c.error.code, (int)c.error.text_len,
                      c.error.text);
}

static uint32_t expect_started(uint32_t id)
{
        expect_frame(PROTOCOL_STARTED, id);
        ck_assert_int_eq(protocol_parse_started(c.bytes, c.frame.len, &c.started), 0);
        ck_assert_uint_gt(c.started.proc, 0);
        return c.started.proc;
}

/* Starts @script detached on a connection that goes away at once. Return: its number. */
static uint32_t detach(const char *script, uint32_t flags)
{
        uint32_t number;
        int before = c.fd;

        open_client();
        send_exec(1, flags | PROTOCOL_EXEC_DETACH, NULL, script);
        number = expect_started(1);
        close(c.fd);
        c.fd = before;
        return number;
}

static void attach(uint32_t id, uint32_t number, uint32_t flags)
{
        send_numbers(PROTOCOL_ATTACH, id, (uint32_t[]){ number, flags }, 2);
}

static uint32_t ping(void)
{
        uint32_t n = ~0u;

        send_frame(PROTOCOL_PING, 99, NULL, 0);
        expect_frame(PROTOCOL_DONE, 99);
        ck_assert_int_eq(protocol_parse_u32(c.bytes, c.frame.len, ~0u, &n), 0);
        return n;
}

/* Numbers of the execs that are listed. Return: how many. */
static unsigned list(struct protocol_process *ret, unsigned max)
{
        unsigned n = 0;

        send_numbers(PROTOCOL_PROCESSES, 98, (uint32_t[]){ PROTOCOL_LIST_EXECS }, 1);
        for (;;) {
                size_t size;

                ck_assert(next_frame());
                if (c.frame.type == PROTOCOL_DONE)
                        return n;
                ck_assert_int_eq(c.frame.type, PROTOCOL_PROCESS);
                for (size_t at = 0; at < c.frame.len; at += size) {
                        ck_assert_uint_lt(n, max);
                        ck_assert_int_eq(
                                protocol_parse_process(c.bytes + at, c.frame.len - at, &ret[n], &size), 0);
                        n++;
                }
        }
}

START_TEST(test_detach_and_attach)
{
        struct protocol_process listed[4];
        uint32_t number;
        int first;

        begin();
        number = detach("echo one; read x; echo \"<$x>\"; exit 5", PROTOCOL_EXEC_STDIN);
        ck_assert_uint_eq(ping(), 1);
        ck_assert_uint_eq(list(listed, 4), 1);
        ck_assert_uint_eq(listed[0].proc, number);
        ck_assert_uint_eq(listed[0].flags, PROTOCOL_PROCESS_DETACHED | PROTOCOL_PROCESS_STDIN);
        ck_assert_ptr_nonnull(strstr(listed[0].command, "sh -c echo one; read x;"));
        ck_assert_uint_gt(listed[0].started_ns, 1600000000ull * 1000000000);

        usleep(100000);
        attach(2, number, PROTOCOL_ATTACH_STDIN | PROTOCOL_ATTACH_REPLAY);
        ck_assert_uint_eq(expect_started(2), number);
        expect_frame(PROTOCOL_STDOUT, 2);
        ck_assert_mem_eq(c.bytes, "one\n", 4);
        attach(3, number, 0);
        expect_error(3, PROTOCOL_FAULT_BUSY);
        first = c.fd;
        open_client(); /* a second reader takes the input; what came before it does not hear */
        attach(4, number, PROTOCOL_ATTACH_STDIN);
        expect_started(4);
        send_stdin(4, "two\n", 4, true);
        finish(4);
        ck_assert_str_eq(c.out, "<two>\n");
        ck_assert_uint_eq(c.exit.value, 5);
        close(c.fd);
        c.fd = first;
        send_stdin(2, "late\n", 5, true); /* crossed the EXIT, or goes nowhere */
        finish(2);
        ck_assert_str_eq(c.out, "<two>\n");
        attach(5, number, 0);
        expect_error(5, PROTOCOL_FAULT_NO_PROCESS);
        ck_assert_uint_eq(ping(), 0);
        ck_assert_uint_eq(list(listed, 4), 0);
        end();
}
END_TEST

/* The end that the last owner of the input said, and the command has not seen, is not the next one's. */
START_TEST(test_input_taken_over)
{
        static const char much[CONN_STDIN_WINDOW];
        uint32_t number;
        int last;

        begin();
        last = c.fd;
        send_exec(1, PROTOCOL_EXEC_DETACH | PROTOCOL_EXEC_STDIN, NULL,
                  "trap go=1 USR1; echo up; while [ -z $go ]; do sleep 0.05; done; tail -c 4");
        number = expect_started(1);
        expect_frame(PROTOCOL_STDOUT, 1);
        send_stdin(1, much, PROTOCOL_DATA_MAX, false); /* the pipe is full */
        while (next_frame() && c.frame.type != PROTOCOL_WINDOW)
                continue;
        send_stdin(1, much, 4096, true);
        send_frame(PROTOCOL_PING, 2, NULL, 0);
        expect_frame(PROTOCOL_DONE, 2);
        open_client();
        attach(3, number, PROTOCOL_ATTACH_STDIN);
        expect_started(3);
        send_numbers(PROTOCOL_SIGNAL, 4, (uint32_t[]){ 0, SIGUSR1, PROTOCOL_SCOPE_PROCESS, 0 }, 4);
        expect_frame(PROTOCOL_DONE, 4);
        send_stdin(3, "two\n", 4, true);
        do
                ck_assert(next_frame());
        while (c.frame.type == PROTOCOL_WINDOW);
        ck_assert_int_eq(c.frame.type, PROTOCOL_STDOUT);
        ck_assert_mem_eq(c.bytes, "two\n", 4);
        finish(3);
        close(last);
        end();
}
END_TEST

START_TEST(test_kept)
{
        struct protocol_process listed[EXEC_KEPT_MAX + 1];
        uint32_t numbers[EXEC_KEPT_MAX + 4];
        int fds;

        begin();
        run("true");
        fds = engine_fds(&engine);
        for (uint32_t i = 0; i < array_size(numbers); i++) {
                char script[64];

                snprintf(script, sizeof(script), "sleep 0.05; echo %u; exit %u", i, i);
                numbers[i] = detach(script, 0);
                attach(1, numbers[i], PROTOCOL_ATTACH_QUIET);
                finish(1);
                ck_assert_str_eq(c.out, "");
                ck_assert_uint_eq(c.exit.value, i);
        }
        ck_assert_uint_eq(list(listed, array_size(listed)), EXEC_KEPT_MAX);
        attach(2, numbers[3], 0);
        expect_error(2, PROTOCOL_FAULT_NO_PROCESS);
        for (uint32_t i = 4; i < array_size(numbers); i++) {
                attach(3, numbers[i], PROTOCOL_ATTACH_REPLAY);
                finish(3);
                ck_assert_int_eq(atoi(c.out), (int)i);
                ck_assert_uint_eq(c.started.flags, PROTOCOL_PROCESS_DETACHED | PROTOCOL_PROCESS_ENDED);
        }
        ck_assert_uint_eq(list(listed, array_size(listed)), 0);
        ck_assert_int_eq(engine_fds(&engine), fds);
        end();
}
END_TEST

/* Counts what comes up to the EXIT. */
static uint64_t count(uint32_t id)
{
        uint64_t n = 0;

        c.lost = 0;
        for (;;) {
                uint64_t lost;

                ck_assert(next_frame());
                ck_assert_uint_eq(c.frame.id, id);
                if (c.frame.type == PROTOCOL_EXIT)
                        return n;
                if (c.frame.type == PROTOCOL_STDOUT)
                        n += c.frame.len;
                if (c.frame.type != PROTOCOL_LOST)
                        continue;
                ck_assert_int_eq(protocol_parse_u64(c.bytes, c.frame.len, &lost), 0);
                c.lost += lost;
        }
}

START_TEST(test_readers)
{
        const uint64_t size = 6000000;
        uint32_t number;
        int slow, lossy;

        begin();
        number = detach("read x; head -c 6000000 /dev/zero; exit 3", PROTOCOL_EXEC_STDIN);
        attach(1, number, 0);
        expect_started(1);
        slow = c.fd;
        open_client();
        attach(2, number, PROTOCOL_ATTACH_LOSSY);
        expect_started(2);
        lossy = c.fd;
        open_client();
        attach(3, number, PROTOCOL_ATTACH_STDIN | PROTOCOL_ATTACH_QUIET);
        expect_started(3);
        send_stdin(3, "\n", 1, true);
        usleep(200000);
        ck_assert_uint_eq(ping(), 1); /* held up by the slow one */
        ck_assert_int_lt(engine_memory_kib(&engine), 2048);

        int quiet = c.fd;

        c.fd = slow;
        ck_assert_uint_eq(count(1), size);
        ck_assert_uint_eq(c.lost, 0);
        c.fd = lossy;
        ck_assert_uint_eq(count(2) + c.lost, size);
        ck_assert_uint_gt(c.lost, 0);
        close(lossy);
        c.fd = quiet;
        ck_assert_uint_eq(count(3), 0);
        close(slow);
        end();
}
END_TEST

/* The last reader of a command that is held up goes away: it goes on. */
START_TEST(test_reader_disappears)
{
        uint32_t number;
        int reader;

        begin();
        number = detach("read x; head -c 3000000 /dev/zero; exit 3", PROTOCOL_EXEC_STDIN);
        reader = c.fd;
        attach(1, number, PROTOCOL_ATTACH_STDIN);
        expect_started(1);
        send_stdin(1, "\n", 1, true);
        usleep(200000);
        open_client();
        ck_assert_uint_eq(ping(), 1);
        close(reader);
        attach(2, number, PROTOCOL_ATTACH_QUIET);
        expect_started(2);
        finish(2);
        ck_assert_uint_eq(c.exit.value, 3);
        attach(3, number, PROTOCOL_ATTACH_REPLAY);
        expect_started(3);
        ck_assert_uint_gt(count(3), RING_KEEPS - RING_CHUNK);
        end();
}
END_TEST

START_TEST(test_too_many_readers)
{
        int fds[EXEC_READERS_MAX];
        uint32_t number;

        begin();
        number = detach("sleep 1000", 0);
        int first = c.fd;

        for (unsigned i = 0; i < EXEC_READERS_MAX; i++) {
                open_client();
                fds[i] = c.fd;
                attach(1, number, 0);
                expect_started(1);
        }
        c.fd = first;
        attach(1, number, 0);
        expect_error(1, PROTOCOL_FAULT_RESOURCES);
        send_numbers(PROTOCOL_SIGNAL, 2, (uint32_t[]){ number, SIGKILL, PROTOCOL_SCOPE_ALL, 0 }, 4);
        expect_frame(PROTOCOL_DONE, 2);
        for (unsigned i = 0; i < EXEC_READERS_MAX; i++) {
                c.fd = fds[i];
                finish(1);
                ck_assert_uint_eq(c.exit.value, SIGKILL);
                close(c.fd);
        }
        c.fd = first;
        end();
}
END_TEST

START_TEST(test_terminal)
{
        const char *args[] = { "sh", "-c", "tty; stty size; read x; echo \"<$x>\"; cat; exit 4", NULL };
        struct protocol_exec_request req = { .args = args, .has_tty = true, .rows = 25, .cols = 132 };

        begin();
        int fds = engine_fds(&engine);

        send_exec(1, PROTOCOL_EXEC_STDIN, &req, NULL);
        send_stdin(1, "one\nin the middle", 17, true); /* its end is typed twice */
        finish(1);
        ck_assert_msg(!c.failed, "%.*s", (int)c.error.text_len, c.error.text);
        ck_assert_uint_eq(c.exit.value, 4);
        ck_assert_ptr_nonnull(strstr(c.out, "/dev/pts/"));
        ck_assert_ptr_nonnull(strstr(c.out, "25 132\r\n"));
        ck_assert_ptr_nonnull(strstr(c.out, "<one>\r\n"));
        ck_assert_ptr_nonnull(strstr(strstr(c.out, "in the middle") + 1, "in the middle"));

        /* Its foreground gets signals, and learns of its size. */
        args[2] = "trap 'stty size </dev/tty; exit 6' WINCH; echo up; while :; do sleep 0.05; done";
        send_exec(2, PROTOCOL_EXEC_TELL, &req, NULL);
        ck_assert_uint_eq(c.frame.id, 1);
        expect_started(2);
        ck_assert_uint_eq(c.started.flags, PROTOCOL_PROCESS_TTY);
        expect_frame(PROTOCOL_STDOUT, 2);
        send_numbers(PROTOCOL_RESIZE, 3, (uint32_t[]){ 0, 40u | 50u << 16 }, 2);
        expect_frame(PROTOCOL_DONE, 3);
        finish(2);
        ck_assert_str_eq(c.out, "40 50\r\n");
        ck_assert_uint_eq(c.exit.value, 6);
        args[2] = "trap - INT; echo up; exec cat";
        send_exec(4, PROTOCOL_EXEC_STDIN, &req, NULL);
        expect_frame(PROTOCOL_STDOUT, 4);
        send_stdin(4, "\003", 1, false);
        finish(4);
        ck_assert_uint_eq(c.exit.kind, PROTOCOL_SIGNALLED);
        ck_assert_uint_eq(c.exit.value, SIGINT);
        ck_assert_int_le(engine_fds(&engine), fds + 1);
        end();
}
END_TEST

START_TEST(test_limits_and_time)
{
        const struct protocol_rlimit limits[] = { { RLIMIT_NOFILE, 50, 60 }, { RLIMIT_CORE, 0, 0 } };
        const char *args[] = { "sh", "-c", "ulimit -n; ulimit -Hn; ulimit -c", NULL };
        struct protocol_exec_request req = { .args = args, .rlimits = limits, .nr_rlimits = 2 };
        const struct protocol_rlimit refused = { RLIMIT_NOFILE, 1ull << 40, 1ull << 40 };

        begin();
        send_exec(1, 0, &req, NULL);
        finish(1);
        ck_assert_str_eq(c.out, "50\n60\n0\n");
        req.rlimits = &refused;
        req.nr_rlimits = 1;
        send_exec(2, 0, &req, NULL);
        expect_error(2, PROTOCOL_FAULT_SYSTEM);
        ck_assert_uint_eq(c.error.host_errno, EPERM);

        req = (struct protocol_exec_request){ .timeout_ms = 300 };
        send_exec(3, 0, &req, "echo up; trap '' TERM; sleep 1000 & wait; sleep 1000");
        finish(3);
        ck_assert_str_eq(c.out, "up\n");
        ck_assert_uint_eq(c.exit.flags, PROTOCOL_EXIT_TIMED_OUT);
        ck_assert_uint_eq(c.exit.value, SIGKILL);
        ck_assert_uint_ge(c.exit.elapsed_us, 299000);
        ck_assert_uint_lt(c.exit.elapsed_us, 20000000);
        req.timeout_ms = ~0u;
        send_exec(4, 0, &req, "exit 1");
        finish(4);
        ck_assert_uint_eq(c.exit.flags, 0);
        end();
}
END_TEST

START_TEST(test_signals)
{
        uint32_t number;

        begin();
        number = detach("trap 'echo usr' USR1; echo up; while :; do sleep 0.05; done", 0);
        attach(1, number, PROTOCOL_ATTACH_REPLAY);
        expect_started(1);
        expect_frame(PROTOCOL_STDOUT, 1);
        for (uint32_t i = 0; i < 2; i++) {
                int reader = c.fd;

                if (i)
                        open_client();
                send_numbers(PROTOCOL_SIGNAL, 5,
                             (uint32_t[]){ i ? number : 0, SIGUSR1, PROTOCOL_SCOPE_PROCESS, 0 }, 4);
                expect_frame(PROTOCOL_DONE, 5);
                if (i)
                        close(c.fd);
                c.fd = reader;
                expect_frame(PROTOCOL_STDOUT, 1);
                ck_assert_mem_eq(c.bytes, "usr\n", 4);
        }
        send_numbers(PROTOCOL_RESIZE, 6, (uint32_t[]){ 0, 0 }, 2);
        expect_error(6, PROTOCOL_FAULT_NO_PROCESS); /* it has no terminal */
        send_numbers(PROTOCOL_SIGNAL, 7, (uint32_t[]){ number, SIGTERM, PROTOCOL_SCOPE_GROUP, 0 }, 4);
        expect_frame(PROTOCOL_DONE, 7);
        finish(1);
        ck_assert_uint_eq(c.exit.value, SIGTERM);
        send_numbers(PROTOCOL_SIGNAL, 8, (uint32_t[]){ number, SIGTERM, 0, 0 }, 4);
        expect_error(8, PROTOCOL_FAULT_NO_PROCESS);
        send_numbers(PROTOCOL_SIGNAL, 9, (uint32_t[]){ 0, SIGTERM, 0, 0 }, 4);
        expect_error(9, PROTOCOL_FAULT_NO_PROCESS);
        end();
}
END_TEST

START_TEST(test_wrong_state)
{
        static const struct {
                const char *what;
                enum protocol_type type;
                uint32_t numbers[4], n, code;
        } rows[] = {
                { "attach to none", PROTOCOL_ATTACH, { 77, 0 }, 2, PROTOCOL_FAULT_NO_PROCESS },
                { "attach to 0", PROTOCOL_ATTACH, { 0, 0 }, 2, PROTOCOL_FAULT_MALFORMED },
                { "signal to all ones", PROTOCOL_SIGNAL, { ~0u, 9, 0, 0 }, 4, PROTOCOL_FAULT_NO_PROCESS },
                { "size of none", PROTOCOL_RESIZE, { 0, 0 }, 2, PROTOCOL_FAULT_NO_PROCESS },
                { "attach, unknown flag", PROTOCOL_ATTACH, { 1, 16 }, 2, PROTOCOL_FAULT_MALFORMED },
                { "signal 0", PROTOCOL_SIGNAL, { 0, 0, 0, 0 }, 4, PROTOCOL_FAULT_MALFORMED },
                { "signal 65", PROTOCOL_SIGNAL, { 0, 65, 0, 0 }, 4, PROTOCOL_FAULT_MALFORMED },
                { "scope 3", PROTOCOL_SIGNAL, { 0, 9, 3, 0 }, 4, PROTOCOL_FAULT_MALFORMED },
                { "list 2", PROTOCOL_PROCESSES, { 2 }, 1, PROTOCOL_FAULT_MALFORMED },
        };

        begin();
        int witness = c.fd;

        for (size_t i = 0; i < array_size(rows); i++) {
                bool ends = rows[i].code == PROTOCOL_FAULT_MALFORMED;

                open_client();
                send_numbers(rows[i].type, 3, rows[i].numbers, rows[i].n);
                if (ends)
                        expect_refusal(rows[i].code);
                else
                        expect_error(3, rows[i].code);
                close(c.fd);
        }
        open_client(); /* input from who did not ask for it */
        attach(1, detach("sleep 1000", PROTOCOL_EXEC_STDIN), 0);
        expect_started(1);
        send_stdin(1, "x", 1, false);
        expect_refusal(PROTOCOL_FAULT_MALFORMED);
        close(c.fd);
        c.fd = witness;
        ck_assert_uint_eq(ping(), 1);
        end();
}
END_TEST

/* Clients that leave in every state: nothing of theirs stays but what is detached. */
START_TEST(test_disappear)
{
        const char *args[] = { "sh", "-c", "echo x; yes", NULL };
        struct protocol_exec_request tty = { .args = args, .has_tty = true };
        int fds, first;

        begin();
        run("true");
        first = c.fd;
        fds = engine_fds(&engine);
        for (uint32_t flags = 0; flags < 64; flags++) {
                if (flags & (PROTOCOL_EXEC_DETACH | PROTOCOL_EXEC_MAIN))
                        continue;
                open_client();
                send_exec(1, flags, flags % 8 ? &tty : NULL, flags % 8 ? NULL : args[2]);
                if (flags & PROTOCOL_EXEC_STDIN)
                        send_stdin(1, args[2], 5, flags & PROTOCOL_EXEC_TELL);
                if (flags & PROTOCOL_EXEC_KEEP)
                        ck_assert(next_frame());
                close(c.fd);
        }
        c.fd = first;
        for (int i = 0; i < 200 && ping(); i++)
                usleep(20000);
        ck_assert_uint_eq(ping(), 0);
        ck_assert_int_eq(engine_fds(&engine), fds);
        end();
}
END_TEST

START_TEST(test_log)
{
        int first, listener, log;

        begin();
        send_exec(1, PROTOCOL_EXEC_LOG, NULL, "echo alone");
        finish(1);
        ck_assert_str_eq(c.out, "alone\n"); /* nobody listens: nobody misses it */
        first = c.fd;
        listener = engine_listen_log(&engine);
        send_exec(2, PROTOCOL_EXEC_LOG | PROTOCOL_EXEC_TELL, NULL,
                  "echo out; sleep 0.1; echo err >&2; exit 9");
        uint32_t number = expect_started(2);

        log = accept(listener, NULL, NULL);
        finish(2);
        ck_assert_str_eq(c.out, "out\n");
        c.fd = log;
        finish(number);
        ck_assert_str_eq(c.out, "out\n");
        ck_assert_str_eq(c.err, "err\n");
        ck_assert_uint_eq(c.exit.value, 9);
        ck_assert(!next_frame());
        close(log);

        c.fd = first; /* one that goes away */
        send_exec(3, PROTOCOL_EXEC_LOG | PROTOCOL_EXEC_STDIN, NULL, "read x; head -c 2000000 /dev/zero");
        close(accept(listener, NULL, NULL));
        send_stdin(3, "\n", 1, true);
        ck_assert_uint_eq(count(3), 2000000);
        close(listener);
        end();
}
END_TEST

START_TEST(test_main)
{
        int status, witness;

        begin();
        witness = c.fd;
        send_exec(1, 0, NULL, "trap 'exit 8' TERM; echo up; while :; do sleep 0.01; done");
        expect_frame(PROTOCOL_STDOUT, 1);
        open_client();
        send_exec(1, PROTOCOL_EXEC_MAIN, NULL, "head -c 500000 /dev/zero; exit 7");
        ck_assert_uint_eq(count(1), 500000);
        ck_assert_int_eq(protocol_parse_exit(c.bytes, c.frame.len, &c.exit), 0);
        ck_assert_uint_eq(c.exit.value, 7);
        close(c.fd);
        c.fd = witness;
        finish(1);
        ck_assert_uint_eq(c.exit.value, 8);
        close(c.fd);
        status = engine_wait(&engine);
        ck_assert_int_eq(WEXITSTATUS(status), 40);
}
END_TEST

START_TEST(test_many_detached)
{
        struct protocol_process listed[EXECS_MAX];
        uint32_t numbers[EXECS_MAX];

        begin();
        for (unsigned i = 0; i < EXECS_MAX; i++)
                numbers[i] = detach("exec sleep 1000", 0);
        ck_assert_uint_eq(ping(), EXECS_MAX);
        send_exec(1, 0, NULL, "true");
        expect_error(1, PROTOCOL_FAULT_RESOURCES);
        ck_assert_uint_eq(list(listed, array_size(listed)), EXECS_MAX); /* in several frames */
        for (unsigned i = 0; i < EXECS_MAX; i++) {
                send_numbers(PROTOCOL_SIGNAL, 2, (uint32_t[]){ numbers[i], SIGKILL, 0, 0 }, 4);
                expect_frame(PROTOCOL_DONE, 2);
        }
        while (ping())
                usleep(10000);
        ck_assert_uint_eq(list(listed, array_size(listed)), EXEC_KEPT_MAX);
        run("exit 3");
        ck_assert_uint_eq(c.exit.value, 3);
        end();
}
END_TEST

/*
 * A command that is its user's own already, and still looks for its program on the agent's memory, can be stopped by
 * another of that user: the agent must not wait for it.
 */
START_TEST(test_stopped_on_its_way)
{
        const uid_t uid = 543210987; /* nobody else's: all of its processes are stopped */
        static char path[200000] = "PATH=";
        const struct protocol_exec_request more = { .user = "543210987",
                                                    .args = (const char *const[]){ "no-such", NULL },
                                                    .env = (const char *const[]){ path, NULL } };
        pid_t attacker;

        if (geteuid())
                return; /* only root can start something as somebody else */
        for (size_t i = 5; i + 4 < sizeof(path); i += 3)
                memcpy(path + i, "/a:", 3);
        begin();
        attacker = fork();
        if (!attacker) {
                alarm(60);
                ck_assert_int_eq(setresuid(uid, uid, uid), 0);
                for (;;)
                        (void)!kill(-1, SIGSTOP);
        }
        for (uint32_t id = 1; id <= 3; id++) {
                send_exec(id, 0, &more, NULL);
                finish(id);
                ck_assert(c.failed);
                ck_assert_uint_eq(c.error.code, PROTOCOL_FAULT_SYSTEM);
        }
        ck_assert_int_eq(kill(attacker, SIGKILL), 0);
        ck_assert_int_eq(waitpid(attacker, NULL, 0), attacker);
        send_exec(4, 0, &more, NULL);
        finish(4);
        ck_assert(c.failed && c.error.code == PROTOCOL_FAULT_NOT_FOUND);
        run("exit 3");
        ck_assert_uint_eq(c.exit.value, 3);
        end();
}
END_TEST

/* A file system in user space. Return: the descriptor of its server, or -1. */
static int mount_fuse(const char *at, unsigned kind)
{
        char options[128];
        int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

        snprintf(options, sizeof(options), "fd=%d,rootmode=%o,user_id=0,group_id=0", fd, kind);
        if (fd >= 0 && !mount("hung", at, "fuse", 0, options))
                return fd;
        close(fd);
        return -1;
}

/* A server that takes all requests and answers the first, INIT, only: who waits for it cannot even be killed. */
static pid_t take_requests(int fd)
{
        pid_t pid = fork();

        if (pid)
                return pid;

        static uint32_t request[32768], answer[20] = { sizeof(answer), 0, 0, 0, 7, 31 };

        ck_assert_int_gt(read(fd, request, sizeof(request)), 0);
        memcpy(answer + 2, request + 2, 8);
        answer[10] = 4096; /* the largest write */
        ck_assert_int_eq(write(fd, answer, sizeof(answer)), sizeof(answer));
        while (read(fd, request, sizeof(request)) > 0)
                continue;
        _exit(0);
}

static void expect_late(uint32_t id, const struct protocol_exec_request *req)
{
        send_exec(id, 0, req, NULL);
        expect_error(id, PROTOCOL_FAULT_SYSTEM);
        ck_assert_uint_eq(c.error.host_errno, ETIMEDOUT);
        ck_assert_uint_eq(ping(), 0);
}

/* Folders, programs and the list of users on a file system that does not answer: the agent does. */
/* Children of the engine have their three and no others' descriptors. Return: how many children have any. */
static unsigned check_descriptors(void)
{
        char path[64];
        unsigned found = 0;
        FILE *f;
        pid_t pid;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", engine.pid, engine.pid);
        f = fopen(path, "re");
        ck_assert_ptr_nonnull(f);
        while (fscanf(f, "%d", &pid) == 1) {
                unsigned n = 0;
                DIR *d;

                snprintf(path, sizeof(path), "/proc/%d/fd", pid);
                d = opendir(path);
                while (d && readdir(d))
                        n++;
                if (d)
                        closedir(d);
                ck_assert_uint_le(n, 2 + 3);
                found += n > 2;
        }
        fclose(f);
        return found;
}

START_TEST(test_hung_on_its_way)
{
        static char program[64];
        struct protocol_exec_request there = { .timeout_ms = 1,
                                               .args = (const char *const[]){ "true", NULL } };
        struct protocol_exec_request it = { .timeout_ms = 1, .args = (const char *const[]){ program, NULL } };
        struct protocol_exec_request as = { .timeout_ms = 600, .user = "daemon", .args = there.args };
        int fd, status;
        pid_t server;

        if (geteuid() || unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
                return;
        begin(); /* before the file systems: who hangs in one must not hold its server's end */
        there.cwd = engine.dir;
        fd = mount_fuse("/etc/passwd", S_IFREG);
        if (fd < 0) {
                end();
                return;
        }
        expect_late(1, &as);
        ck_assert_int_eq(umount2("/etc/passwd", MNT_DETACH), 0);
        close(fd);

        fd = mount_fuse(engine.dir, S_IFDIR);
        ck_assert_int_ge(fd, 0);
        expect_late(2, &there);
        snprintf(program, sizeof(program), "%s/x", engine.dir);
        server = take_requests(fd);
        for (uint32_t id = 3; id < 11; id++)
                expect_late(id, id % 2 ? &there : &it);
        ck_assert_uint_gt(check_descriptors(), 0);
        send_exec(11, 0, &it, NULL);
        expect_error(11, PROTOCOL_FAULT_SYSTEM); /* and at once */
        ck_assert_uint_eq(c.error.host_errno, 0);

        kill(server, SIGKILL);
        ck_assert_int_eq(waitpid(server, &status, 0), server);
        ck_assert_int_eq(umount2(engine.dir, MNT_DETACH), 0);
        close(fd); /* the kernel answers for it */
        do {
                send_exec(11, 0, NULL, "exit 3");
                finish(11);
        } while (c.failed);
        ck_assert_uint_eq(c.exit.value, 3);
        as.timeout_ms = 0;
        send_exec(12, 0, &as, NULL);
        finish(12);
        ck_assert(!c.failed && c.exit.value == 0);
        end();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_detach_and_attach,
                test_input_taken_over,
                test_kept,
                test_readers,
                test_reader_disappears,
                test_too_many_readers,
                test_terminal,
                test_signals,
                test_limits_and_time,
                test_wrong_state,
                test_disappear,
                test_log,
                test_main,
                test_many_detached,
                test_stopped_on_its_way,
                test_hung_on_its_way,
        };

        return run_tests("exec", tests, array_size(tests));
}
