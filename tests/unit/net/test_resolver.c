/*
 * The guest's resolver with a resolver of the world by hand: what is asked, how often, and how many at once.
 */
#include "net/dns.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/bytes.h"
#include "net/dns_parse.h"
#include "tests/mock/wire.h"
#include "tests/unit/run.h"

#define PEERS_MAX 512u

struct world {
        struct loop *loop;
        struct stream *stream;
        struct gate gate;
        struct events events;
        struct policy policy;
        struct host_ops host;
        struct dns *dns;
        struct wire wire;
        int peers[PEERS_MAX];
        enum policy_proto protos[PEERS_MAX];
        unsigned nr;
        struct frame_end last;
};

static int open_pair(void *ctx, enum policy_proto proto, const struct frame_end *to)
{
        struct world *w = ctx;
        int ends[2];

        ck_assert_uint_lt(w->nr, PEERS_MAX);
        ck_assert(!socketpair(AF_UNIX,
                              (proto == POLICY_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
                              0, ends));
        w->last = *to;
        w->protos[w->nr] = proto;
        w->peers[w->nr++] = ends[1];
        return ends[0];
}

static void on_frame(void *owner, const uint8_t *bytes, size_t n)
{
        struct world *w = owner;
        struct frame f;

        ck_assert_int_eq(frame_parse(bytes, n, &w->wire.lan, &f), FRAME_OK);
        dns_input(w->dns, &f);
}

static void on_room(void *owner)
{
        (void)owner;
}

static void on_end(void *owner, int error)
{
        (void)owner;
        (void)error;
}

static int on_stop(struct loop_timer *timer)
{
        (void)timer;
        return -ECANCELED;
}

static void turn(struct world *w)
{
        struct loop_timer stop = { .call = on_stop };

        loop_timer_set(w->loop, &stop, 2000000);
        ck_assert_int_eq(loop_run(w->loop), -ECANCELED);
}

static void set_up(struct world *w)
{
        static const struct stream_ops ops = { .on_frame = on_frame, .on_room = on_room, .on_end = on_end };
        struct dns_config config = {
                .lan = &w->wire.lan, .gate = &w->gate, .host = &w->host, .nr_servers = 2
        };
        struct problem p = { 0 };
        int ends[2];

        memset(w, 0, sizeof(*w));
        w->host = (struct host_ops){ open_pair, w };
        w->policy = (struct policy){ .mode = POLICY_PUBLIC, .connections = 100 };
        lan_init(&w->wire.lan);
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
        w->wire.fd = ends[1];
        ck_assert(!loop_new(&w->loop));
        ck_assert(!stream_new(w->loop, ends[0], &ops, w, &w->stream));
        ck_assert(!events_open(&w->events, NULL, 0, &p));
        ck_assert(!gate_init(&w->gate, &w->policy, &w->events));
        config.loop = w->loop;
        config.stream = w->stream;
        for (uint8_t i = 0; i < 2; i++)
                config.servers[i] =
                        (struct frame_end){ { ADDRESS_IP4, { 11, 0, 0, (uint8_t)(50 + i) } }, 53 };
        ck_assert(!dns_new(&config, &w->dns));
}

static void tear_down(struct world *w)
{
        dns_free(w->dns);
        gate_fini(&w->gate);
        events_close(&w->events);
        stream_free(w->stream);
        loop_free(w->loop);
        fd_closep(&w->wire.fd);
        for (unsigned i = 0; i < w->nr; i++)
                fd_closep(&w->peers[i]);
}

static size_t question(uint8_t *ret, uint16_t id)
{
        char name[64];

        (void)snprintf(name, sizeof(name), "n%u.example.com", id);
        return dns_build_query(ret, 512, id, name, DNS_A);
}

static void ask(struct world *w, uint16_t id)
{
        uint8_t bytes[512];
        size_t n = question(bytes, id);

        wire_send_packet(&w->wire, &(struct wire_packet){ .src = { w->wire.lan.guest_ip4, 40000 },
                                                          .dst = { w->wire.lan.gateway_ip4, 53 },
                                                          .proto = FRAME_PROTO_UDP,
                                                          .bytes = bytes,
                                                          .len = n });
        turn(w);
}

/* The rcode of the next reply; -1: there is none. */
static int reply(struct world *w, uint16_t id)
{
        uint8_t proto;
        const uint8_t *udp;

        if (!wire_read(&w->wire))
                return -1;
        udp = wire_body(&w->wire, &proto);
        ck_assert_int_eq(proto, FRAME_PROTO_UDP);
        ck_assert_uint_eq(bytes_get16(udp), 53);
        ck_assert_uint_eq(bytes_get16(udp + 8), id);
        return udp[11] & 15;
}

/* The world's answer to what was asked of its peer @i: one address. @flags: 0x8180, say */
static void answer(struct world *w, unsigned i, uint16_t flags, bool right_id)
{
        static const uint8_t record[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 11, 0, 0, 9 };
        uint8_t bytes[600];
        ssize_t n = recv(w->peers[i], bytes + 2, 512, MSG_DONTWAIT);
        size_t skip = w->protos[i] == POLICY_TCP ? 2 : 0, end = 12;
        const uint8_t *q = bytes + 2 + skip;

        ck_assert_int_gt(n, 12);
        while (q[end])
                end += q[end] + 1u;
        end += 5;
        memmove(bytes + 2, q, end);
        if (!right_id)
                bytes[2] ^= 1;
        bytes_put16(bytes, (uint16_t)(end + sizeof(record)));
        bytes_put16(bytes + 4, flags);
        bytes_put16(bytes + 8, 1);
        bytes_put16(bytes + 12, 0);
        memcpy(bytes + 2 + end, record, sizeof(record));
        n = send(w->peers[i], bytes + 2 - skip, end + sizeof(record) + skip, 0);
        ck_assert_int_eq(n, (ssize_t)(end + sizeof(record) + skip));
        turn(w);
}

START_TEST(test_answer)
{
        const struct frame_end found = { { ADDRESS_IP4, { 11, 0, 0, 9 } }, 0 };
        struct policy_names names = { 0 };
        struct world w;

        set_up(&w);
        ask(&w, 7);
        ck_assert_uint_eq(w.nr, 1);
        ask(&w, 7); /* again, as resolvers do: it is on its way */
        ck_assert_uint_eq(w.nr, 1);
        ck_assert_int_eq(reply(&w, 7), -1);
        answer(&w, 0, 0x8180, true);
        ck_assert_int_eq(reply(&w, 7), DNS_NOERROR);
        pins_find(w.gate.pins, &found.address, loop_now_ns(), &names);
        ck_assert_uint_eq(names.nr, 1);
        ck_assert_str_eq(names.names[0], "n7.example.com");
        tear_down(&w);
}
END_TEST

/* From a liar: it is as if nothing had come. */
START_TEST(test_spoofed)
{
        struct world w;

        set_up(&w);
        ask(&w, 7);
        answer(&w, 0, 0x8180, false);
        ck_assert_int_eq(reply(&w, 7), -1);
        ck_assert_uint_eq(pins_count(w.gate.pins), 0);
        tear_down(&w);
}
END_TEST

/* Failures are asked of the next resolver, four times in all. */
START_TEST(test_failures)
{
        struct world w;

        set_up(&w);
        ask(&w, 7);
        for (unsigned i = 0; i < 4; i++) {
                ck_assert_uint_eq(w.nr, i + 1);
                ck_assert_uint_eq(w.last.address.bytes[3], 50 + i % 2);
                ck_assert_int_eq(reply(&w, 7), -1);
                answer(&w, i, 0x8182, true);
        }
        ck_assert_uint_eq(w.nr, 4);
        ck_assert_int_eq(reply(&w, 7), DNS_SERVFAIL);
        tear_down(&w);
}
END_TEST

START_TEST(test_truncated)
{
        struct world w;

        set_up(&w);
        ask(&w, 7);
        answer(&w, 0, 0x8380, true);
        ck_assert_uint_eq(w.nr, 2);
        ck_assert_int_eq(w.protos[1], POLICY_TCP);
        ck_assert_uint_eq(w.last.address.bytes[3], 50);
        answer(&w, 1, 0x8180, true);
        ck_assert_int_eq(reply(&w, 7), DNS_NOERROR);
        tear_down(&w);
}
END_TEST

START_TEST(test_queries)
{
        struct world w;

        set_up(&w);
        for (uint16_t i = 0; i < DNS_QUERIES_MAX; i++)
                ask(&w, (uint16_t)(100 + i));
        ck_assert_uint_eq(w.nr, DNS_QUERIES_MAX);
        ck_assert_int_eq(reply(&w, 0), -1);
        ask(&w, 99);
        ck_assert_uint_eq(w.nr, DNS_QUERIES_MAX);
        ck_assert_int_eq(reply(&w, 99), DNS_SERVFAIL);
        answer(&w, 3, 0x8180, true);
        ck_assert_int_eq(reply(&w, 103), DNS_NOERROR);
        ask(&w, 99);
        ck_assert_uint_eq(w.nr, DNS_QUERIES_MAX + 1);
        ck_assert_uint_eq(dns_stats(w.dns).limited, 1);
        tear_down(&w);
}
END_TEST

/* A name is no tunnel: so many questions a second, and no more. */
START_TEST(test_rate)
{
        struct world w;
        unsigned nr = 0;

        set_up(&w);
        for (uint16_t i = 0; i < 6 * DNS_RATE; i++) {
                ask(&w, (uint16_t)(100 + i));
                if (w.nr == nr)
                        continue;
                answer(&w, nr, 0x8180, true);
                nr = w.nr;
        }
        ck_assert_uint_ge(nr, DNS_RATE);
        ck_assert_uint_eq(dns_stats(w.dns).limited, 6 * DNS_RATE - nr);
        ck_assert_uint_gt(dns_stats(w.dns).limited, DNS_RATE);
        tear_down(&w);
}
END_TEST

START_TEST(test_streams)
{
        int fds[DNS_STREAMS_MAX];
        uint8_t bytes[2048] = { 0 };
        struct world w;
        size_t n;

        set_up(&w);
        for (unsigned i = 0; i < DNS_STREAMS_MAX; i++) {
                fds[i] = dns_connect(w.dns);
                ck_assert_int_ge(fds[i], 0);
        }
        ck_assert_int_eq(dns_connect(w.dns), -ECONNREFUSED);
        /* Two questions at once: the second after the first. */
        for (uint16_t i = 0; i < 2; i++) {
                n = question(bytes + 2, (uint16_t)(7 + i));
                bytes_put16(bytes, (uint16_t)n);
                ck_assert_int_eq(send(fds[0], bytes, n + 2, 0), (ssize_t)(n + 2));
        }
        for (unsigned i = 0; i < 2; i++) {
                turn(&w);
                ck_assert_uint_eq(w.nr, i + 1);
                answer(&w, i, 0x8180, true);
                ck_assert_int_gt(recv(fds[0], bytes, sizeof(bytes), 0), 14);
                ck_assert_uint_eq(bytes_get16(bytes + 2), 7 + i);
        }
        /* The longest question there may be is only answered; a longer one ends the connection. */
        memset(bytes, 0, sizeof(bytes));
        bytes_put16(bytes, 1024);
        ck_assert_int_eq(send(fds[0], bytes, 1026, 0), 1026);
        turn(&w);
        ck_assert_int_gt(recv(fds[0], bytes, sizeof(bytes), MSG_DONTWAIT), 2);
        bytes_put16(bytes, 1025);
        ck_assert_int_eq(send(fds[1], bytes, 2, 0), 2);
        turn(&w);
        ck_assert_int_eq(recv(fds[1], bytes, sizeof(bytes), MSG_DONTWAIT), 0);
        for (unsigned i = 0; i < DNS_STREAMS_MAX; i++)
                fd_closep(&fds[i]);
        turn(&w);
        fds[0] = dns_connect(w.dns);
        ck_assert_int_ge(fds[0], 0);
        fd_closep(&fds[0]);
        tear_down(&w);
}
END_TEST

/* Who goes while his question is on its way. */
START_TEST(test_stream_goes)
{
        uint8_t bytes[512];
        struct world w;
        size_t n;
        int fd;

        set_up(&w);
        fd = dns_connect(w.dns);
        n = question(bytes + 2, 7);
        bytes_put16(bytes, (uint16_t)n);
        ck_assert_int_eq(send(fd, bytes, n + 2, 0), (ssize_t)(n + 2));
        turn(&w);
        ck_assert_uint_eq(w.nr, 1);
        fd_closep(&fd);
        turn(&w);
        ck_assert_int_le(send(w.peers[0], "x", 1, MSG_NOSIGNAL), 0);
        tear_down(&w);
}
END_TEST

START_TEST(test_servers)
{
        static const char text[] =
                "# nameserver 11.0.0.1\nsearch example.com\nnameserver 127.0.0.53\n nameserver\t2600:1::53\n"
                "nameserver nonsense\nnameserver fe80::1%eth0\nnameserver 11.0.0.3\nnameserver 11.0.0.4\n";
        struct frame_end servers[DNS_SERVERS_MAX];
        char path[] = "/tmp/resolv.XXXXXX";
        int fd = mkstemp(path);

        ck_assert_int_eq(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
        fd_closep(&fd);
        ck_assert_uint_eq(dns_read_servers(path, servers), DNS_SERVERS_MAX);
        ck_assert_uint_eq(servers[0].address.bytes[3], 53);
        ck_assert_uint_eq(servers[1].address.family, ADDRESS_IP6);
        ck_assert_uint_eq(servers[1].port, 53);
        ck_assert(!unlink(path));
        ck_assert_uint_eq(dns_read_servers(path, servers), 0);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_answer,    test_spoofed,     test_failures,
                                       test_truncated, test_queries,     test_rate,
                                       test_streams,   test_stream_goes, test_servers };

        return run_tests("resolver", tests, array_size(tests));
}
