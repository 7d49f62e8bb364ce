/* What a guest says of its frames, believed or not. */
#include "tests/unit/run.h"

#include <string.h>

#include "virtio/net/net_parse.h"

#define CSUM (1ull << VIRTIO_NET_F_CSUM)
#define TSO4 (1ull << VIRTIO_NET_F_HOST_TSO4)
#define TSO6 (1ull << VIRTIO_NET_F_HOST_TSO6)
#define ECN  (1ull << VIRTIO_NET_F_HOST_ECN)
#define ALL  (CSUM | TSO4 | TSO6 | ECN)
#define V4   VIRTIO_NET_HDR_GSO_TCPV4
#define V6   VIRTIO_NET_HDR_GSO_TCPV6

struct row {
        const char *what;
        unsigned flags, gso, size, start, offset;
        uint64_t len, features;
        int want;
        unsigned hdr_len;
};

static struct virtio_net_head head_of(const struct row *row)
{
        return (struct virtio_net_head){
                .flags = (uint8_t)row->flags,
                .gso_type = (uint8_t)row->gso,
                .hdr_len = le16_of(0xffff), /* what it says of that is never believed */
                .gso_size = le16_of((uint16_t)row->size),
                .csum_start = le16_of((uint16_t)row->start),
                .csum_offset = le16_of((uint16_t)row->offset),
                .num_buffers = le16_of(7),
        };
}

static void check_rows(const struct row *rows, unsigned n, const uint8_t *frame)
{
        for (unsigned i = 0; i < n; i++) {
                struct virtio_net_head in = head_of(&rows[i]), out;
                int r = net_parse_tx(&in, frame, rows[i].len, rows[i].features, &out);

                ck_assert_msg(r == rows[i].want, "%s: %d", rows[i].what, r);
                if (r)
                        continue;
                ck_assert_msg(le16_get(out.hdr_len) == rows[i].hdr_len, "%s", rows[i].what);
                ck_assert_uint_eq(out.gso_type, rows[i].gso);
                ck_assert_uint_eq(le16_get(out.gso_size), rows[i].gso ? rows[i].size : 0);
                ck_assert_uint_eq(out.flags, rows[i].flags & VIRTIO_NET_HDR_F_NEEDS_CSUM);
                ck_assert_uint_eq(le16_get(out.num_buffers), 0);
        }
}

/* Ethernet, IPv4 without options, TCP of 20 bytes. */
static void make_v4(uint8_t *frame)
{
        memset(frame, 0, NET_PARSE_BYTES);
        frame[12] = 0x08;
        frame[14] = 0x45;
        frame[23] = 6;
        frame[46] = 0x50;
}

START_TEST(test_plain_frames_and_checksums)
{
        static const struct row rows[] = {
                { "least", 0, 0, 0, 0, 0, 14, 0, 0, 0 },
                { "short", 0, 0, 0, 0, 0, 13, 0, NET_PARSE_E_FRAME, 0 },
                { "longest", 0, 0, 0, 0, 0, NET_FRAME_MAX, 0, 0, 0 },
                { "too long", 0, 0, 0, 0, 0, NET_FRAME_MAX + 1, 0, NET_PARSE_E_FRAME, 0 },
                { "too long by far", 0, 0, 0, 0, 0, UINT64_MAX, 0, NET_PARSE_E_FRAME, 0 },
                { "what is the device's to say", 2 | 4, 0, 0, 9, 9, 60, ALL, 0, 0 },
                { "checksum", 1, 0, 0, 34, 16, 60, CSUM, 0, 0 },
                { "not negotiated", 1, 0, 0, 34, 16, 60, ALL & ~CSUM, NET_PARSE_E_CSUM, 0 },
                { "at the end", 1, 0, 0, 34, 24, 60, CSUM, 0, 0 },
                { "beyond the end", 1, 0, 0, 34, 25, 60, CSUM, NET_PARSE_E_CSUM, 0 },
                { "in Ethernet", 1, 0, 0, 13, 16, 60, CSUM, NET_PARSE_E_CSUM, 0 },
                { "after Ethernet", 1, 0, 0, 14, 0, 60, CSUM, 0, 0 },
                { "wraps 16 bits", 1, 0, 0, 65535, 3, 60, CSUM, NET_PARSE_E_CSUM, 0 },
                { "a size without segments", 0, 0, 100, 0, 0, 60, ALL, 0, 0 },
        };
        uint8_t frame[NET_PARSE_BYTES];

        make_v4(frame);
        check_rows(rows, array_size(rows), frame);
}
END_TEST

START_TEST(test_segments)
{
        static const struct row rows[] = {
                { "good", 1, V4, 1448, 34, 16, 60000, ALL, 0, 54 },
                { "with congestion", 1, V4 | 0x80, 1448, 34, 16, 60000, ALL, 0, 54 },
                { "congestion alone", 1, 0x80, 1448, 34, 16, 60000, ALL, NET_PARSE_E_GSO, 0 },
                { "no congestion", 1, V4 | 0x80, 1448, 34, 16, 60000, ALL & ~ECN, NET_PARSE_E_GSO, 0 },
                { "not negotiated", 1, V4, 1448, 34, 16, 60000, ALL & ~TSO4, NET_PARSE_E_GSO, 0 },
                { "no checksum", 0, V4, 1448, 34, 16, 60000, ALL, NET_PARSE_E_GSO, 0 },
                { "least", 1, V4, NET_GSO_MIN, 34, 16, 60000, ALL, 0, 54 },
                { "less", 1, V4, NET_GSO_MIN - 1, 34, 16, 60000, ALL, NET_PARSE_E_GSO, 0 },
                { "none", 1, V4, 0, 34, 16, 60000, ALL, NET_PARSE_E_GSO, 0 },
                { "a checksum of UDP", 1, V4, 1448, 34, 6, 60000, ALL, NET_PARSE_E_GSO, 0 },
                { "elsewhere", 1, V4, 1448, 38, 16, 60000, ALL, NET_PARSE_E_GSO, 0 },
                { "of the other kind", 1, V6, 1428, 54, 16, 60000, ALL, NET_PARSE_E_GSO, 0 },
                { "headers alone", 1, V4, 1448, 34, 16, 54, ALL, NET_PARSE_E_GSO, 0 },
                { "a byte", 1, V4, 1448, 34, 16, 55, ALL, 0, 54 },
                { "UFO", 1, 3, 1448, 34, 16, 60000, UINT64_MAX, NET_PARSE_E_GSO, 0 },
                { "USO", 1, 5, 1448, 34, 16, 60000, UINT64_MAX, NET_PARSE_E_GSO, 0 },
                { "both", 1, V4 | V6, 1448, 34, 16, 60000, UINT64_MAX, NET_PARSE_E_GSO, 0 },
        };
        static const struct row udp[] = { { "UDP", 1, V4, 1448, 34, 16, 60000, ALL, NET_PARSE_E_GSO, 0 } };
        uint8_t frame[NET_PARSE_BYTES];

        make_v4(frame);
        check_rows(rows, array_size(rows), frame);
        frame[23] = 17;
        check_rows(udp, 1, frame);
}
END_TEST

START_TEST(test_headers_that_are_long_or_short)
{
        static const struct row tagged[] = {
                { "tag and options", 1, V4, 1448, 78, 16, 60000, ALL, 0, 138 },
                { "cut", 1, V4, 1448, 78, 16, 97, ALL, NET_PARSE_E_GSO, 0 },
        };
        static const struct row v6[] = {
                { "IPv6", 1, V6, 1428, 54, 16, 60000, ALL, 0, 74 },
                { "within the address", 1, V6, 1428, 53, 16, 60000, ALL, NET_PARSE_E_GSO, 0 },
                { "as IPv4", 1, V4, 1428, 54, 16, 60000, ALL, NET_PARSE_E_GSO, 0 },
                { "not negotiated", 1, V6, 1428, 54, 16, 60000, ALL & ~TSO6, NET_PARSE_E_GSO, 0 },
                { "far", 1, V6, 1428, 119, 16, 60000, ALL, NET_PARSE_E_GSO, 0 },
        };
        static const struct row shorter = { "TCP of 16 bytes", 1, V4, 1448, 34, 16, 60000, ALL,
                                            NET_PARSE_E_GSO,   0 };
        uint8_t frame[NET_PARSE_BYTES] = { 0 };

        frame[12] = 0x81;
        frame[16] = 0x08;
        frame[18] = 0x4f;
        frame[27] = 6;
        frame[78 + 12] = 0xf0;
        check_rows(tagged, array_size(tagged), frame);
        memset(frame, 0, sizeof(frame));
        frame[12] = 0x86;
        frame[13] = 0xdd;
        frame[14] = 0x60;
        frame[20] = 6;
        frame[66] = 0x50;
        check_rows(v6, array_size(v6), frame);
        make_v4(frame);
        frame[46] = 0x40;
        check_rows(&shorter, 1, frame);
}
END_TEST

START_TEST(test_orders)
{
        static const struct {
                uint8_t bytes[4];
                size_t len;
                int want;
        } rows[] = {
                { { 4, 0, 1, 0 }, 4, 0 },
                { { 4, 0, 3, 0 }, 4, 0 },
                { { 4, 0, 4, 0 }, 4, NET_PARSE_E_CTRL }, /* one more than there are */
                { { 4, 0, 0, 0 }, 4, NET_PARSE_E_CTRL },
                { { 4, 0, 1, 1 }, 4, NET_PARSE_E_CTRL },
                { { 4, 0, 1, 0 }, 3, NET_PARSE_E_CTRL },
                { { 4, 1, 1, 0 }, 4, NET_PARSE_E_CTRL },
                { { 0, 0, 1, 0 }, 4, NET_PARSE_E_CTRL },
        };
        unsigned pairs;

        for (unsigned i = 0; i < array_size(rows); i++) {
                ck_assert_int_eq(net_parse_ctrl(rows[i].bytes, rows[i].len, 3, &pairs), rows[i].want);
                ck_assert(rows[i].want || pairs == rows[i].bytes[2]);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_plain_frames_and_checksums,
                test_segments,
                test_headers_that_are_long_or_short,
                test_orders,
        };

        return run_tests("net_parse", tests, array_size(tests));
}
