/*
 * Small parts of the gateway: rings, events, rates, echo, words of the command line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "net/bytes.h"
#include "net/gate.h"
#include "net/icmp.h"
#include "net/options.h"
#include "net/publish.h"
#include "net/ring.h"
#include "net/status.h"
#include "tests/mock/wire.h"
#include "tests/unit/run.h"

static const struct frame_end away = { { ADDRESS_IP4, { 11, 0, 0, 2 } }, 80 };

START_TEST(test_ring)
{
        static uint8_t in[RING_SIZE + 1], out[RING_SIZE];
        struct ring r = { 0 };
        size_t n, room;

        for (size_t i = 0; i < sizeof(in); i++)
                in[i] = (uint8_t)(i * 7);
        ck_assert(!ring_append(&r, in, RING_SIZE + 1));
        ck_assert_ptr_null(r.bytes);
        ck_assert(ring_append(&r, in, 1000));
        ring_drop(&r, 900);
        ck_assert(!ring_append(&r, in, RING_SIZE - 99));
        ck_assert(ring_append(&r, in, RING_SIZE - 100));
        ck_assert_ptr_nonnull(ring_room(&r, &room));
        ck_assert_uint_eq(room, 0);
        ck_assert(!memcmp(ring_data(&r, 0, &n), in + 900, 100));
        for (size_t at = 0; at < RING_SIZE - 100; at += n) {
                const uint8_t *from = ring_data(&r, 100 + at, &n);

                memcpy(out + at, from, n);
        }
        ck_assert(!memcmp(out, in, RING_SIZE - 100));
        ring_drop(&r, RING_SIZE);
        ck_assert_ptr_null(r.bytes); /* empty: without memory */
        ring_fini(&r);
}
END_TEST

START_TEST(test_events)
{
        struct policy policy = { .mode = POLICY_PUBLIC, .connections = 1000 };
        char path[] = "/tmp/events.XXXXXX", name[sizeof(path) + 2], line[400];
        struct problem p = { 0 };
        struct events events;
        struct gate gate;
        struct stat st;
        int fd;

        ck_assert_ptr_nonnull(mkdtemp(path));
        (void)snprintf(name, sizeof(name), "%s/e", path);
        ck_assert(!events_open(&events, name, 1 << 20, &p));
        ck_assert(!gate_init(&gate, &policy, &events));
        ck_assert(gate_decide(&gate, POLICY_TCP, &away).allow);
        fd = open(name, O_RDONLY);
        ck_assert_int_gt(read(fd, line, sizeof(line)), 0);
        fd_closep(&fd);
        ck_assert_ptr_nonnull(strstr(line, "\"address\":\"11.0.0.2\",\"port\":80,"));
        ck_assert_ptr_nonnull(strstr(line, "\"verdict\":\"allow\""));
        /* More than a disk should have of one guest. */
        for (unsigned i = 0; i < 4 * EVENTS_PER_SECOND; i++)
                (void)gate_decide(&gate, POLICY_TCP, &away);
        ck_assert_uint_eq(events.written + events.lost, 4 * EVENTS_PER_SECOND + 1);
        ck_assert_uint_ge(events.written, EVENTS_PER_SECOND);
        ck_assert_uint_gt(events.lost, EVENTS_PER_SECOND);
        ck_assert(!stat(name, &st) && st.st_size > 0);
        gate_fini(&gate);
        events_close(&events);
        (void)unlink(name);
        (void)snprintf(line, sizeof(line), "%s.1", name);
        (void)unlink(line);
        ck_assert(!rmdir(path));
}
END_TEST

START_TEST(test_rates)
{
        struct policy policy = { .mode = POLICY_PUBLIC,
                                 .connections = 1000,
                                 .connections_per_second = 5,
                                 .bytes_per_second = 1000 };
        struct problem p = { 0 };
        struct events events;
        struct gate gate;

        ck_assert(!events_open(&events, NULL, 0, &p));
        ck_assert(!gate_init(&gate, &policy, &events));
        for (unsigned i = 0; i < 5; i++)
                ck_assert_ptr_null(gate_enter(&gate, POLICY_TCP, &away));
        ck_assert_str_eq(gate_enter(&gate, POLICY_TCP, &away), "too many connections a second");
        ck_assert_uint_eq(gate.open, 5);
        /* Each direction for itself; what has passed is paid for before more may. */
        ck_assert_uint_eq(gate_pay(&gate, GATE_TO_GUEST, 1000), 0);
        ck_assert_uint_gt(gate_pay(&gate, GATE_TO_GUEST, 500), 400000000);
        ck_assert(!gate_admit(&gate, GATE_TO_GUEST, 1));
        ck_assert(gate_admit(&gate, GATE_FROM_GUEST, 1000));
        ck_assert(!gate_admit(&gate, GATE_FROM_GUEST, 100));
        /* Another policy begins anew. */
        policy.bytes_per_second = 0;
        gate_replace(&gate, &policy);
        ck_assert_uint_eq(gate_pay(&gate, GATE_TO_GUEST, 1 << 30), 0);
        gate_fini(&gate);
        events_close(&events);
}
END_TEST

struct world {
        int peers[ICMP_FLOWS_MAX + 1];
        unsigned nr;
};

static int open_pair(void *ctx, enum policy_proto proto, const struct frame_end *to)
{
        struct world *w = ctx;
        int ends[2];

        ck_assert_int_eq(proto, POLICY_ICMP);
        ck_assert_uint_eq(to->address.bytes[0], 11);
        ck_assert(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends));
        w->peers[w->nr++] = ends[1];
        return ends[0];
}

static void on_frame(void *owner, const uint8_t *bytes, size_t n)
{
        (void)owner;
        (void)bytes;
        (void)n;
}

static void on_nothing(void *owner)
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

static void turn(struct loop *loop)
{
        struct loop_timer stop = { .call = on_stop };

        loop_timer_set(loop, &stop, 5000000);
        ck_assert_int_eq(loop_run(loop), -ECANCELED);
}

/* As many targets as there is room for, and one more; and who answers. */
START_TEST(test_echo)
{
        static const struct stream_ops ops = { .on_frame = on_frame,
                                               .on_room = on_nothing,
                                               .on_end = on_end };
        struct policy policy = { .mode = POLICY_PUBLIC, .connections = 1000 };
        struct world w = { 0 };
        const struct host_ops host = { open_pair, &w };
        struct problem p = { 0 };
        struct icmp_config config = { .host = &host };
        struct events events;
        static struct wire wire;
        struct gate gate;
        struct icmp *icmp;
        uint8_t frame[100], proto, byte[64];
        int ends[2];

        lan_init(&wire.lan);
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
        wire.fd = ends[1];
        ck_assert(!events_open(&events, NULL, 0, &p) && !gate_init(&gate, &policy, &events));
        ck_assert(!loop_new(&config.loop) && !stream_new(config.loop, ends[0], &ops, &w, &config.stream));
        config.lan = &wire.lan;
        config.gate = &gate;
        ck_assert(!icmp_new(&config, &icmp));
        for (uint8_t i = 0; i <= ICMP_FLOWS_MAX; i++) {
                const struct wire_packet echo = { .src = { .address = wire.lan.guest_ip4 },
                                                  .dst = { { ADDRESS_IP4, { 11, 0, 1, i } }, 0 },
                                                  .proto = FRAME_PROTO_ICMP,
                                                  .bytes = "\x08\0\0\0\0\7\0\1ping",
                                                  .len = 12 };
                struct frame f;

                ck_assert_int_eq(frame_parse(frame, wire_build(&wire.lan, &echo, frame), &wire.lan, &f),
                                 FRAME_OK);
                icmp_input(icmp, &f);
                icmp_input(icmp, &f);
        }
        ck_assert_uint_eq(w.nr, ICMP_FLOWS_MAX);
        ck_assert_int_eq(recv(w.peers[5], byte, sizeof(byte), 0), 12);
        byte[0] = 0;
        byte[5] = 99; /* the ping socket's own */
        ck_assert_int_eq(send(w.peers[5], byte, 12, 0), 12);
        turn(config.loop);
        ck_assert(wire_read(&wire));
        ck_assert_uint_eq(wire.frame[29], 5);
        ck_assert_uint_eq(wire_body(&wire, &proto)[5], 7);
        ck_assert_uint_eq(frame_sum(frame_add(0, wire_body(&wire, &proto), 12)), 0);
        icmp_free(icmp);
        ck_assert_uint_eq(gate.open, 0);
        stream_free(config.stream);
        loop_free(config.loop);
        gate_fini(&gate);
        events_close(&events);
        fd_closep(&wire.fd);
        for (unsigned i = 0; i < w.nr; i++)
                fd_closep(&w.peers[i]);
}
END_TEST

START_TEST(test_publish_words)
{
        static const char *const bad[] = { "",       "80",        "80:",        ":80",           "0:80",
                                           "80:0",   "65536:80",  "80:65536",   "80:80/sctp",    "80:80/udp/",
                                           "1:2:3",  "::1:80:80", "[::1:80:80", "[1.2.3.4]:1:2", "[::1]80:80",
                                           " 80:80", "80:80 ",    ":80:80" };
        struct publish_spec s;

        ck_assert(publish_read("8080:80", &s) && s.at.port == 8080 && s.guest_port == 80 && !s.udp);
        ck_assert_uint_eq(s.at.address.bytes[0], 127);
        ck_assert(publish_read("0.0.0.0:65535:1/udp", &s) && s.udp && s.at.port == 65535 &&
                  !s.at.address.bytes[0]);
        ck_assert(publish_read("[::]:80:80/tcp", &s) && s.at.address.family == ADDRESS_IP6);
        for (unsigned i = 0; i < array_size(bad); i++)
                ck_assert_msg(!publish_read(bad[i], &s), "'%s' was read", bad[i]);
}
END_TEST

static int read_words(struct options *o, struct problem *p, int n, ...)
{
        char *words[80] = { "vmlet-net" };
        va_list list;

        *p = (struct problem){ 0 };
        va_start(list, n);
        for (int i = 1; i <= n; i++)
                words[i] = va_arg(list, char *);
        va_end(list);
        return options_read(o, n + 1, words, p);
}

START_TEST(test_options)
{
        static const struct {
                const char *word, *says;
        } bad[] = {
                { "--fd=x", "descriptor" },
                { "--polcy=x", "did you mean --policy?" },
                { "policy", "unknown option" },
                { "--publish=80", "GUESTPORT" },
                { "--resolver=example.com", "resolver" },
                { "--resolver=[::1]:0", "resolver" },
                { "--mac=03:00:00:00:00:01", "is not an Ethernet address" },
                { "--events-limit=many", "size" },
                { "--help=1", "takes no value" },
                { "--events", "FILE is missing" },
        };
        static struct options o;
        struct problem p;

        ck_assert(!read_words(&o, &p, 7, "--fd", "3", "--policy=p", "--publish=1:2", "--publish",
                              "[::1]:3:4/udp", "--resolver=[11.0.0.1]:5353"));
        ck_assert_int_eq(o.fd, 3);
        ck_assert_str_eq(o.policy, "p");
        ck_assert_uint_eq(o.nr_ports, 2);
        ck_assert_uint_eq(o.nr_resolvers, 1);
        ck_assert_uint_eq(o.resolvers[0].port, 5353);
        ck_assert(!read_words(&o, &p, 1, "--help") && o.mode == OPTIONS_HELP);
        ck_assert(read_words(&o, &p, 1, "--fd=3"));
        ck_assert_ptr_nonnull(strstr(p.text, "--policy is missing"));
        for (unsigned i = 0; i < array_size(bad); i++) {
                ck_assert(read_words(&o, &p, 1, bad[i].word));
                ck_assert_int_eq(p.status, NET_E_USAGE);
                ck_assert_msg(strstr(p.text, bad[i].says) != NULL, "%s: %s", bad[i].word, p.text);
        }
        ck_assert(read_words(&o, &p, 4, "--resolver=1.1.1.1", "--resolver=1.1.1.2", "--resolver=1.1.1.3",
                             "--resolver=1.1.1.4"));
        ck_assert_ptr_nonnull(strstr(p.text, "more than 3 resolvers"));
}
END_TEST

START_TEST(test_ports)
{
        static struct options o;
        static char words[PUBLISH_MAX + 2][32];
        char *argv[PUBLISH_MAX + 3] = { "vmlet-net" };
        struct problem p = { 0 };

        for (unsigned i = 0; i <= PUBLISH_MAX; i++) {
                (void)snprintf(words[i], sizeof(words[i]), "--publish=%u:80", i + 1);
                argv[i + 1] = words[i];
        }
        ck_assert(options_read(&o, PUBLISH_MAX + 1, argv, &p)); /* nothing else is said */
        ck_assert_uint_eq(o.nr_ports, PUBLISH_MAX);
        p = (struct problem){ 0 };
        ck_assert(options_read(&o, PUBLISH_MAX + 2, argv, &p));
        ck_assert_ptr_nonnull(strstr(p.text, "more than 64"));
}
END_TEST

/* A port that another has, in words. */
START_TEST(test_taken)
{
        struct publish_spec spec = { .at = { { ADDRESS_IP4, { 127, 0, 0, 1 } }, 0 }, .guest_port = 80 };
        struct sockaddr_storage a;
        socklen_t len = sizeof(a);
        struct publish *one = NULL;
        struct problem p = { 0 };
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        len = host_address(&spec.at, &a);
        ck_assert(!bind(fd, (struct sockaddr *)&a, len) && !listen(fd, 1));
        ck_assert(!getsockname(fd, (struct sockaddr *)&a, &len) && host_end(&a, &spec.at));
        ck_assert(publish_open(&spec, 1, &one, &p));
        ck_assert_int_eq(p.status, NET_E_HOST);
        ck_assert_ptr_nonnull(strstr(p.text, "in use"));
        ck_assert_ptr_null(one);
        fd_closep(&fd);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_ring,          test_events,  test_rates, test_echo,
                                       test_publish_words, test_options, test_ports, test_taken };

        return run_tests("parts", tests, array_size(tests));
}
