/* The network device over a stream, and over a back end of the test's own. */
#include "tests/unit/run.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/mock/driver.h"
#include "virtio/net/net.h"
#include "virtio/net/net_back.h"
#include "virtio/net/net_wire.h"
#include "vmm/base/cleanup.h"

#define RAM        0x800000u
#define HEAD       ((uint32_t)sizeof(struct virtio_net_head))
#define FRAME(n)   ((n) + HEAD)
#define LIMIT_MS   5000u
#define RX         0
#define TX         1
#define CTRL       4 /* of two pairs */
#define QUEUE_SIZE 64

static struct gmem *mem;
static struct loop *loop;
static struct virtio_dev *dev;
static struct mock_dev driver;
static int peer;
static int send_bytes; /* of the device's socket; 0: as many as usual */
static uint8_t frame[2 * NET_FRAME_MAX];

static struct net_config config_of(struct net_back *back)
{
        return (struct net_config){ .loop = loop, .mem = mem, .mac = { 2, 1, 2, 3, 4, 5 }, .back = back };
}

static void set_up_with(bool head, const struct rate_config *rate, uint64_t without)
{
        struct net_back *back;
        struct net_config cfg;
        int fds[2];

        mem = mock_ram(RAM);
        ck_assert(!loop_new(&loop));
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds));
        if (send_bytes)
                ck_assert(!setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes)));
        ck_assert(!net_stream_new(&back, fds[0], head, 1500));
        cfg = config_of(back);
        if (rate)
                cfg.rx = cfg.tx = *rate;
        ck_assert(!net_new(&cfg, &dev));
        peer = fds[1];
        mock_dev_init(&driver, dev, mem);
        mock_dev_start(&driver, without, QUEUE_SIZE);
        for (unsigned i = 0; i < sizeof(frame); i++)
                frame[i] = (uint8_t)(i * 7 + i / 251);
}

static void set_up(void)
{
        set_up_with(false, NULL, 0);
}

static void tear_down(void)
{
        virtio_free(dev);
        loop_free(loop);
        gmem_free(mem);
        fd_closep(&peer);
}

static void write_peer(const void *bytes, size_t n)
{
        ck_assert_int_eq(send(peer, bytes, n, 0), (ssize_t)n);
}

static void put_frame(uint32_t n)
{
        uint32_t wire = htonl(n);

        write_peer(&wire, sizeof(wire));
        write_peer(frame, n);
}

/* @n bytes of what the device has sent. */
static void get(uint8_t *to, size_t n)
{
        while (n) {
                ssize_t r = recv(peer, to, n, MSG_DONTWAIT);

                ck_assert(r > 0);
                to += r;
                n -= (size_t)r;
        }
}

static uint64_t add_rx(uint32_t n)
{
        uint64_t at = mock_buf(&driver, n);

        mock_add(&driver.vq[RX], (struct mock_seg[]){ { at, n, true } }, 1);
        return at;
}

static uint64_t put_head(struct virtio_net_head head, uint32_t n)
{
        uint64_t at = mock_buf(&driver, FRAME(n));

        mock_put(mem, at, &head, sizeof(head));
        mock_put(mem, at + HEAD, frame, n);
        return at;
}

static void add_tx(uint32_t n)
{
        uint64_t at = put_head((struct virtio_net_head){ 0 }, n);

        mock_add(&driver.vq[TX], (struct mock_seg[]){ { at, FRAME(n), false } }, 1);
}

static void kick(unsigned qi)
{
        ck_assert_int_eq(mock_kick(&driver, qi), 0);
}

static uint64_t stat(const char *name)
{
        return mock_stat(&driver, name);
}

START_TEST(test_frames_go_out_with_their_lengths)
{
        uint8_t got[4 + 1514];
        uint32_t len;

        set_up();
        add_tx(60);
        add_tx(1514);
        mock_add(&driver.vq[TX],
                 (struct mock_seg[]){ { put_head((struct virtio_net_head){ 0 }, 30), HEAD, false },
                                      { mock_buf(&driver, 40), 40, false } },
                 2);
        kick(TX);
        for (unsigned i = 0; i < 2; i++) {
                uint32_t n = i ? 1514 : 60;

                get(got, 4 + n);
                ck_assert(got[2] == n >> 8 && got[3] == (n & 255));
                ck_assert_mem_eq(got + 4, frame, n);
        }
        get(got, 44);
        ck_assert_uint_eq(got[3], 40);
        for (unsigned i = 0; i < 3; i++)
                ck_assert(mock_used(&driver.vq[TX], NULL, &len) && !len);
        ck_assert_uint_eq(driver.interrupts[TX], 1);
        ck_assert(stat("tx_packets") == 3 && stat("tx_bytes") == 60 + 1514 + 40);
        tear_down();
}
END_TEST

START_TEST(test_frames_come_in)
{
        struct virtio_net_head head;
        uint8_t got[1514];
        uint64_t at[3];
        uint32_t len;

        set_up();
        for (unsigned i = 0; i < 3; i++)
                at[i] = add_rx(1600);
        put_frame(60);
        put_frame(1514);
        kick(RX);
        for (unsigned i = 0; i < 2; i++) {
                uint32_t n = i ? 1514 : 60;

                ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == FRAME(n));
                mock_get(mem, at[i], &head, HEAD);
                ck_assert(le16_get(head.num_buffers) == 1 && !head.flags && !head.gso_type);
                mock_get(mem, at[i] + HEAD, got, n);
                ck_assert_mem_eq(got, frame, n);
        }
        ck_assert(!mock_used(&driver.vq[RX], NULL, NULL));
        ck_assert_uint_eq(driver.interrupts[RX], 1);
        ck_assert(stat("rx_packets") == 2 && stat("rx_bytes") == 60 + 1514);
        tear_down();
}
END_TEST

/* The largest frame, into buffers of a page and into those that are cut anywhere, within the header too. */
START_TEST(test_buffers_are_merged)
{
        static uint8_t got[FRAME(NET_FRAME_MAX) + 4096];
        const uint32_t sizes[] = { 1, 9, 3, 7, 4096 };
        struct virtio_net_head head;
        uint64_t at[QUEUE_SIZE];
        uint32_t len, sum = 0;
        unsigned n = 0, used = 0;

        set_up();
        for (uint32_t room = 0; room < FRAME(NET_FRAME_MAX); n++) {
                uint32_t size = sizes[n < 4 ? n : 4];

                at[n] = add_rx(size);
                room += size;
        }
        for (uint32_t sent = 0, wire = htonl(NET_FRAME_MAX); sent < NET_FRAME_MAX + 4;) {
                uint32_t part = 10000; /* more at a time than is read ahead */

                if (!sent) {
                        write_peer(&wire, 4);
                        sent = 4;
                }
                if (part > NET_FRAME_MAX + 4 - sent)
                        part = NET_FRAME_MAX + 4 - sent;
                ck_assert(!mock_used(&driver.vq[RX], NULL, NULL));
                write_peer(frame + sent - 4, part);
                sent += part;
                kick(RX);
        }
        while (mock_used(&driver.vq[RX], NULL, &len)) {
                mock_get(mem, at[used], got + sum, len);
                sum += len;
                used++;
        }
        ck_assert_uint_eq(sum, FRAME(NET_FRAME_MAX));
        memcpy(&head, got, HEAD);
        ck_assert_uint_eq(le16_get(head.num_buffers), used);
        ck_assert_uint_eq(used, n);
        ck_assert_mem_eq(got + HEAD, frame, NET_FRAME_MAX);
        ck_assert(virtio_is_live(dev) && !dev->guest_errors);
        tear_down();
}
END_TEST

START_TEST(test_without_merging_a_frame_has_one_chain)
{
        uint64_t small, large;
        uint32_t len;

        set_up_with(false, NULL, 1ull << VIRTIO_NET_F_MRG_RXBUF);
        small = mock_buf(&driver, 100);
        large = mock_buf(&driver, 2000);
        mock_add(&driver.vq[RX], (struct mock_seg[]){ { small, 50, true }, { small + 50, 21, true } }, 2);
        mock_add(&driver.vq[RX], (struct mock_seg[]){ { large, FRAME(1000), true } }, 1);
        put_frame(60); /* a byte too many for the first */
        put_frame(59);
        put_frame(1000);
        put_frame(14);
        kick(RX);
        ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == FRAME(59));
        ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == FRAME(1000));
        ck_assert_uint_eq(stat("rx_dropped"), 1);
        ck_assert_uint_eq(stat("rx_waits"), 1); /* the last one */
        tear_down();
}
END_TEST

START_TEST(test_a_frame_waits_for_buffers)
{
        uint32_t len;

        set_up();
        put_frame(1000);
        put_frame(60);
        kick(RX);
        add_rx(600);
        kick(RX);
        ck_assert(!mock_used(&driver.vq[RX], NULL, NULL));
        /* The driver is asked to say when there is more. */
        ck_assert_uint_eq(mock_avail_event(&driver.vq[RX]), 1);
        add_rx(600);
        kick(RX);
        ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == 600);
        ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == FRAME(1000) - 600);
        ck_assert(!mock_used(&driver.vq[RX], NULL, NULL));
        add_rx(600);
        kick(RX);
        ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == FRAME(60));
        ck_assert(stat("rx_dropped") == 0 && stat("rx_packets") == 2);
        tear_down();
}
END_TEST

/* Half of the queue is there and does not do: the frame can never be had. */
START_TEST(test_a_queue_that_is_too_small_loses_frames)
{
        uint32_t len;

        set_up();
        for (unsigned i = 0; i < QUEUE_SIZE / 2; i++)
                add_rx(16);
        put_frame(QUEUE_SIZE / 2 * 16 - HEAD + 1);
        put_frame(QUEUE_SIZE / 2 * 16 - HEAD);
        kick(RX);
        ck_assert_uint_eq(stat("rx_dropped"), 1);
        for (unsigned i = 0; i < QUEUE_SIZE / 2; i++)
                ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == 16);
        ck_assert_uint_eq(stat("rx_packets"), 1);
        tear_down();
}
END_TEST

static bool has_used(void *q)
{
        return mock_used(q, NULL, NULL);
}

START_TEST(test_the_socket_wakes_the_queue)
{
        set_up();
        add_rx(1600);
        add_rx(1600);
        kick(RX);
        put_frame(60);
        ck_assert(mock_run_until(loop, has_used, &driver.vq[RX], LIMIT_MS));
        put_frame(60);
        ck_assert(mock_run_until(loop, has_used, &driver.vq[RX], LIMIT_MS));
        tear_down();
}
END_TEST

static bool drained(void *arg)
{
        static uint8_t bytes[1 << 16];
        size_t *sum = arg;
        ssize_t r;

        while ((r = recv(peer, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
                for (ssize_t i = 0; i < r; i++) {
                        size_t at = (*sum)++ % (4ull + 40000);

                        ck_assert_uint_eq(bytes[i], at < 4 ? (40000u >> (24 - 8 * at)) & 255 : frame[at - 4]);
                }
        return *sum == 60 * (4ull + 40000);
}

static const int full_socket_bytes[] = { 0, 8192, 65536 };

START_TEST(test_a_full_socket_leaves_frames_in_the_queue)
{
        size_t sum = 0;
        unsigned done = 0;

        send_bytes = full_socket_bytes[_i];
        set_up();
        for (unsigned i = 0; i < 60; i++)
                add_tx(40000);
        kick(TX);
        while (mock_used(&driver.vq[TX], NULL, NULL))
                done++;
        ck_assert(done && done < 60 && stat("tx_stalls"));
        ck_assert(mock_run_until(loop, drained, &sum, LIMIT_MS));
        while (mock_used(&driver.vq[TX], NULL, NULL))
                done++;
        ck_assert_uint_eq(done, 60);
        ck_assert(stat("tx_packets") == 60 && stat("tx_bytes") == 60 * 40000ull && !stat("tx_dropped"));
        tear_down();
}
END_TEST

/* What was begun is sent to its end even when the driver is gone: the other side counts on it. */
START_TEST(test_a_reset_in_the_middle_of_frames)
{
        static uint8_t got[1 << 20];
        size_t n = 0, at = 0;
        uint32_t len;
        ssize_t r;

        send_bytes = 8192; /* so that it takes parts of frames */
        set_up();
        for (unsigned i = 0; i < 20; i++)
                add_tx(40000);
        for (unsigned i = 0; i < 4; i++)
                add_rx(64);
        write_peer((uint32_t[]){ htonl(100) }, 4);
        write_peer(frame, 50);
        kick(RX);
        kick(TX);
        ck_assert(virtio_reset(dev));
        driver.next_buf = (uint64_t)MOCK_VQ_BYTES * VIRTIO_QUEUES_MAX;
        mock_dev_start(&driver, 0, QUEUE_SIZE);
        add_tx(60);
        add_rx(1600);
        write_peer(frame + 50, 50);
        put_frame(70);
        kick(RX);
        /* The half of a frame is lost, and the next one is whole. */
        ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == FRAME(70));
        while (at + 64 != n) {
                r = recv(peer, got + n, sizeof(got) - n, MSG_DONTWAIT);
                n += r > 0 ? (size_t)r : 0;
                if (r <= 0)
                        kick(TX);
                while (n - at >= 4 && n - at >= 4 + 40000 && got[at + 2] == 40000 >> 8) {
                        ck_assert_mem_eq(got + at + 4, frame, 40000);
                        at += 4 + 40000;
                }
        }
        ck_assert_mem_eq(got + at, "\0\0\0\x3c", 4);
        ck_assert_mem_eq(got + at + 4, frame, 60);
        tear_down();
}
END_TEST

START_TEST(test_lengths_at_their_limits)
{
        static const struct {
                uint32_t len;
                bool good;
        } rows[] = {
                { 13, false }, { 14, true },         { NET_FRAME_MAX, true }, { NET_FRAME_MAX + 1, false },
                { 0, false },  { UINT32_MAX, false }
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                set_up();
                for (unsigned k = 0; k < 17; k++)
                        add_rx(4096);
                kick(RX);
                write_peer((uint32_t[]){ htonl(rows[i].len) }, 4);
                kick(RX);
                ck_assert_uint_eq(stat("link_downs"), !rows[i].good);
                ck_assert_uint_eq(driver.config_interrupts, !rows[i].good);
                ck_assert(virtio_is_live(dev) && !dev->guest_errors);
                tear_down();
        }
}
END_TEST

START_TEST(test_a_peer_that_goes_takes_the_link_down)
{
        struct virtio_net_cfg config;

        set_up();
        virtio_config_read(dev, 0, &config, sizeof(config));
        ck_assert(le16_get(config.status) == VIRTIO_NET_S_LINK_UP && le16_get(config.mtu) == 1500);
        ck_assert(config.mac[0] == 2 && config.mac[5] == 5);
        fd_closep(&peer);
        add_tx(60);
        kick(TX);
        add_tx(60);
        kick(TX);
        add_rx(1600);
        kick(RX);
        virtio_config_read(dev, 0, &config, sizeof(config));
        ck_assert_uint_eq(le16_get(config.status), 0);
        ck_assert(stat("link_downs") == 1 && driver.config_interrupts == 1);
        /* What the guest sends goes nowhere, and comes back to it. */
        ck_assert(mock_used(&driver.vq[TX], NULL, NULL) && mock_used(&driver.vq[TX], NULL, NULL));
        ck_assert(stat("tx_dropped") >= 1);
        tear_down();
}
END_TEST

START_TEST(test_headers_travel_where_they_are_wanted)
{
        const struct virtio_net_head needs = { .flags = 1,
                                               .csum_start = le16_of(34),
                                               .csum_offset = le16_of(16) };
        struct virtio_net_head odd = { .flags = 0xff, .gso_type = 1, .gso_size = le16_of(9) }, head;
        uint8_t got[4 + HEAD + 60];
        uint64_t at;

        set_up_with(true, NULL, 0);
        at = put_head(needs, 60);
        mock_add(&driver.vq[TX], (struct mock_seg[]){ { at, FRAME(60), false } }, 1);
        kick(TX);
        get(got, sizeof(got));
        ck_assert_uint_eq(got[3], FRAME(60));
        ck_assert_mem_eq(got + 4, &needs, HEAD);
        /* Of what the other side says, only that the checksums are good. */
        at = add_rx(1600);
        write_peer((uint32_t[]){ htonl(FRAME(60)) }, 4);
        write_peer(&odd, HEAD);
        write_peer(frame, 60);
        kick(RX);
        mock_get(mem, at, &head, HEAD);
        ck_assert(head.flags == VIRTIO_NET_HDR_F_DATA_VALID && !head.gso_type && !le16_get(head.gso_size));
        tear_down();
        set_up_with(true, NULL, 1ull << VIRTIO_NET_F_GUEST_CSUM);
        at = add_rx(1600);
        write_peer((uint32_t[]){ htonl(FRAME(60)) }, 4);
        write_peer(&odd, HEAD);
        write_peer(frame, 60);
        kick(RX);
        mock_get(mem, at, &head, HEAD);
        ck_assert_uint_eq(head.flags, 0);
        tear_down();
}
END_TEST

/* Frames with a header that cannot be are dropped, and the device goes on. */
START_TEST(test_hostile_frames_are_dropped)
{
        static const struct virtio_net_head heads[] = {
                { .flags = 1, .csum_start = { 34 }, .csum_offset = { 16 } }, /* not negotiated here */
                { .gso_type = 1, .gso_size = { 1448 } },
                { .gso_type = 0xff },
        };
        uint8_t got[64];

        set_up();
        add_tx(60);
        for (unsigned i = 0; i < array_size(heads); i++)
                mock_add(&driver.vq[TX], (struct mock_seg[]){ { put_head(heads[i], 60), FRAME(60), false } },
                         1);
        add_tx(13);
        add_tx(0);
        add_tx(60);
        mock_add(&driver.vq[TX], (struct mock_seg[]){ { 0x200000, NET_FRAME_MAX + HEAD + 1, false } }, 1);
        kick(TX);
        get(got, 64);
        get(got, 64);
        ck_assert_int_eq(recv(peer, got, 1, MSG_DONTWAIT), -1);
        ck_assert(stat("tx_dropped") == 6 && stat("tx_packets") == 2);
        for (unsigned i = 0; i < 8; i++)
                ck_assert(mock_used(&driver.vq[TX], NULL, NULL));
        ck_assert(!dev->guest_errors);
        tear_down();
}
END_TEST

START_TEST(test_hostile_chains_break_the_device)
{
        static const struct {
                unsigned qi;
                struct mock_seg seg;
        } rows[] = {
                { TX, { 0x200000, HEAD - 1, false } }, { TX, { 0x200000, 100, true } },
                { RX, { 0x200000, 100, false } },      { RX, { 0x200000, 0, true } },
                { RX, { RAM - 10, 20, true } },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                set_up();
                put_frame(60);
                mock_add(&driver.vq[rows[i].qi], &rows[i].seg, 1);
                kick(rows[i].qi);
                ck_assert_msg(dev->guest_errors == 1, "row %u", i);
                ck_assert(virtio_status(dev) & VIRTIO_STATUS_NEEDS_RESET);
                ck_assert(virtio_reset(dev));
                mock_dev_start(&driver, 0, QUEUE_SIZE);
                add_tx(60);
                kick(TX);
                ck_assert(mock_used(&driver.vq[TX], NULL, NULL));
                tear_down();
        }
}
END_TEST

static bool has_sent_4(void *unused)
{
        (void)unused;
        return stat("tx_packets") == 4 && stat("rx_packets") == 4;
}

START_TEST(test_rates)
{
        const struct rate_config slow = { .ops = { .size = 2, .refill_ms = 100 } };

        set_up_with(false, &slow, 0);
        for (unsigned i = 0; i < 4; i++) {
                add_tx(60);
                add_rx(1600);
                put_frame(60);
        }
        kick(TX);
        kick(RX);
        ck_assert_uint_eq(stat("tx_packets"), 2);
        ck_assert_uint_eq(stat("rx_packets"), 3); /* paid for before the next one */
        ck_assert(stat("tx_throttled") == 1 && stat("rx_throttled") == 1);
        ck_assert(mock_run_until(loop, has_sent_4, NULL, LIMIT_MS));
        /* Other limits hold at once. */
        for (unsigned i = 0; i < 3; i++)
                add_tx(60);
        kick(TX);
        ck_assert_uint_lt(stat("tx_packets"), 7);
        net_set_rates(dev, NULL, &(struct rate_config){ 0 });
        kick(TX);
        ck_assert_uint_eq(stat("tx_packets"), 7);
        tear_down();
}
END_TEST

START_TEST(test_save_and_load)
{
        static uint8_t bytes[4096];
        struct buf b = buf_of(bytes, sizeof(bytes));
        uint32_t len;

        set_up();
        /* Two chains are in the window, with the half of a frame in them. */
        add_rx(100);
        add_rx(100);
        write_peer((uint32_t[]){ htonl(150) }, 4);
        write_peer(frame, 75);
        kick(RX);
        virtio_save(dev, &b);
        ck_assert(!b.bad);
        ck_assert(virtio_reset(dev));
        b = buf_of(bytes, b.at);
        virtio_load(dev, &b);
        ck_assert(!b.bad && !buf_left(&b) && virtio_is_live(dev));
        write_peer(frame, 75);
        put_frame(150);
        kick(RX);
        ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == 100);
        ck_assert(mock_used(&driver.vq[RX], NULL, &len) && len == FRAME(150) - 100);
        ck_assert_uint_eq(stat("rx_packets"), 1);
        tear_down();
}
END_TEST

/* A back end of two pairs that only remembers what it is told. */
static struct {
        struct net_back back;
        unsigned sent[2], received[2], pairs, waiting[2];
        uint64_t features;
} two;

static unsigned two_send(struct net_back *back, unsigned pair, const struct net_frame *frames, unsigned n)
{
        (void)back, (void)frames;
        two.sent[pair] += n;
        return n;
}

static void two_flush(struct net_back *back, unsigned pair)
{
        (void)back, (void)pair;
}

static int two_next(struct net_back *back, unsigned pair, uint32_t *ret_need)
{
        (void)back;
        *ret_need = FRAME(60);
        return two.waiting[pair] ? 0 : NET_E_AGAIN;
}

static int two_receive(struct net_back *back, unsigned pair, const struct gbuf *bufs, unsigned n,
                       uint32_t *ret_len)
{
        (void)back, (void)bufs;
        *ret_len = FRAME(60);
        two.waiting[pair]--;
        two.received[pair]++;
        return n ? 0 : NET_E_DROPPED;
}

static void two_set_features(struct net_back *back, uint64_t features)
{
        (void)back;
        two.features = features;
}

static void two_set_pairs(struct net_back *back, unsigned pairs)
{
        (void)back;
        two.pairs = pairs;
}

static void two_reset(struct net_back *back)
{
        (void)back;
}

static void two_destroy(struct net_back *back)
{
        fd_closep(&back->fds[0]);
        fd_closep(&back->fds[1]);
}

static const struct net_back_ops two_ops = { .send = two_send,
                                             .flush = two_flush,
                                             .next = two_next,
                                             .receive = two_receive,
                                             .set_features = two_set_features,
                                             .set_pairs = two_set_pairs,
                                             .reset = two_reset,
                                             .destroy = two_destroy };

static void set_up_two(uint64_t without)
{
        struct net_config cfg;

        memset(&two, 0, sizeof(two));
        two.back = (struct net_back){ .ops = &two_ops, .nr_pairs = 2, .mtu = 1500 };
        mem = mock_ram(RAM);
        ck_assert(!loop_new(&loop));
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, two.back.fds));
        cfg = config_of(&two.back);
        ck_assert(!net_new(&cfg, &dev));
        peer = -1;
        mock_dev_init(&driver, dev, mem);
        mock_dev_start(&driver, without, QUEUE_SIZE);
}

static uint8_t order(unsigned qi, const uint8_t *bytes, uint32_t n)
{
        uint64_t at = mock_buf(&driver, 64);
        uint8_t ack = 0xee;

        mock_put(mem, at, bytes, n);
        mock_put(mem, at + 32, &ack, 1);
        mock_add(&driver.vq[qi], (struct mock_seg[]){ { at, n, false }, { at + 32, 1, true } }, 2);
        kick(qi);
        mock_get(mem, at + 32, &ack, 1);
        return ack;
}

static bool both_received(void *unused)
{
        (void)unused;
        return two.received[1] == 1;
}

START_TEST(test_several_pairs)
{
        set_up_two(0);
        ck_assert_uint_eq(dev->cls->nr_queues, 5);
        add_tx(60);
        kick(TX);
        ck_assert(two.sent[0] == 1 && two.pairs == 1 && two.features == dev->acked);
        /* The second pair rests until it is asked for; what was put there then counts. */
        two.waiting[1] = 1;
        mock_add(&driver.vq[2], (struct mock_seg[]){ { mock_buf(&driver, 100), 100, true } }, 1);
        kick(2);
        ck_assert_uint_eq(two.received[1], 0);
        ck_assert_uint_eq(order(CTRL, (uint8_t[]){ 4, 0, 3, 0 }, 4), VIRTIO_NET_ERR);
        ck_assert_uint_eq(order(CTRL, (uint8_t[]){ 4, 0, 0, 0 }, 4), VIRTIO_NET_ERR);
        ck_assert_uint_eq(order(CTRL, (uint8_t[]){ 4, 0 }, 2), VIRTIO_NET_ERR);
        ck_assert_uint_eq(order(CTRL, (uint8_t[]){ 1, 0, 1, 0 }, 4), VIRTIO_NET_ERR);
        ck_assert_uint_eq(two.pairs, 1);
        ck_assert_uint_eq(order(CTRL, (uint8_t[]){ 4, 0, 2, 0 }, 4), VIRTIO_NET_OK);
        ck_assert_uint_eq(two.pairs, 2);
        ck_assert(mock_run_until(loop, both_received, NULL, LIMIT_MS));
        ck_assert(virtio_reset(dev));
        mock_dev_start(&driver, 0, QUEUE_SIZE);
        add_tx(60);
        kick(TX);
        ck_assert_uint_eq(two.pairs, 1);
        tear_down();
}
END_TEST

START_TEST(test_without_mq_the_control_queue_is_the_third)
{
        set_up_two(1ull << VIRTIO_NET_F_MQ);
        ck_assert_uint_eq(order(2, (uint8_t[]){ 4, 0, 2, 0 }, 4), VIRTIO_NET_ERR);
        ck_assert_uint_eq(two.pairs, 1);
        tear_down();
}
END_TEST

START_TEST(test_an_order_without_room_for_an_answer)
{
        set_up_two(0);
        mock_add(&driver.vq[CTRL], (struct mock_seg[]){ { mock_buf(&driver, 64), 4, false } }, 1);
        kick(CTRL);
        ck_assert_uint_eq(dev->guest_errors, 1);
        tear_down();
}
END_TEST

int main(void)
{
        const struct run_test tests[] = {
                { test_frames_go_out_with_their_lengths, 1 },
                { test_frames_come_in, 1 },
                { test_buffers_are_merged, 1 },
                { test_without_merging_a_frame_has_one_chain, 1 },
                { test_a_frame_waits_for_buffers, 1 },
                { test_a_queue_that_is_too_small_loses_frames, 1 },
                { test_the_socket_wakes_the_queue, 1 },
                { test_a_full_socket_leaves_frames_in_the_queue, array_size(full_socket_bytes) },
                { test_a_reset_in_the_middle_of_frames, 1 },
                { test_lengths_at_their_limits, 1 },
                { test_a_peer_that_goes_takes_the_link_down, 1 },
                { test_headers_travel_where_they_are_wanted, 1 },
                { test_hostile_frames_are_dropped, 1 },
                { test_hostile_chains_break_the_device, 1 },
                { test_rates, 1 },
                { test_save_and_load, 1 },
                { test_several_pairs, 1 },
                { test_without_mq_the_control_queue_is_the_third, 1 },
                { test_an_order_without_room_for_an_answer, 1 },
        };

        return run_loop_tests("net", tests, array_size(tests));
}
