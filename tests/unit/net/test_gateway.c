/*
 * The gateway with frames by hand on one side, and a world of socket pairs on the other.
 */
#include "net/gateway.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/addresses.h"
#include "net/bytes.h"
#include "net/frame.h"
#include "net/udp.h"
#include "tests/mock/wire.h"
#include "tests/unit/run.h"

#define ISS 1000u

struct world {
        struct loop *loop;
        struct gateway *gateway;
        struct events events;
        struct wire wire;
        int peers[1024]; /* the world's ends of what the gateway opened */
        unsigned nr_peers;
        struct frame_end last;
        int refuse; /* negative errno for the next ones */
        unsigned ends;
        int end_error;
};

static int open_pair(void *ctx, enum policy_proto proto, const struct frame_end *to)
{
        struct world *w = ctx;
        int ends[2];

        w->last = *to;
        if (w->refuse)
                return w->refuse;
        ck_assert(!socketpair(AF_UNIX,
                              (proto == POLICY_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK | SOCK_CLOEXEC,
                              0, ends));
        w->peers[w->nr_peers++] = ends[1];
        return ends[0];
}

static void on_end(void *owner, int error)
{
        struct world *w = owner;

        w->ends++;
        w->end_error = error;
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

static void set_up(struct world *w, struct policy *policy)
{
        static const struct host_ops none;
        struct host_ops host = none;
        struct gateway_config config = {
                .policy = policy, .events = &w->events, .on_end = on_end, .owner = w
        };
        struct problem p = { 0 };
        int ends[2];

        memset(w, 0, sizeof(*w));
        host.open = open_pair;
        host.ctx = w;
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
        ck_assert(!loop_new(&w->loop));
        ck_assert(!events_open(&w->events, NULL, 0, &p));
        lan_init(&w->wire.lan);
        w->wire.fd = ends[1];
        config.loop = w->loop;
        config.fd = ends[0];
        config.lan = w->wire.lan;
        config.host = &host;
        ck_assert(!gateway_new(&config, &w->gateway));
}

static void tear_down(struct world *w)
{
        gateway_free(w->gateway);
        events_close(&w->events);
        loop_free(w->loop);
        fd_closep(&w->wire.fd);
        for (unsigned i = 0; i < w->nr_peers; i++)
                fd_closep(&w->peers[i]);
}

static struct policy public_policy(void)
{
        return (struct policy){ .mode = POLICY_PUBLIC, .connections = 600 };
}

static struct frame_end away(uint16_t port)
{
        return (struct frame_end){ { ADDRESS_IP4, { 11, 0, 0, 2 } }, port };
}

static struct wire_packet packet(const struct world *w, uint8_t proto, uint16_t from, uint16_t to)
{
        return (struct wire_packet){ .src = { w->wire.lan.guest_ip4, from },
                                     .dst = away(to),
                                     .proto = proto };
}

static void send_tcp(struct world *w, uint16_t from, uint8_t flags, uint32_t seq, uint32_t ack,
                     const char *bytes)
{
        struct wire_packet p = packet(w, FRAME_PROTO_TCP, from, 80);

        p.flags = flags;
        p.seq = seq;
        p.ack = ack;
        p.bytes = bytes;
        p.len = strlen(bytes);
        wire_send_packet(&w->wire, &p);
        turn(w);
}

/* The next segment to the guest. Return: its header, of 20 bytes or more. */
static const uint8_t *next_tcp(struct world *w, unsigned flags)
{
        const uint8_t *tcp;
        uint8_t proto;

        ck_assert(wire_read(&w->wire));
        tcp = wire_body(&w->wire, &proto);
        ck_assert_int_eq(proto, FRAME_PROTO_TCP);
        ck_assert_msg((tcp[13] & 0x17u) == flags, "flags 0x%x, not 0x%x", tcp[13], flags);
        return tcp;
}

static size_t payload(const struct world *w, const uint8_t *tcp)
{
        return w->wire.len - (size_t)(tcp - w->wire.frame) - (tcp[12] >> 4) * 4u;
}

/* A connection of the guest's port @from to port 80. Return: the gateway's next sequence number. */
static uint32_t handshake(struct world *w, uint16_t from)
{
        const uint8_t *tcp;
        uint32_t seq;

        send_tcp(w, from, FRAME_TCP_SYN, ISS, 0, "");
        tcp = next_tcp(w, FRAME_TCP_SYN | FRAME_TCP_ACK);
        ck_assert_uint_eq(bytes_get16(tcp), 80);
        ck_assert_uint_eq(bytes_get16(tcp + 2), from);
        ck_assert_uint_eq(bytes_get32(tcp + 8), ISS + 1);
        seq = bytes_get32(tcp + 4) + 1;
        send_tcp(w, from, FRAME_TCP_ACK, ISS + 1, seq, "");
        return seq;
}

START_TEST(test_tcp)
{
        struct policy policy = public_policy();
        const uint8_t *tcp;
        char bytes[16];
        struct world w;
        uint32_t seq;

        set_up(&w, &policy);
        seq = handshake(&w, 1000);
        ck_assert_uint_eq(w.nr_peers, 1);
        ck_assert_uint_eq(w.last.port, 80);
        send_tcp(&w, 1000, FRAME_TCP_ACK, ISS + 1, seq, "hello");
        ck_assert_int_eq(recv(w.peers[0], bytes, sizeof(bytes), 0), 5);
        ck_assert(!memcmp(bytes, "hello", 5));
        ck_assert_int_eq(send(w.peers[0], "world", 5, 0), 5);
        turn(&w);
        tcp = next_tcp(&w, FRAME_TCP_ACK);
        ck_assert_uint_eq(bytes_get32(tcp + 8), ISS + 6);
        ck_assert_uint_eq(payload(&w, tcp), 5);
        /* The guest ends its side, then the world. */
        send_tcp(&w, 1000, FRAME_TCP_FIN | FRAME_TCP_ACK, ISS + 6, seq + 5, "");
        ck_assert_int_eq(recv(w.peers[0], bytes, sizeof(bytes), 0), 0);
        (void)next_tcp(&w, FRAME_TCP_ACK);
        fd_closep(&w.peers[0]);
        turn(&w);
        (void)next_tcp(&w, FRAME_TCP_FIN | FRAME_TCP_ACK);
        ck_assert_uint_eq(gateway_stats(w.gateway).connections, 1);
        send_tcp(&w, 1000, FRAME_TCP_ACK, ISS + 7, seq + 6, "");
        ck_assert_uint_eq(gateway_stats(w.gateway).connections, 0);
        ck_assert(!wire_read(&w.wire));
        tear_down(&w);
}
END_TEST

/* The world ends first; no side has to wait afterwards, and the ports can be used again at once. */
START_TEST(test_world_ends_first)
{
        struct policy policy = public_policy();
        struct world w;

        set_up(&w, &policy);
        for (unsigned i = 0; i < 3; i++) {
                uint32_t seq = handshake(&w, 1000);

                fd_closep(&w.peers[i]);
                turn(&w);
                (void)next_tcp(&w, FRAME_TCP_FIN | FRAME_TCP_ACK);
                send_tcp(&w, 1000, FRAME_TCP_FIN | FRAME_TCP_ACK, ISS + 1, seq + 1, "");
                (void)next_tcp(&w, FRAME_TCP_ACK);
                ck_assert_uint_eq(gateway_stats(w.gateway).connections, 0);
        }
        tear_down(&w);
}
END_TEST

START_TEST(test_resets)
{
        struct policy policy = public_policy();
        const struct linger now = { .l_onoff = 1 };
        struct world w;
        char byte;

        set_up(&w, &policy);
        (void)handshake(&w, 1000);
        send_tcp(&w, 1000, FRAME_TCP_RST, ISS + 1, 0, "");
        ck_assert_int_le(recv(w.peers[0], &byte, 1, 0), 0);
        ck_assert_uint_eq(gateway_stats(w.gateway).connections, 0);
        /* A segment of a connection that is not there. */
        send_tcp(&w, 1000, FRAME_TCP_ACK, ISS + 1, 5, "late");
        (void)next_tcp(&w, FRAME_TCP_RST | FRAME_TCP_ACK);
        /* The world refuses, then cannot be reached. */
        w.refuse = -ECONNREFUSED;
        send_tcp(&w, 1001, FRAME_TCP_SYN, ISS, 0, "");
        ck_assert_uint_eq(bytes_get32(next_tcp(&w, FRAME_TCP_RST | FRAME_TCP_ACK) + 8), ISS + 1);
        w.refuse = -ENETUNREACH;
        send_tcp(&w, 1001, FRAME_TCP_SYN, ISS, 0, "");
        ck_assert(wire_read(&w.wire));
        ck_assert_uint_eq(w.wire.frame[34], 3);
        ck_assert_uint_eq(w.wire.frame[35], 1);
        w.refuse = -ETIMEDOUT;
        send_tcp(&w, 1001, FRAME_TCP_SYN, ISS, 0, "");
        ck_assert(!wire_read(&w.wire));
        ck_assert_uint_eq(gateway_stats(w.gateway).connections, 0);
        (void)now;
        tear_down(&w);
}
END_TEST

/* As many connections as the policy says, and one more. */
START_TEST(test_connections)
{
        struct policy policy = public_policy();
        struct world w;

        policy.connections = 5;
        set_up(&w, &policy);
        for (uint16_t i = 0; i < 5; i++)
                (void)handshake(&w, (uint16_t)(1000 + i));
        send_tcp(&w, 1005, FRAME_TCP_SYN, ISS, 0, "");
        ck_assert(wire_read(&w.wire));
        ck_assert_uint_eq(w.wire.frame[34], 3);
        ck_assert_uint_eq(w.wire.frame[35], 13);
        ck_assert_uint_eq(gateway_stats(w.gateway).gate.too_many, 1);
        send_tcp(&w, 1000, FRAME_TCP_RST, ISS + 1, 0, "");
        (void)handshake(&w, 1005);
        tear_down(&w);
}
END_TEST

/* A flood of SYNs: each held one counts, and what the guest gives up is let go. */
START_TEST(test_flood)
{
        struct policy policy = public_policy();
        struct world w;

        policy.connections = 50;
        set_up(&w, &policy);
        for (uint16_t i = 0; i < 200; i++)
                send_tcp(&w, (uint16_t)(1000 + i), FRAME_TCP_SYN, ISS, 0, "");
        ck_assert_uint_eq(gateway_stats(w.gateway).connections, 50);
        ck_assert_uint_eq(w.nr_peers, 50);
        tear_down(&w);
}
END_TEST

START_TEST(test_denied)
{
        struct policy policy = { .mode = POLICY_DENY, .connections = 10 };
        struct wire_packet p;
        struct world w;

        set_up(&w, &policy);
        send_tcp(&w, 1000, FRAME_TCP_SYN, ISS, 0, "");
        p = packet(&w, FRAME_PROTO_UDP, 1000, 443);
        wire_send_packet(&w.wire, &p);
        p = packet(&w, FRAME_PROTO_ICMP, 0, 0);
        p.bytes = "\x08\0\0\0\0\7\0\1";
        p.len = 8;
        wire_send_packet(&w.wire, &p);
        turn(&w);
        for (unsigned i = 0; i < 3; i++) {
                ck_assert(wire_read(&w.wire));
                ck_assert_uint_eq(w.wire.frame[34], 3);
                ck_assert_uint_eq(w.wire.frame[35], 13);
        }
        ck_assert_uint_eq(w.nr_peers, 0);
        ck_assert_uint_eq(gateway_stats(w.gateway).gate.denied, 3);
        tear_down(&w);
}
END_TEST

START_TEST(test_udp)
{
        struct policy policy = public_policy();
        struct wire_packet p;
        struct world w;
        char bytes[16];
        uint8_t proto;

        set_up(&w, &policy);
        for (uint16_t i = 0; i <= UDP_FLOWS_MAX; i++) {
                p = packet(&w, FRAME_PROTO_UDP, (uint16_t)(1000 + i), 53);
                p.bytes = "ask";
                p.len = 3;
                wire_send_packet(&w.wire, &p);
                if (i % 16 == 0)
                        turn(&w);
        }
        turn(&w);
        ck_assert_uint_eq(w.nr_peers, UDP_FLOWS_MAX + 1);
        ck_assert_uint_eq(gateway_stats(w.gateway).datagram_flows, UDP_FLOWS_MAX);
        ck_assert_int_eq(recv(w.peers[1], bytes, sizeof(bytes), 0), 3);
        ck_assert_int_eq(send(w.peers[1], "answer", 6, 0), 6);
        turn(&w);
        ck_assert(wire_read(&w.wire));
        ck_assert_int_eq(bytes_get16(wire_body(&w.wire, &proto) + 2), 1001);
        ck_assert_int_eq(proto, FRAME_PROTO_UDP);
        ck_assert(!memcmp(w.wire.frame + 42, "answer", 6));
        tear_down(&w);
}
END_TEST

/* Who has the gateway's addresses, and whoever is asked for by a guest that knows nothing. */
START_TEST(test_neighbours)
{
        static const uint8_t arp[28] = { 0,    1,    8, 0,  6, 4, 0,  1,         2, 0x76, 0x6d,
                                         0x6c, 0x74, 2, 10, 0, 2, 15, [24] = 10, 0, 2,    2 };
        struct policy policy = public_policy();
        uint8_t frame[14 + 28], solicit[24] = { 135 };
        struct wire_packet p;
        struct world w;
        uint8_t proto;

        set_up(&w, &policy);
        memset(frame, 0xff, 6);
        memcpy(frame + 6, w.wire.lan.guest_mac, 6);
        bytes_put16(frame + 12, 0x0806);
        memcpy(frame + 14, arp, sizeof(arp));
        wire_send(&w.wire, frame, sizeof(frame));
        turn(&w);
        ck_assert(wire_read(&w.wire));
        ck_assert(!memcmp(w.wire.frame + 22, w.wire.lan.gateway_mac, 6));
        frame[41] = 15; /* its own */
        wire_send(&w.wire, frame, sizeof(frame));
        turn(&w);
        ck_assert(!wire_read(&w.wire));

        memcpy(solicit + 8, w.wire.lan.gateway_ip6.bytes, 16);
        p = (struct wire_packet){ .src = { .address = w.wire.lan.guest_ip6 },
                                  .dst = { { ADDRESS_IP6, { 0xff, 2, [11] = 1, 0xff, [15] = 2 } }, 0 },
                                  .proto = FRAME_PROTO_ICMP6,
                                  .bytes = solicit,
                                  .len = sizeof(solicit) };
        wire_send_packet(&w.wire, &p);
        solicit[0] = 133;
        p.len = 8;
        wire_send_packet(&w.wire, &p);
        turn(&w);
        ck_assert(wire_read(&w.wire));
        ck_assert_uint_eq(*wire_body(&w.wire, &proto), 136);
        ck_assert(wire_read(&w.wire));
        ck_assert_uint_eq(*wire_body(&w.wire, &proto), 134);
        tear_down(&w);
}
END_TEST

START_TEST(test_dhcp)
{
        struct policy policy = public_policy();
        uint8_t request[240 + 16] = { 1, 1, 6 };
        static const struct {
                uint8_t options[16];
                uint8_t answer; /* 0: none */
        } rows[] = {
                { { 53, 1, 1, 255 }, 2 },
                { { 53, 1, 3, 50, 4, 10, 0, 2, 15, 255 }, 5 },
                { { 53, 1, 3, 50, 4, 10, 0, 2, 16, 255 }, 6 },
                { { 53, 1, 3, 50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 3, 255 }, 0 },
                { { 53, 1, 8, 255 }, 5 },
                { { 53, 1, 7, 255 }, 0 },
                { { 53, 1, 9, 255 }, 0 },
        };
        struct world w;

        set_up(&w, &policy);
        memcpy(request + 236, "\x63\x82\x53\x63", 4);
        for (unsigned i = 0; i < array_size(rows); i++) {
                struct wire_packet p = { .src = { { ADDRESS_IP4, { 0 } }, 68 },
                                         .dst = { { ADDRESS_IP4, { 255, 255, 255, 255 } }, 67 },
                                         .proto = FRAME_PROTO_UDP,
                                         .bytes = request,
                                         .len = sizeof(request) };

                memcpy(request + 240, rows[i].options, 16);
                wire_send_packet(&w.wire, &p);
                turn(&w);
                ck_assert_int_eq(wire_read(&w.wire), rows[i].answer != 0);
                if (!rows[i].answer)
                        continue;
                ck_assert_uint_eq(w.wire.frame[14 + 28 + 242], rows[i].answer);
                if (rows[i].answer == 2)
                        ck_assert(!memcmp(w.wire.frame + 14 + 28 + 16, w.wire.lan.guest_ip4.bytes, 4));
        }
        tear_down(&w);
}
END_TEST

START_TEST(test_spoofed)
{
        struct policy policy = public_policy();
        struct wire_packet p;
        struct world w;

        set_up(&w, &policy);
        p = packet(&w, FRAME_PROTO_UDP, 1000, 53);
        p.src.address.bytes[3] = 16;
        wire_send_packet(&w.wire, &p);
        turn(&w);
        ck_assert_uint_eq(gateway_stats(w.gateway).dropped[FRAME_E_SOURCE], 1);
        ck_assert_uint_eq(w.nr_peers, 0);
        ck_assert(!wire_read(&w.wire));
        tear_down(&w);
}
END_TEST

START_TEST(test_wire_ends)
{
        struct policy policy = public_policy();
        struct world w;

        set_up(&w, &policy);
        (void)handshake(&w, 1000);
        fd_closep(&w.wire.fd);
        turn(&w);
        ck_assert_uint_eq(w.ends, 1);
        ck_assert_int_eq(w.end_error, 0);
        tear_down(&w);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_tcp,   test_world_ends_first, test_resets,   test_connections,
                                       test_flood, test_denied,           test_udp,      test_neighbours,
                                       test_dhcp,  test_spoofed,          test_wire_ends };

        return run_tests("gateway", tests, array_size(tests));
}
