/*
 * CONNECT: streams from a client of the engine to listeners of this test, with their ends, slow readers, and
 * those who go away.
 */
#include "guest/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/guest/talk.h"

#define BULK (4u << 20)

static struct engine engine;
static struct talk t;
static char folder[32];

static void begin(void)
{
        strcpy(folder, "/tmp/vmlet-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        engine_start(&engine, NULL);
        talk_open(&t, &engine);
}

static void end(void)
{
        char command[64];

        engine_stop(&engine);
        snprintf(command, sizeof(command), "rm -r %s", folder);
        ck_assert_int_eq(system(command), 0);
}

static size_t build_connect(uint8_t *out, const char *address, uint32_t port)
{
        struct protocol_connect c = { .kind = port ? PROTOCOL_CONNECT_TCP : PROTOCOL_CONNECT_UNIX,
                                      .port = port,
                                      .address = address };
        size_t len = protocol_put_connect(out, 1, &c);

        ck_assert_uint_gt(len, 0);
        return len;
}

static void ask(const char *address, uint32_t port)
{
        uint8_t frame[PROTOCOL_SMALL_MAX];

        talk_send(&t, frame, build_connect(frame, address, port));
}

static int listen_tcp(int family, uint32_t *ret_port)
{
        struct sockaddr_in6 any = { .sin6_family = (sa_family_t)family };
        socklen_t len = family == AF_INET6 ? sizeof(any) : sizeof(struct sockaddr_in);
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (family == AF_INET6)
                any.sin6_addr = in6addr_loopback;
        else
                ((struct sockaddr_in *)(void *)&any)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&any, len), 0);
        ck_assert_int_eq(listen(fd, 8), 0);
        getsockname(fd, (struct sockaddr *)&any, &len);
        *ret_port = ntohs(any.sin6_port); /* at the same place in both */
        return fd;
}

static int listen_unix(const char *name, size_t len)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path, name, len);
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address,
                              (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                         0);
        ck_assert_int_eq(listen(fd, 8), 0);
        return fd;
}

/* Takes the connection that the relay makes; the listener is not needed any more. */
static int take(int listener)
{
        talk_expect(&t, PROTOCOL_DONE, 1);

        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        ck_assert_int_ge(fd, 0);
        close(listener);
        return fd;
}

static void check_passes(int from, int to, const char *text)
{
        char got[64] = "";
        size_t len = strlen(text);

        ck_assert_int_eq(send(from, text, len, MSG_NOSIGNAL), (ssize_t)len);
        ck_assert_int_eq(recv(to, got, len, MSG_WAITALL), (ssize_t)len);
        ck_assert_str_eq(got, text);
}

static void check_at_end(int fd)
{
        char byte;

        ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
}

/* Until the engine has buried its child. */
static void wait_no_children(void)
{
        char path[64], list[64];
        ssize_t n;

        snprintf(path, sizeof(path), "/proc/%d/task/%d/children", engine.pid, engine.pid);
        do {
                int fd = open(path, O_RDONLY);

                usleep(10000);
                n = read(fd, list, sizeof(list));
                close(fd);
        } while (n > 0);
}

START_TEST(test_kinds_of_listeners)
{
        char path[256], cwd[128];
        uint32_t port;
        int listener, fd;

        for (int i = 0; i < 5; i++) {
                begin();
                switch (i) {
                case 0:
                        listener = listen_tcp(AF_INET, &port);
                        ask("", port);
                        break;
                case 1:
                        listener = listen_tcp(AF_INET6, &port);
                        ask("", port); /* nobody on 127.0.0.1: ::1 is next */
                        break;
                case 2:
                        listener = listen_tcp(AF_INET6, &port);
                        ask("::1", port);
                        break;
                case 3: /* longer than an address has room for */
                        snprintf(path, sizeof(path), "%s/%0120d", folder, 7);
                        ck_assert_int_eq(mkdir(path, 0700), 0);
                        ck_assert_ptr_nonnull(getcwd(cwd, sizeof(cwd)));
                        ck_assert_int_eq(chdir(path), 0);
                        listener = listen_unix("socket", 7);
                        ck_assert_int_eq(chdir(cwd), 0);
                        strcat(path, "/socket");
                        ask(path, 0);
                        break;
                default:
                        snprintf(path, sizeof(path), "@vmlet-test-%d", getpid());
                        path[0] = 0;
                        listener = listen_unix(path, 1 + strlen(path + 1));
                        path[0] = '@';
                        ask(path, 0);
                }
                fd = take(listener);
                check_passes(t.fd, fd, "to the listener");
                check_passes(fd, t.fd, "and back");
                close(fd);
                check_at_end(t.fd);
                close(t.fd);
                end();
        }
}
END_TEST

START_TEST(test_refusals)
{
        static const struct {
                const char *address;
                uint32_t port;
                int error;
                const char *word;
        } rows[] = {
                { "127.0.0.1", 1, ECONNREFUSED, "127.0.0.1, port 1: " },
                { "", 1, ECONNREFUSED, "the loopback" },
                { "localhost", 80, EINVAL, "not an IPv4 or IPv6 address" },
                { "1.2.3", 80, EINVAL, "not an IPv4" },
                { "/no/such/socket", 0, ENOENT, "/no/such/socket: " },
                { "/dev/null", 0, ECONNREFUSED, "/dev/null" },
                { "@no-such-name", 0, ECONNREFUSED, "@no-such-name" },
                { "@01234567890123456789012345678901234567890123456789012345678901234567890123456789"
                  "0123456789012345678901234567",
                  0, ENAMETOOLONG, "" },
        };

        begin();
        close(t.fd);
        for (size_t i = 0; i < array_size(rows); i++) {
                talk_open(&t, &engine);
                ask(rows[i].address, rows[i].port);
                talk_expect_error(&t, 1, PROTOCOL_FAULT_SYSTEM);
                ck_assert_msg(t.error.host_errno == (uint32_t)rows[i].error &&
                                      strstr((const char *)t.bytes + 8, rows[i].word),
                              "%u: %s", t.error.host_errno, (const char *)t.bytes + 8);
                ck_assert(!talk_next(&t)); /* bytes of the stream may have been under way */
                close(t.fd);
        }
        end();
}
END_TEST

/* Bytes that were sent right behind the request come first. */
START_TEST(test_stream_behind_the_request)
{
        uint8_t bytes[PROTOCOL_SMALL_MAX + 30000];
        char got[30000];
        uint32_t port;
        int listener = listen_tcp(AF_INET, &port), fd;

        begin();

        size_t len = build_connect(bytes, "127.0.0.1", port);

        for (size_t i = 0; i < sizeof(got); i++)
                bytes[len + i] = (uint8_t)(i % 251);
        talk_send(&t, bytes, len + sizeof(got));
        fd = take(listener);
        check_passes(fd, t.fd, "hello");
        ck_assert_int_eq(recv(fd, got, sizeof(got), MSG_WAITALL), (ssize_t)sizeof(got));
        ck_assert_mem_eq(got, bytes + len, sizeof(got));
        check_passes(t.fd, fd, "more");
        close(fd);
        close(t.fd);
        end();
}
END_TEST

START_TEST(test_ends_of_streams)
{
        for (int by_client = 0; by_client < 2; by_client++) {
                uint32_t port;
                int listener = listen_tcp(AF_INET, &port), fd;

                begin();
                ask("127.0.0.1", port);
                fd = take(listener);

                int first = by_client ? t.fd : fd, second = by_client ? fd : t.fd;

                check_passes(first, second, "the last word");
                shutdown(first, SHUT_WR);
                check_at_end(second);
                check_passes(second, first, "but not of the other"); /* whose stream goes on */
                usleep(50000);
                check_passes(second, first, "even later");
                shutdown(second, SHUT_WR);
                check_at_end(first);
                wait_no_children();
                close(fd);
                close(t.fd);
                end();
        }
}
END_TEST

/* Sends and reads on both ends at once. */
static void bulk(int a, int b, int slow)
{
        struct pollfd fds[2] = { { .fd = a, .events = POLLIN | POLLOUT },
                                 { .fd = b, .events = POLLIN | POLLOUT } };
        size_t sent[2] = { 0 }, got[2] = { 0 };
        static uint8_t bytes[40000];
        bool good = true;

        fcntl(a, F_SETFL, O_NONBLOCK);
        fcntl(b, F_SETFL, O_NONBLOCK);
        for (unsigned round = 0; got[0] < BULK || got[1] < BULK; round++) {
                ck_assert_int_gt(poll(fds, 2, 30000), 0);
                for (int i = 0; i < 2; i++) {
                        if (fds[i].revents & POLLOUT) {
                                size_t n = BULK - sent[i] < sizeof(bytes) ? BULK - sent[i] : sizeof(bytes);

                                for (size_t k = 0; k < n; k++)
                                        bytes[k] = (uint8_t)((sent[i] + k) % 253 + (size_t)i);

                                ssize_t r = send(fds[i].fd, bytes, n, MSG_NOSIGNAL);

                                sent[i] += r > 0 ? (size_t)r : 0;
                                if (sent[i] == BULK)
                                        fds[i].events &= ~POLLOUT;
                        }
                        if (fds[i].revents & POLLIN && (i != slow || round % 8 == 0)) {
                                ssize_t r = recv(fds[i].fd, bytes, i == slow ? 3000 : sizeof(bytes), 0);

                                for (ssize_t k = 0; k < r; k++)
                                        good = good && bytes[k] == (uint8_t)((got[!i] + (size_t)k) % 253 +
                                                                             (size_t)!i);
                                got[!i] += r > 0 ? (size_t)r : 0;
                        }
                }
        }
        ck_assert(good && got[0] == BULK && got[1] == BULK);
}

START_TEST(test_bulk)
{
        for (int slow = -1; slow < 2; slow++) {
                uint32_t port;
                int listener = listen_tcp(AF_INET, &port), fd;

                begin();
                ask("127.0.0.1", port);
                fd = take(listener);
                bulk(t.fd, fd, slow);
                close(fd);
                close(t.fd);
                end();
        }
}
END_TEST

/* CPU time of the engine and its children, in ticks. */
static long ticks(void)
{
        char command[160];
        long n = 0;

        snprintf(command, sizeof(command),
                 "for p in %d $(cat /proc/%d/task/%d/children); do cut -d' ' -f14,15 /proc/$p/stat; done",
                 engine.pid, engine.pid, engine.pid);

        FILE *f = popen(command, "r");

        for (long v; fscanf(f, "%ld", &v) == 1;)
                n += v;
        pclose(f);
        return n;
}

/* With everything full, or one stream at its end, nothing spins. */
START_TEST(test_no_busy_loop)
{
        static char bytes[1 << 16];
        uint32_t port;
        int listener = listen_tcp(AF_INET, &port), fd;

        begin();
        ask("127.0.0.1", port);
        fd = take(listener);
        shutdown(fd, SHUT_WR);
        check_at_end(t.fd);
        while (send(t.fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
                usleep(1000);

        long before = ticks();

        usleep(700000);
        ck_assert_int_le(ticks() - before, 3);
        close(fd);
        close(t.fd);
        end();
}
END_TEST

START_TEST(test_who_goes_away)
{
        static char bytes[1 << 16];
        uint32_t port;
        int listener = listen_tcp(AF_INET, &port), fd;
        size_t sent = 0, got = 0;
        ssize_t n;

        begin();

        int fds = engine_fds(&engine);

        /* a client that sent something and left: all of it arrives, though the listener says nothing */
        ask("127.0.0.1", port);
        fd = take(listener);
        while (sent < 100000 && (n = send(t.fd, bytes, sizeof(bytes), MSG_NOSIGNAL)) > 0)
                sent += (size_t)n;
        close(t.fd);
        while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
                got += (size_t)n;
        ck_assert_uint_eq(got, sent);
        wait_no_children();
        close(fd);

        /* a listener that left */
        listener = listen_tcp(AF_INET, &port);
        talk_open(&t, &engine);
        ask("127.0.0.1", port);
        fd = take(listener);
        check_passes(fd, t.fd, "bye");
        close(fd);
        check_at_end(t.fd);
        close(t.fd);
        wait_no_children();
        ck_assert_int_eq(engine_fds(&engine), fds - 1);
        end();
}
END_TEST

/* A listener that takes nothing does not keep the place of a client that is gone for ever. */
START_TEST(test_stuck_listener)
{
        static char bytes[1 << 16];
        uint32_t port;
        int listener = listen_tcp(AF_INET, &port), fd;

        begin();
        ask("127.0.0.1", port);
        fd = take(listener);
        while (send(t.fd, bytes, sizeof(bytes), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
                usleep(1000);
        close(t.fd);
        wait_no_children(); /* RELAY_LINGER_S */
        close(fd);
        end();
}
END_TEST

START_TEST(test_malformed)
{
        static const char *const bad[] = { "\2\0\0\0\1\0\0\0\0", "\0\0\0\0\0\0\0\0\0", "\1\0\0\0\0\0\0\0\0" };

        begin();
        close(t.fd);
        for (size_t i = 0; i < array_size(bad); i++) {
                talk_open(&t, &engine);
                talk_frame(&t, PROTOCOL_CONNECT, 1, bad[i], 9);
                talk_expect_error(&t, 0, PROTOCOL_FAULT_MALFORMED);
                ck_assert(!talk_next(&t));
                close(t.fd);
        }
        end();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_kinds_of_listeners, test_refusals,       test_stream_behind_the_request,
                test_ends_of_streams,    test_bulk,           test_no_busy_loop,
                test_who_goes_away,      test_stuck_listener, test_malformed,
        };

        return run_tests("relay", tests, array_size(tests));
}
