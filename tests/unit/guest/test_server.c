/*
 * The agent's engine, driven by a client that may do anything: commands, limits, and hostile frames.
 */
#include "guest/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/guest/client.h"
#include "tests/unit/run.h"

/* The engine's children, the shell that asks among them. */
#define COUNT_COMMANDS "set -- $(cat /proc/$PPID/task/$PPID/children); echo $#"

START_TEST(test_output_and_status)
{
        begin();
        run("echo out; echo err >&2; exit 7");
        ck_assert_str_eq(c.out, "out\n");
        ck_assert_str_eq(c.err, "err\n");
        ck_assert_uint_eq(c.exit.kind, PROTOCOL_EXITED);
        ck_assert_uint_eq(c.exit.value, 7);
        ck_assert_uint_gt(c.exit.maxrss_kib, 0);
        run("kill -9 $$");
        ck_assert_uint_eq(c.exit.kind, PROTOCOL_SIGNALLED);
        ck_assert_uint_eq(c.exit.value, SIGKILL);
        run("cat; pwd; [ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader"); /* reads nothing */
        ck_assert_str_eq(c.out, "/\nleader\n");
        run("trap '' INT; grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n'");
        ck_assert_str_eq(c.out, "SigBlk:0000000000000000SigIgn:0000000000000002");
        end();
}
END_TEST

START_TEST(test_environment)
{
        const char *args[] = { "/usr/bin/env", NULL }, *env[] = { "A=1", "HOME=/x", NULL };
        struct protocol_exec_request req = { .args = args, .env = env };

        begin();
        send_exec(1, 0, &req, NULL);
        finish(1);
        ck_assert_str_eq(c.out, "A=1\nHOME=/x\n"
                                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n");
        req.env = NULL;
        req.user = "daemon:0";
        req.cwd = "/usr";
        send_exec(2, 0, &req, NULL);
        finish(2);
        ck_assert_str_eq(c.out, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
                                "HOME=/usr/sbin\n");
        send_exec(3, 0, &req, "id -u; id -g; pwd");
        finish(3);
        ck_assert_str_eq(c.out, "1\n0\n/usr\n");
        end();
}
END_TEST

START_TEST(test_refused_commands)
{
        static const struct {
                const char *what, *name, *user, *cwd;
                uint32_t container, expect;
        } rows[] = {
                { "not in PATH", "no-such-command", NULL, NULL, 0, PROTOCOL_FAULT_NOT_FOUND },
                { "not there", "/no/such", NULL, NULL, 0, PROTOCOL_FAULT_NOT_FOUND },
                { "below a file", "/etc/passwd/x", NULL, NULL, 0, PROTOCOL_FAULT_NOT_FOUND },
                { "empty name", "", NULL, NULL, 0, PROTOCOL_FAULT_NOT_FOUND },
                { "no program", "/etc/passwd", NULL, NULL, 0, PROTOCOL_FAULT_NOT_EXECUTABLE },
                { "a folder", "/etc", NULL, NULL, 0, PROTOCOL_FAULT_NOT_EXECUTABLE },
                { "no user", "true", "no-such-user", NULL, 0, PROTOCOL_FAULT_NO_USER },
                { "no group", "true", "root:no-such-group", NULL, 0, PROTOCOL_FAULT_NO_USER },
                { "user too large", "true", "4294967295", NULL, 0, PROTOCOL_FAULT_NO_USER },
                { "no folder", "true", NULL, "/no/such", 0, PROTOCOL_FAULT_CWD },
                { "a file as folder", "true", NULL, "/etc/passwd", 0, PROTOCOL_FAULT_CWD },
                { "no container", "true", NULL, NULL, 1, PROTOCOL_FAULT_NO_CONTAINER },
        };

        begin();
        int fds = engine_fds(&engine);

        for (size_t i = 0; i < array_size(rows); i++) {
                const char *args[] = { rows[i].name, NULL };
                struct protocol_exec_request req = {
                        .args = args, .user = rows[i].user, .cwd = rows[i].cwd, .container = rows[i].container
                };

                send_exec(9, 0, &req, NULL);
                finish(9);
                ck_assert_msg(c.failed && c.error.code == rows[i].expect, "%s: %u", rows[i].what,
                              c.error.code);
                ck_assert_msg(c.error.text_len > 0, "%s: without words", rows[i].what);
        }
        run("echo fine");
        ck_assert_str_eq(c.out, "fine\n");
        ck_assert_int_le(engine_fds(&engine), fds + 1); /* /dev/null is kept */
        end();
}
END_TEST

START_TEST(test_stdin)
{
        static char many[3 * CONN_STDIN_WINDOW];
        uint32_t credit = CONN_STDIN_WINDOW, window;
        size_t sent = 0;

        memset(many, 'x', sizeof(many));
        begin();
        send_exec(1, PROTOCOL_EXEC_STDIN, NULL, "read x; echo \"<$x>\"; wc -c");
        send_stdin(1, "one\n", 4, false);
        expect_frame(PROTOCOL_STDOUT, 1);
        ck_assert_mem_eq(c.bytes, "<one>\n", 6);
        credit -= 4;
        while (sent < sizeof(many)) {
                uint32_t n = (uint32_t)(sizeof(many) - sent);

                n = n < credit ? n : credit;
                send_stdin(1, many + sent, n, false);
                sent += n;
                credit -= n;
                if (sent == sizeof(many))
                        break;
                expect_frame(PROTOCOL_WINDOW, 1);
                ck_assert_int_eq(protocol_parse_window(c.bytes, c.frame.len, &window), 0);
                credit += window;
                ck_assert_uint_le(credit, CONN_STDIN_WINDOW);
        }
        send_stdin(1, NULL, 0, true);
        finish(1);
        ck_assert_int_eq(atoi(c.out), (int)sizeof(many));

        /* It ends before its input does; what crosses the EXIT is left aside. */
        send_exec(2, PROTOCOL_EXEC_STDIN, NULL, "exec 0<&-; sleep 0.1; exit 3");
        for (unsigned i = 0; i < 64; i++)
                send_stdin(2, many, CONN_STDIN_WINDOW / 64, i == 63);
        finish(2);
        ck_assert_uint_eq(c.exit.value, 3);
        send_stdin(2, many, 100, true);
        run("echo next");
        ck_assert_str_eq(c.out, "next\n");
        end();
}
END_TEST

/* A command that reads nothing: the whole window fits, one byte more ends the connection. */
START_TEST(test_stdin_window)
{
        static char many[CONN_STDIN_WINDOW + 1];

        begin();
        for (int i = 0; i < 3; i++) { /* what the pipe takes is given back */
                uint32_t window;

                if (!i)
                        send_exec(1, PROTOCOL_EXEC_STDIN, NULL, "sleep 1000");
                send_stdin(1, many, i < 2 ? CONN_STDIN_WINDOW : 1, false);
                if (i)
                        continue;
                expect_frame(PROTOCOL_WINDOW, 1);
                ck_assert_int_eq(protocol_parse_window(c.bytes, c.frame.len, &window), 0);
                ck_assert_uint_eq(window, CONN_STDIN_WINDOW);
        }
        expect_refusal(PROTOCOL_FAULT_MALFORMED);
        close(c.fd);
        usleep(100000);
        open_client();
        run(COUNT_COMMANDS);
        ck_assert_str_eq(c.out, "1\n");
        end();
}
END_TEST

START_TEST(test_hostile)
{
        uint8_t hello[PROTOCOL_SMALL_MAX], ping[16] = { 0, 0, 0, 0, 5, 0, 0, 0, 1 };
        static const struct {
                const char *what;
                bool greet;
                uint8_t bytes[48];
                size_t len;
                uint32_t code;
        } rows[] = {
                { "PING before HELLO", false, { 0, 0, 0, 0, 5, 0, 0, 0, 1 }, 16, PROTOCOL_FAULT_MALFORMED },
                { "an agent's frame", true, { 4, 0, 0, 0, 0x87, 0, 0, 0, 1 }, 20, PROTOCOL_FAULT_MALFORMED },
                { "unknown type", true, { 0, 0, 0, 0, 0x7f, 0, 0, 0, 1 }, 16, PROTOCOL_FAULT_MALFORMED },
                { "endless frame",
                  true,
                  { 255, 255, 255, 255, 2, 0, 0, 0, 1 },
                  16,
                  PROTOCOL_FAULT_MALFORMED },
                { "HELLO twice", true, { 16, 0, 0, 0, 1, [16] = 1, 0, 1, 0 }, 32, PROTOCOL_FAULT_MALFORMED },
                { "version 2 only",
                  false,
                  { 16, 0, 0, 0, 1, [16] = 2, 0, 3, 0 },
                  32,
                  PROTOCOL_FAULT_VERSION },
                { "EXEC of zeroes", true, { 28, 0, 0, 0, 2, 0, 0, 0, 1 }, 44, PROTOCOL_FAULT_MALFORMED },
                { "SHUTDOWN to nowhere",
                  true,
                  { 8, 0, 0, 0, 4, 0, 0, 0, 1, [16] = 9 },
                  24,
                  PROTOCOL_FAULT_MALFORMED },
                { "HTTP", false, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 36, PROTOCOL_FAULT_MALFORMED },
        };

        begin();
        int first = c.fd;

        for (size_t i = 0; i < array_size(rows); i++) {
                c.fd = engine_connect(&engine);
                if (rows[i].greet) {
                        send_all(hello, protocol_put_hello(hello, 0));
                        expect_frame(PROTOCOL_WELCOME, 0);
                }
                send_all(rows[i].bytes, rows[i].len);
                expect_refusal(rows[i].code);
                close(c.fd);
        }
        c.fd = first; /* it noticed nothing */
        send_all(ping, sizeof(ping));
        expect_frame(PROTOCOL_DONE, 1);
        end();
}
END_TEST

START_TEST(test_busy_and_pieces)
{
        static uint8_t frame[PROTOCOL_HEADER_SIZE + 4096];
        const char *args[] = { "echo", "pieces", NULL };
        struct protocol_exec_request req = { .id = 3, .args = args };
        size_t size;

        begin();
        send_exec(1, 0, NULL, "sleep 0.3");
        send_exec(2, 0, NULL, "true");
        expect_frame(PROTOCOL_ERROR, 2);
        ck_assert_int_eq(protocol_parse_error(c.bytes, c.frame.len, &c.error), 0);
        ck_assert_uint_eq(c.error.code, PROTOCOL_FAULT_BUSY);
        finish(1);
        ck_assert_uint_eq(c.exit.value, 0);

        ck_assert_int_eq(protocol_build_exec(frame, &req, &size), 0);
        for (size_t i = 0; i < size; i++) { /* a byte at a time */
                send_all(frame + i, 1);
                if (i % 8 == 0)
                        usleep(500);
        }
        finish(3);
        ck_assert_str_eq(c.out, "pieces\n");
        end();
}
END_TEST

/* Many small requests whose answers nobody reads: the agent stops reading instead of growing. */
START_TEST(test_reader_who_stops)
{
        static uint8_t pings[16 * 4096];
        uint8_t one[16] = { 0, 0, 0, 0, 5, 0, 0, 0, 1 };
        size_t sent = 0, answers = 0;

        for (size_t i = 0; i < sizeof(pings); i += 16)
                memcpy(pings + i, one, 16);
        begin();
        for (int idle = 0; idle < 20 && sent < 64u << 20;) {
                ssize_t n = send(c.fd, pings, sizeof(pings) - sent % 16, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n > 0) {
                        sent += (size_t)n;
                        /* what is sent next must go on where the last stopped */
                        for (size_t i = 0; i < sizeof(pings); i++)
                                pings[i] = one[(sent + i) % 16];
                        idle = 0;
                } else {
                        idle++;
                        usleep(5000);
                }
        }
        ck_assert_uint_lt(sent, 16u << 20);
        ck_assert_int_lt(engine_memory_kib(&engine), 2048);
        for (; answers < sent / 16; answers++)
                expect_frame(PROTOCOL_DONE, 1);

        int other = c.fd; /* the same with output */

        open_client();
        send_exec(1, 0, NULL, "head -c 100000000 /dev/zero");
        usleep(200000);
        ck_assert_int_lt(engine_memory_kib(&engine), 2048);
        close(other);
        end();
}
END_TEST

START_TEST(test_much_output)
{
        uint64_t out = 0, err = 0;

        begin();
        send_exec(1, 0, NULL, "head -c 20000000 /dev/zero & head -c 10000000 /dev/zero >&2; wait; exit 4");
        for (;;) {
                ck_assert(next_frame());
                if (c.frame.type == PROTOCOL_EXIT)
                        break;
                *(c.frame.type == PROTOCOL_STDOUT ? &out : &err) += c.frame.len;
        }
        ck_assert_uint_eq(out, 20000000);
        ck_assert_uint_eq(err, 10000000);
        end();
}
END_TEST

START_TEST(test_background_child)
{
        begin();
        run("sleep 1000 & echo left; yes & sleep 0.05; exit 2"); /* one that is silent, one that never stops */
        ck_assert_uint_eq(c.exit.value, 2);
        ck_assert_ptr_nonnull(strstr(c.out, "left\n"));
        run("for p in $(cat /proc/$PPID/task/$PPID/children); do [ $p = $$ ] || kill $p; done; echo next");
        ck_assert_str_eq(c.out, "next\n");
        end();
}
END_TEST

/* The connection goes in the middle of a command: its group is killed. */
START_TEST(test_client_disappears)
{
        begin();
        send_exec(1, 0, NULL, "sleep 4321 & sleep 4321; true");
        usleep(100000);
        close(c.fd);
        usleep(100000);
        open_client();
        run(COUNT_COMMANDS);
        ck_assert_str_eq(c.out, "1\n");
        end();
}
END_TEST

START_TEST(test_connection_limit)
{
        int fds[SERVER_CONNS_MAX];

        begin();
        fds[0] = c.fd;
        int before = engine_fds(&engine);

        for (unsigned i = 1; i < SERVER_CONNS_MAX; i++) {
                open_client();
                fds[i] = c.fd;
        }
        c.fd = engine_connect(&engine);
        expect_refusal(PROTOCOL_FAULT_CROWDED);
        close(c.fd);
        for (unsigned i = 0; i < 128; i++) { /* all of them at the same time */
                c.fd = fds[i];
                send_exec(i + 1, 0, NULL, "sleep 0.1; echo $$; exit 9");
        }
        for (unsigned i = 0; i < 128; i++) {
                c.fd = fds[i];
                finish(i + 1);
                ck_assert_uint_eq(c.exit.value, 9);
                ck_assert_int_gt(atoi(c.out), 1);
        }
        for (unsigned i = 1; i < SERVER_CONNS_MAX; i++)
                close(fds[i]);
        usleep(100000);
        c.fd = fds[0];
        run("true");
        ck_assert_int_le(engine_fds(&engine), before + 1);
        open_client(); /* and there is room again */
        close(fds[0]);
        end();
}
END_TEST

START_TEST(test_many_in_a_row)
{
        long memory;
        int fds;

        begin();
        run("true");
        memory = engine_memory_kib(&engine);
        fds = engine_fds(&engine);
        for (int i = 0; i < 300; i++)
                run("exit 1");
        ck_assert_int_eq(engine_fds(&engine), fds);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what is freed for a while */
        ck_assert_int_le(engine_memory_kib(&engine), memory + 64);
#else
        (void)memory;
#endif
        end();
}
END_TEST

static unsigned list_children(pid_t pids[static 256])
{
        char path[64];
        unsigned n = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", engine.pid, engine.pid);
        f = fopen(path, "re");
        ck_assert_ptr_nonnull(f);
        while (n < 256 && fscanf(f, "%d", &pids[n]) == 1)
                n++;
        fclose(f);
        return n;
}

/* More than are buried in one round, and none of them announces itself any more. */
START_TEST(test_many_orphans_die_at_once)
{
        pid_t pids[256];
        unsigned n;

        begin();
        send_exec(5, PROTOCOL_EXEC_KEEP, NULL,
                  "exec >/dev/null 2>&1; i=0; while [ $i -lt 200 ]; do sleep 4321 & i=$((i+1)); done");
        finish(5);
        ck_assert_int_eq(kill(engine.pid, SIGSTOP), 0);
        n = list_children(pids);
        ck_assert_uint_ge(n, 100);
        ck_assert_int_eq(killpg(getpgid(pids[n / 2]), SIGKILL), 0);
        usleep(100000);
        ck_assert_int_eq(kill(engine.pid, SIGCONT), 0);
        while (list_children(pids))
                usleep(10000);
        run("echo next");
        ck_assert_str_eq(c.out, "next\n");
        end();
}
END_TEST

static void send_shutdown(uint32_t how, uint32_t grace_ms)
{
        uint8_t frame[PROTOCOL_SMALL_MAX];

        send_all(frame, protocol_put_shutdown(frame, 8, how, grace_ms));
        expect_frame(PROTOCOL_DONE, 8);
}

START_TEST(test_shutdown)
{
        begin();
        send_shutdown(PROTOCOL_POWER_OFF, 60000); /* nobody is left: at once */
        close(c.fd);
        int status = engine_wait(&engine);

        ck_assert_int_eq(WEXITSTATUS(status), 40);

        begin();
        int first = c.fd;

        send_exec(1, 0, NULL, "trap 'echo bye; exit 5' TERM; echo up; while :; do sleep 0.01; done");
        expect_frame(PROTOCOL_STDOUT, 1);
        open_client();
        send_shutdown(PROTOCOL_REBOOT, 60000);
        close(c.fd);
        c.fd = first;
        finish(1); /* it may say how it ended */
        ck_assert_str_eq(c.out, "bye\n");
        ck_assert_uint_eq(c.exit.value, 5);
        close(c.fd);
        status = engine_wait(&engine);
        ck_assert_int_eq(WEXITSTATUS(status), 41);
}
END_TEST

START_TEST(test_shutdown_by_force)
{
        begin();
        int first = c.fd;

        send_exec(1, 0, NULL, "trap '' TERM; echo up; sleep 1000 & wait; sleep 1000");
        expect_frame(PROTOCOL_STDOUT, 1);
        open_client();
        send_shutdown(PROTOCOL_POWER_OFF, 100);
        send_exec(2, 0, NULL, "true");
        finish(2);
        ck_assert_uint_eq(c.error.code, PROTOCOL_FAULT_STOPPING);
        close(c.fd);
        c.fd = first;
        finish(1);
        ck_assert_uint_eq(c.exit.kind, PROTOCOL_SIGNALLED);
        close(c.fd);
        int status = engine_wait(&engine);

        ck_assert_int_eq(WEXITSTATUS(status), 40);
}
END_TEST

START_TEST(test_no_root)
{
        const struct engine_options options = { .state = PROTOCOL_STATE_NO_ROOT, .message = "no disk" };
        struct protocol_welcome welcome;

        engine_start(&engine, &options);
        open_client();
        ck_assert_int_eq(protocol_parse_welcome(c.bytes, c.frame.len, &welcome), 0);
        ck_assert_uint_eq(welcome.state, PROTOCOL_STATE_NO_ROOT);
        ck_assert_str_eq(welcome.message, "no disk");
        send_exec(1, 0, NULL, "true");
        finish(1);
        ck_assert_uint_eq(c.error.code, PROTOCOL_FAULT_NO_ROOT);
        ck_assert_mem_eq(c.error.text, "no disk", 7);
        end();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_output_and_status, test_environment,
                test_refused_commands,  test_stdin,
                test_stdin_window,      test_hostile,
                test_busy_and_pieces,   test_reader_who_stops,
                test_much_output,       test_background_child,
                test_client_disappears, test_connection_limit,
                test_many_in_a_row,     test_many_orphans_die_at_once,
                test_shutdown,          test_shutdown_by_force,
                test_no_root,
        };

        return run_tests("server", tests, array_size(tests));
}
