/*
 * Ports that lead into a guest.
 */
#include "sandbox/forward.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/mock/peer.h"
#include "tests/unit/run.h"

START_TEST(test_parse)
{
        static const struct {
                const char *text, *host;
                uint16_t listen;
                uint32_t port;
                const char *path;
        } good[] = {
                { "8080", "127.0.0.1", 8080, 8080, "" },         { "8080:80", "127.0.0.1", 8080, 80, "" },
                { "0:65535", "127.0.0.1", 0, 65535, "" },        { "0.0.0.0:1:2", "0.0.0.0", 1, 2, "" },
                { "localhost:1:2", "127.0.0.1", 1, 2, "" },      { "[::1]:0:80", "::1", 0, 80, "" },
                { "1:/run/a:b", "127.0.0.1", 1, 0, "/run/a:b" }, { "[::]:1:@name", "::", 1, 0, "@name" },
        };
        static const char *const bad[] = {
                "",        ":",    "0",        "x",       "1:",      ":1",       "65536:1",
                "1:65536", "1:0",  "host:1:2", "[::1]",   "[::1]:1", "[::1:1:1", "1:/",
                "1:@",     "-1:1", "1: 1",     "1:2:3:4", "1 :2",
        };
        struct problem problem = { 0 };
        struct forward_spec spec;
        char host[64];

        for (size_t i = 0; i < array_size(good); i++) {
                const struct sockaddr_in *v4 = (const struct sockaddr_in *)&spec.listen;
                const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&spec.listen;

                ck_assert_msg(!forward_parse(good[i].text, &spec, &problem), "%s", good[i].text);
                inet_ntop(spec.listen.ss_family,
                          spec.listen.ss_family == AF_INET ? (const void *)&v4->sin_addr
                                                           : (const void *)&v6->sin6_addr,
                          host, sizeof(host));
                ck_assert_str_eq(host, good[i].host);
                ck_assert_uint_eq(ntohs(v4->sin_port), good[i].listen);
                ck_assert_uint_eq(spec.port, good[i].port);
                ck_assert_str_eq(spec.path, good[i].path);
        }
        for (size_t i = 0; i < array_size(bad); i++)
                ck_assert_msg(forward_parse(bad[i], &spec, &problem), "%s", bad[i]);
}
END_TEST

static void echo_stream(int client)
{
        static uint8_t payload[PROTOCOL_EXEC_MAX];
        struct protocol_frame frame;
        ssize_t n;

        peer_say_welcome(client);
        peer_read_frame(client, &frame, payload); /* HELLO */
        peer_read_frame(client, &frame, payload);
        peer_say_frame(client, PROTOCOL_DONE, frame.id, "", 0);
        while ((n = recv(client, payload, sizeof(payload), 0)) > 0)
                peer_say(client, payload, (size_t)n);
}

static void refuse(int client)
{
        uint8_t frame[PROTOCOL_SMALL_MAX];

        peer_say_welcome(client);
        peer_say(client, frame, protocol_put_error(frame, 1, PROTOCOL_FAULT_SYSTEM, 111, "refused"));
        pause();
}

#define CLIENTS (FORWARD_CONNECTIONS_MAX + 10) /* those past the limit wait their turn */
#define BYTES   300000

static struct loop *loop;
static struct sockaddr_in to;
static unsigned nr_troubles;
static struct loop_post done;

static void on_done(struct loop_post *post)
{
        (void)post;
        loop_stop(loop);
}

static void on_trouble(void *owner, const struct problem *problem)
{
        (void)owner;
        ck_assert_ptr_nonnull(strstr(problem->text, "refused"));
        nr_troubles++;
}

static int dial(void)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
        return fd;
}

/* Many at once; each sends all, ends its sending, and gets all back. */
static void *clients(void *arg)
{
        static char bytes[BYTES];
        int fds[CLIENTS];

        (void)arg;
        for (int i = 0; i < CLIENTS; i++)
                fds[i] = dial();
        for (int i = 0; i < CLIENTS; i++) {
                size_t got = 0, sent = 0;

                while (sent < BYTES || got < BYTES) {
                        ssize_t n = sent < BYTES ? send(fds[i], bytes + sent, BYTES - sent, MSG_DONTWAIT) : 0;

                        sent += n > 0 ? (size_t)n : 0;
                        if (sent == BYTES)
                                shutdown(fds[i], SHUT_WR);
                        n = recv(fds[i], bytes, sizeof(bytes), sent < BYTES ? MSG_DONTWAIT : 0);
                        if (!n)
                                break;
                        got += n > 0 ? (size_t)n : 0;
                }
                ck_assert_uint_eq(got, BYTES);
                ck_assert_int_eq(recv(fds[i], bytes, 1, 0), 0);
                close(fds[i]);
        }
        loop_post(loop, &done);
        return NULL;
}

static void *refused_client(void *arg)
{
        char byte;
        int fd = dial();

        (void)arg;
        ck_assert_int_le(recv(fd, &byte, 1, 0), 0);
        close(fd);
        loop_post(loop, &done);
        return NULL;
}

static void forward_with(void (*serve)(int client), void *(*client)(void *arg))
{
        struct forward_config config = { .name = "box", .on_trouble = on_trouble };
        struct problem problem = { 0 };
        struct forward *f = NULL;
        char text[FORWARD_TEXT];
        struct peer peer;
        unsigned port = 0;
        pthread_t thread;

        peer_start(&peer, serve);
        config.socket = peer.path;
        done.call = on_done;
        ck_assert_int_eq(loop_new(&loop), 0);
        ck_assert_int_eq(forward_parse("0:80", &config.spec, &problem), 0);
        ck_assert_int_eq(forward_new(loop, &config, &f, &problem), 0);
        ck_assert_int_eq(sscanf(forward_tell(f, text), "127.0.0.1:%u -> 80", &port), 1);
        to = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        pthread_create(&thread, NULL, client, NULL);
        ck_assert_int_eq(loop_run(loop), 0);
        pthread_join(thread, NULL);
        forward_free(f);
        loop_free(loop);
        peer_stop(&peer);
        unlink(peer.path);
}

START_TEST(test_many)
{
        forward_with(echo_stream, clients);
        ck_assert_uint_eq(nr_troubles, 0);
}
END_TEST

START_TEST(test_refused)
{
        forward_with(refuse, refused_client);
        ck_assert_uint_eq(nr_troubles, 1);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_parse, test_many, test_refused };

        return run_tests("forward", tests, array_size(tests));
}
