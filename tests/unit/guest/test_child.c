/*
 * Worker children: files are asked for over a connection of the engine, which stays usable; and clients
 * that leave, pipeline or lie.
 */
#include "guest/child.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/protocol_file.h"
#include "tests/unit/guest/engine.h"
#include "tests/unit/run.h"

#define FRAME_ROOM (PROTOCOL_HEADER_SIZE + 12288)

static struct engine engine;
static uint8_t answer[PROTOCOL_DATA_MAX];
static struct protocol_frame frame;

static void send_all(int fd, const void *bytes, size_t len)
{
        ck_assert_int_eq(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static bool next(int fd)
{
        uint8_t head[PROTOCOL_HEADER_SIZE];

        if (recv(fd, head, sizeof(head), MSG_WAITALL) != sizeof(head))
                return false;
        ck_assert_int_eq(protocol_parse_header(head, sizeof(head), PROTOCOL_FROM_AGENT, &frame), 0);
        ck_assert(!frame.len || recv(fd, answer, frame.len, MSG_WAITALL) == (ssize_t)frame.len);
        return true;
}

static size_t build_stat(uint8_t *out, uint32_t id, const char *path, const char *user)
{
        struct protocol_file req = {
                .op = PROTOCOL_FILE_STAT, .mode = PROTOCOL_FILE_KEEP, .path = path, .user = user
        };
        size_t size;

        ck_assert_int_eq(protocol_build_file(out, id, &req, &size), 0);
        return size;
}

static void expect_status(int fd, uint32_t id, const char *name)
{
        struct protocol_status status;
        size_t size;

        ck_assert(next(fd));
        ck_assert_int_eq(frame.type, PROTOCOL_STATUS);
        ck_assert_uint_eq(frame.id, id);
        ck_assert_int_eq(protocol_parse_status(answer, frame.len, &status, &size), 0);
        ck_assert_str_eq(status.name, name);
        ck_assert_uint_eq(size, frame.len);
}

START_TEST(test_one_after_the_other)
{
        uint8_t bytes[3 * FRAME_ROOM];
        size_t len = protocol_put_hello(bytes, 0);
        int fd;

        engine_start(&engine, NULL);
        fd = engine_connect(&engine);

        /* Three requests in one piece behind HELLO: each child leaves what is not its own. */
        len += build_stat(bytes + len, 1, "/", "");
        len += build_stat(bytes + len, 2, "/no-such-file", "");
        len += build_stat(bytes + len, 3, "/dev/null", "");
        send_all(fd, bytes, len);
        ck_assert(next(fd));
        ck_assert_int_eq(frame.type, PROTOCOL_WELCOME);
        expect_status(fd, 1, "/");

        struct protocol_error error;

        ck_assert(next(fd));
        ck_assert_int_eq(protocol_parse_error(answer, frame.len, &error), 0);
        ck_assert_uint_eq(error.code, PROTOCOL_FAULT_SYSTEM);
        ck_assert_uint_eq(error.host_errno, ENOENT);
        expect_status(fd, 3, "/dev/null");

        int fds = engine_fds(&engine);

        for (uint32_t i = 4; i < 100; i++) {
                send_all(fd, bytes, build_stat(bytes, i, "/", ""));
                expect_status(fd, i, "/");
        }
        ck_assert_int_eq(engine_fds(&engine), fds);
        close(fd);
        engine_stop(&engine);
}
END_TEST

START_TEST(test_refused)
{
        uint8_t bytes[FRAME_ROOM];
        size_t len = protocol_put_hello(bytes, 0);
        struct protocol_error error;
        int fd;

        engine_start(&engine, NULL);
        fd = engine_connect(&engine);
        len += build_stat(bytes + len, 1, "/", "nobody-is-called-so");
        send_all(fd, bytes, len);
        ck_assert(next(fd) && next(fd));
        ck_assert_int_eq(protocol_parse_error(answer, frame.len, &error), 0);
        ck_assert_uint_eq(error.code, PROTOCOL_FAULT_NO_USER);

        /* What only the child sees to be wrong ends the connection. */
        len = build_stat(bytes, 2, "/", "");
        bytes[PROTOCOL_HEADER_SIZE] = 99;
        send_all(fd, bytes, len);
        ck_assert(next(fd));
        ck_assert_uint_eq(frame.id, 0);
        ck_assert_int_eq(protocol_parse_error(answer, frame.len, &error), 0);
        ck_assert_uint_eq(error.code, PROTOCOL_FAULT_MALFORMED);
        ck_assert(!next(fd));
        close(fd);
        engine_stop(&engine);
}
END_TEST

/* Waits for the client, and for nothing else. No ck_: check's own descriptor is the socket here. */
static bool wait_for_client(struct child *c, const uint8_t *payload, uint32_t len)
{
        char byte;

        if (len != 3 || memcmp(payload, "abc", 3))
                return false;
        child_receive(c, &byte, 1);
        child_send(c, &byte, 1);
        child_receive(c, &byte, 1);
        child_send(c, &byte, 1);
        return byte == 'y';
}

static int run_child(const char *late)
{
        static const struct protocol_frame of = { .type = PROTOCOL_FILE, .id = 7, .len = 3 };
        struct child_plan plan = { .run = wait_for_client,
                                   .frame = &of,
                                   .payload = (const uint8_t *)"abcx",
                                   .rest_len = 1,
                                   .unsent = (const uint8_t *)"first ",
                                   .unsent_len = 6 };
        int pair[2], status;
        char got[16] = "";

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
        plan.fd = pair[0];

        pid_t pid = child_start(&plan);

        ck_assert_int_gt(pid, 0);
        close(pair[0]);
        if (late)
                send_all(pair[1], late, strlen(late));
        else
                shutdown(pair[1], SHUT_WR);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        for (size_t len = 0; len < sizeof(got) - 1;) {
                ssize_t n = recv(pair[1], got + len, sizeof(got) - 1 - len, 0);

                if (n <= 0)
                        break;
                len += (size_t)n;
        }
        ck_assert_msg(!strncmp(got, "first x", 7), "got '%s', status %d", got, status);
        ck_assert(!late || got[7] == *late);
        close(pair[1]);
        return status;
}

START_TEST(test_ends)
{
        signal(SIGTERM, SIG_DFL); /* check has a handler */
        ck_assert_int_eq(run_child("y"), 0);
        ck_assert_int_eq(WEXITSTATUS(run_child("n")), 1);
        ck_assert_int_eq(WTERMSIG(run_child(NULL)), SIGTERM); /* the client left */
}
END_TEST

/* The engine's only child. */
static pid_t child_of_engine(void)
{
        char path[64];
        int pid = 0;
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", engine.pid, engine.pid);
        f = fopen(path, "r");
        ck_assert_ptr_nonnull(f);
        if (fscanf(f, "%d", &pid) != 1)
                pid = 0;
        fclose(f);
        return pid;
}

static void stop_a_watcher(void)
{
        struct protocol_file req = { .op = PROTOCOL_FILE_WATCH,
                                     .mode = PROTOCOL_FILE_KEEP,
                                     .uid = PROTOCOL_FILE_KEEP,
                                     .gid = PROTOCOL_FILE_KEEP,
                                     .path = "/" };
        uint8_t bytes[FRAME_ROOM];
        size_t len = protocol_put_hello(bytes, 0), size;
        int fd = engine_connect(&engine);

        ck_assert_int_eq(protocol_build_file(bytes + len, 1, &req, &size), 0);
        send_all(fd, bytes, len + size);
        ck_assert(next(fd));
        while (!child_of_engine())
                usleep(1000);
        ck_assert_int_eq(kill(child_of_engine(), SIGSTOP), 0);
        close(fd);
        for (int i = 0; i < 5000 && child_of_engine(); i++)
                usleep(1000);
        ck_assert_int_eq(child_of_engine(), 0);
}

/* One that works as a user of the guest can be stopped by that user. It must not keep its connection's place. */
START_TEST(test_stopped)
{
        int fds;

        signal(SIGTERM, SIG_DFL); /* check has a handler */
        engine_start(&engine, NULL);
        stop_a_watcher();
        fds = engine_fds(&engine);
        for (int i = 0; i < 5; i++)
                stop_a_watcher();
        ck_assert_int_le(engine_fds(&engine), fds);
        engine_stop(&engine);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_one_after_the_other, test_refused, test_ends, test_stopped };

        return run_tests("child", tests, array_size(tests));
}
