/* Clients of the control socket, good and bad. */
#include "vmm/control_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/mock/driver.h"
#include "tests/unit/run.h"
#include "vmm/base/uds.h"

#define PATH     "/tmp/vmlet-test-control"
#define MS       1000000ull
#define QUIET_MS 20u

static struct loop *loop;
static struct control *control;
static struct control_socket *server;
static struct uds uds;
static unsigned ends;

static void on_end(void *ctx)
{
        (void)ctx;
        ends++;
}

static void set_up(void)
{
        struct control_config cfg = { .on_end = on_end, .grace_ns = 1000 * MS };
        struct problem p = { 0 };
        char path[64];
        int fd;

        ck_assert(!loop_new(&loop));
        cfg.loop = loop;
        ck_assert(!control_new(&control, &cfg));
        (void)snprintf(path, sizeof(path), PATH "-%d", (int)getpid());
        ck_assert_msg(!uds_listen("control", path, 3, &p, &uds, &fd), "%s", p.text);
        ck_assert(!control_socket_new(&server, loop, control, fd));
}

static void tear_down(void)
{
        control_socket_free(server);
        control_free(control);
        loop_free(loop);
        uds_unlink(&uds);
}

static int stop_loop(struct loop_timer *t)
{
        (void)t;
        loop_stop(loop);
        return 0;
}

static void run_for(unsigned ms)
{
        struct loop_timer t = { .call = stop_loop };

        loop_timer_set(loop, &t, ms * MS);
        ck_assert(!loop_run(loop));
}

static int client(void)
{
        int fd = uds_connect(uds.path);

        ck_assert_int_ge(fd, 0);
        return fd;
}

static void say(int fd, const char *text)
{
        ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What has come by now, or "(end)". */
static const char *hear(int fd)
{
        static char text[1 << 16];
        ssize_t n;

        run_for(QUIET_MS);
        n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);
        if (!n || (n < 0 && errno == ECONNRESET))
                return "(end)";
        text[n > 0 ? n : 0] = 0;
        return text;
}

static bool begins(const char *text, const char *with)
{
        return !strncmp(text, with, strlen(with));
}

START_TEST(test_words)
{
        int fd;

        set_up();
        fd = client();
        say(fd, "status\n");
        ck_assert_ptr_nonnull(strstr(hear(fd), "\"state\":\"starting\",\"ready\":false"));
        say(fd, "pause\n");
        ck_assert_str_eq(hear(fd), "ERR not in this state: see status\n");
        control_set_started(control);
        control_set_ready(control);
        say(fd, "pause\nstatus\nresume\nsta");
        ck_assert_ptr_nonnull(strstr(hear(fd), "OK 0\nOK "));
        say(fd, "tus\nfly\nmetrics what\n");
        {
                const char *text = hear(fd);

                ck_assert_ptr_nonnull(strstr(text, "\"state\":\"running\",\"ready\":true"));
                ck_assert_ptr_nonnull(strstr(text, "ERR unsupported\nERR bad argument\n"));
        }
        say(fd, "metrics prometheus\n");
        ck_assert_ptr_nonnull(
                strstr(hear(fd), "# TYPE vmlet_loop_total counter\nvmlet_loop_total{counter=\"rounds\"} "));
        say(fd, "metrics\n");
        ck_assert_ptr_nonnull(strstr(hear(fd), "{\"vcpus\":[],\"devices\":{},\"loop\":{\"rounds\":"));
        close(fd);
        run_for(QUIET_MS);
        tear_down();
}
END_TEST

/* Of a machine that has neither; with them: tests/functional/test_balloon.py, test_rate.py. */
START_TEST(test_no_devices)
{
        static const char *const rows[][2] = {
                { "balloon\n", "ERR there is no balloon\n" },
                { "balloon 64M\n", "ERR there is no balloon\n" },
                { "balloon much\n", "ERR bad argument\n" },
                { "rate 0 1M 10\n", "ERR there is no such disk\n" },
                { "rate 0 1M\n", "ERR bad argument\n" },
                { "rate 4294967296 1 1\n", "ERR bad argument\n" },
        };
        struct problem p = { 0 };
        int fd;

        set_up();
        fd = client();
        for (unsigned i = 0; i < array_size(rows); i++) {
                say(fd, rows[i][0]);
                ck_assert_str_eq(hear(fd), rows[i][1]);
        }
        ck_assert_int_eq(control_balloon_interval(control, 1000 * MS), -ENODEV);
        ck_assert_int_eq(control_disk_replace(control, 3, "/dev/null", &p), -1);
        ck_assert_str_eq(p.text, "there is no disk 3");
        close(fd);
        tear_down();
}
END_TEST

START_TEST(test_events)
{
        int fd, other;

        set_up();
        fd = client();
        other = client();
        say(fd, "subscribe\nstatus\n");
        ck_assert(begins(hear(fd), "OK "));
        control_set_started(control);
        control_set_ready(control);
        ck_assert(begins(hear(fd), "{\"event\":\"ready\",\"time_ns\":"));
        ck_assert(!control_pause(control) && !control_pause(control));
        ck_assert(begins(hear(fd), "{\"event\":\"paused\""));
        ck_assert_str_eq(hear(fd), "");
        /* Who ended its own direction still wants to hear. */
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        run_for(QUIET_MS);
        say(other, "stop\n");
        ck_assert_ptr_nonnull(strstr(hear(fd), "\"resumed\""));
        ck_assert_str_eq(hear(other), "OK 0\n");
        ck_assert_uint_eq(ends, 1); /* there is nobody to ask */
        close(fd);
        close(other);
        run_for(QUIET_MS);
        tear_down();
}
END_TEST

/* Nothing is served before its line ends; 1024 bytes without an end are no line. */
START_TEST(test_lines)
{
        char longest[1025];
        int fd;

        set_up();
        memset(longest, 'x', sizeof(longest));
        longest[1023] = '\n';
        longest[1024] = 0;
        fd = client();
        say(fd, longest);
        ck_assert_str_eq(hear(fd), "ERR unsupported\n");
        longest[1023] = 'x';
        say(fd, longest);
        ck_assert_str_eq(hear(fd), "ERR the line is too long\n");
        ck_assert_str_eq(hear(fd), "(end)");
        close(fd);
        tear_down();
}
END_TEST

START_TEST(test_crowd)
{
        int fds[17];

        set_up();
        for (unsigned i = 0; i < 16; i++) {
                fds[i] = client();
                run_for(1);
        }
        /* Who says nothing makes room: not the first, that spoke, nor the second, that listens. */
        say(fds[0], "resume\n");
        ck_assert(begins(hear(fds[0]), "ERR not"));
        say(fds[1], "subscribe\n");
        ck_assert(begins(hear(fds[1]), "OK "));
        fds[16] = client();
        say(fds[16], "status\n");
        ck_assert(begins(hear(fds[16]), "OK "));
        ck_assert_str_eq(hear(fds[2]), "(end)");
        ck_assert_str_eq(hear(fds[3]), "");
        /* Nobody but listeners: there is no room. */
        for (unsigned i = 3; i < 17; i++)
                say(fds[i], "subscribe\n");
        say(fds[0], "subscribe\n");
        close(fds[2]);
        run_for(QUIET_MS);
        fds[2] = client();
        ck_assert_str_eq(hear(fds[2]), "ERR too many clients\n");
        close(fds[3]);
        close(fds[2]);
        run_for(QUIET_MS);
        fds[3] = client();
        fds[2] = client();
        say(fds[2], "status\n");
        ck_assert(begins(hear(fds[2]), "OK "));
        for (unsigned i = 0; i < 17; i++)
                close(fds[i]);
        run_for(QUIET_MS);
        tear_down();
}
END_TEST

/* Asks as fast as it can and never reads: it gets what its socket holds, and is gone after a while. */
START_TEST(test_client_that_does_not_read)
{
        int fd, sent = 0;
        uint64_t start;

        set_up();
        fd = client();
        ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        for (unsigned i = 0; i < 100; i++) {
                while (send(fd, "metrics prometheus\n", 19, MSG_NOSIGNAL) == 19)
                        sent++;
                run_for(1);
        }
        ck_assert_int_gt(sent, 100);
        start = loop_now_ns();
        while (send(fd, "\n", 1, MSG_NOSIGNAL) == 1 || errno == EAGAIN) {
                ck_assert_uint_lt(loop_now_ns() - start, 20000 * MS);
                run_for(QUIET_MS);
        }
        close(fd);
        tear_down();
}
END_TEST

/* A subscriber that does not read is dropped, and the others hear on. */
START_TEST(test_subscriber_that_does_not_read)
{
        unsigned lines = 0;
        int lazy, fd;

        set_up();
        control_set_started(control);
        lazy = client();
        fd = client();
        say(lazy, "subscribe\n");
        say(fd, "subscribe\n");
        ck_assert(begins(hear(fd), "OK "));
        for (; lines < 100000; lines++) {
                char text[4096];

                ck_assert(!control_pause(control) && !control_resume(control));
                ck_assert_int_gt(recv(fd, text, sizeof(text), MSG_DONTWAIT), 0);
                if (send(lazy, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE)
                        break;
                if (lines % 64 == 0)
                        run_for(0);
        }
        ck_assert_uint_lt(lines, 100000);
        ck_assert(!control_pause(control));
        ck_assert(begins(hear(fd), "{\"event\":\"paused\""));
        close(fd);
        close(lazy);
        run_for(QUIET_MS);
        tear_down();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_words,
                test_no_devices,
                test_events,
                test_lines,
                test_crowd,
                test_client_that_does_not_read,
                test_subscriber_that_does_not_read,
        };

        return run_tests("control_socket", tests, array_size(tests));
}
