/*
 * Frames of a guest: what is understood, and a table of what is not.
 */
#include "net/frame_parse.h"

#include <string.h>

#include "net/bytes.h"
#include "net/frame.h"
#include "tests/mock/wire.h"
#include "tests/unit/run.h"

static struct lan lan;
static const struct address away4 = { ADDRESS_IP4, { 11, 0, 0, 2 } };
static const struct address away6 = { ADDRESS_IP6, { 0x26, 0, 0, 1, [15] = 2 } };

static size_t build(uint8_t *frame, bool is_ip4, uint8_t proto, size_t len)
{
        static const uint8_t bytes[65536] = { 8 };
        const struct wire_packet p = { .src = { is_ip4 ? lan.guest_ip4 : lan.guest_ip6, 1000 },
                                       .dst = { is_ip4 ? away4 : away6, 80 },
                                       .proto = proto,
                                       .flags = FRAME_TCP_SYN,
                                       .bytes = bytes,
                                       .len = len };

        return wire_build(&lan, &p, frame);
}

static void fix_sum(uint8_t *frame)
{
        bytes_put16(frame + 24, 0);
        bytes_put16(frame + 24, frame_sum(frame_add(0, frame + 14, (frame[14] & 15u) * 4u)));
}

START_TEST(test_good)
{
        static const struct {
                uint8_t proto;
                enum frame_kind kind;
        } rows[] = { { FRAME_PROTO_TCP, FRAME_TCP }, { FRAME_PROTO_UDP, FRAME_UDP } };
        uint8_t frame[70000];
        struct frame f;

        for (unsigned i = 0; i < 2 * array_size(rows); i++) {
                size_t n = build(frame, i % 2, rows[i / 2].proto, 100);

                ck_assert_int_eq(frame_parse(frame, n, &lan, &f), FRAME_OK);
                ck_assert_int_eq(f.kind, rows[i / 2].kind);
                ck_assert(address_equal(&f.src, i % 2 ? &lan.guest_ip4 : &lan.guest_ip6));
                ck_assert(address_equal(&f.dst, i % 2 ? &away4 : &away6));
                ck_assert_uint_eq(f.src_port, 1000);
                ck_assert_uint_eq(f.dst_port, 80);
                ck_assert_uint_eq(f.body_len, f.kind == FRAME_TCP ? 120 : 100);
                /* Ethernet pads short frames: what is behind the packet does not count. */
                ck_assert_int_eq(frame_parse(frame, n + 40, &lan, &f), FRAME_OK);
                ck_assert_uint_eq(f.body_len, f.kind == FRAME_TCP ? 120 : 100);
        }
        ck_assert_int_eq(frame_parse(frame, build(frame, true, FRAME_PROTO_ICMP, 8), &lan, &f), FRAME_OK);
        ck_assert_int_eq(f.kind, FRAME_ICMP);
        ck_assert_int_eq(frame_parse(frame, build(frame, false, FRAME_PROTO_ICMP6, 8), &lan, &f), FRAME_OK);
        ck_assert_int_eq(f.kind, FRAME_ICMP6);
}
END_TEST

/* One byte or two of a good frame are others. */
struct row {
        const char *what;
        bool is_ip4;
        uint8_t proto;
        unsigned at;
        uint16_t value;
        bool wide, keep_sum;
        int result;
};

static const struct row table[] = {
        { "to another station", true, 6, 0, 4, .result = FRAME_E_STATION },
        { "from another station", true, 6, 6, 4, .result = FRAME_E_STATION },
        { "VLAN", true, 6, 12, 0x8100, .wide = true, .result = FRAME_E_TYPE },
        { "IPv6 in IPv4's type", false, 6, 12, 0x0800, .wide = true, .keep_sum = true,
          .result = FRAME_E_LENGTH },
        { "header of 16 bytes", true, 6, 14, 0x44, .result = FRAME_E_LENGTH },
        { "header longer than packet", true, 6, 16, 16, .wide = true, .result = FRAME_E_LENGTH },
        { "packet longer than frame", true, 6, 16, 141, .wide = true, .result = FRAME_E_LENGTH },
        { "wrong checksum", true, 6, 22, 63, .keep_sum = true, .result = FRAME_E_CHECKSUM },
        { "more fragments", true, 6, 20, 0x20, .result = FRAME_E_FRAGMENT },
        { "a later fragment", true, 6, 21, 1, .result = FRAME_E_FRAGMENT },
        { "IGMP", true, 6, 23, 2, .result = FRAME_E_TYPE },
        { "ICMPv6 over IPv4", true, 6, 23, 58, .result = FRAME_E_TYPE },
        { "spoofed", true, 6, 29, 16, .result = FRAME_E_SOURCE },
        { "from the gateway", true, 6, 29, 2, .result = FRAME_E_SOURCE },
        { "to multicast", true, 6, 30, 224, .result = FRAME_E_TARGET },
        { "TCP header of 16 bytes", true, 6, 46, 0x40, .result = FRAME_E_LENGTH },
        { "TCP option without a length", true, 6, 46, 0xf0, .result = FRAME_E_OPTION },
        { "TCP to port 0", true, 6, 36, 0, .wide = true, .result = FRAME_E_OPTION },
        { "TCP SYN and FIN", true, 6, 47, 3, .result = FRAME_E_OPTION },
        { "TCP SYN and RST", true, 6, 47, 6, .result = FRAME_E_OPTION },
        { "UDP length 7", true, 17, 38, 7, .wide = true, .result = FRAME_E_LENGTH },
        { "UDP length beyond", true, 17, 38, 109, .wide = true, .result = FRAME_E_LENGTH },
        { "UDP to port 0", true, 17, 36, 0, .wide = true, .result = FRAME_E_OPTION },
        { "IPv6 version 5", false, 6, 14, 0x50, .result = FRAME_E_LENGTH },
        { "IPv6 longer than frame", false, 6, 18, 121, .wide = true, .result = FRAME_E_LENGTH },
        { "IPv6 fragment", false, 6, 20, 44, .result = FRAME_E_FRAGMENT },
        { "IPv6 source route", false, 6, 20, 43, .result = FRAME_E_OPTION },
        { "IPv6 unknown header", false, 6, 20, 59, .result = FRAME_E_TYPE },
        { "IPv6 ICMPv4", false, 6, 20, 1, .result = FRAME_E_TYPE },
        { "IPv6 spoofed", false, 6, 22, 0x26, .result = FRAME_E_SOURCE },
        { "IPv6 another address of its network", false, 6, 37, 99, .result = FRAME_OK },
        { "IPv6 from the gateway", false, 6, 37, 2, .result = FRAME_E_SOURCE },
        { "IPv6 to multicast", false, 6, 38, 0xff, .result = FRAME_E_TARGET },
};

START_TEST(test_bad)
{
        const struct row *r = &table[_i];
        uint8_t frame[1000];
        size_t n = build(frame, r->is_ip4, r->proto, 100);
        struct frame f;
        int got;

        if (r->wide)
                bytes_put16(frame + r->at, r->value);
        else
                frame[r->at] = (uint8_t)r->value;
        if (r->is_ip4 && !r->keep_sum)
                fix_sum(frame);
        got = frame_parse(frame, n, &lan, &f);
        ck_assert_msg(got == r->result, "%s: %s, not %s", r->what, frame_strerror(got),
                      frame_strerror(r->result));
}
END_TEST

START_TEST(test_short)
{
        uint8_t frame[1000];

        for (unsigned i = 0; i < 4; i++) {
                size_t n = build(frame, i % 2, i / 2 ? FRAME_PROTO_UDP : FRAME_PROTO_TCP, 0);

                for (size_t len = 0; len < n; len++) {
                        struct frame f;
                        int r = frame_parse(frame, len, &lan, &f);

                        ck_assert_msg(r == FRAME_E_SHORT || r == FRAME_E_LENGTH, "%zu bytes: %s", len,
                                      frame_strerror(r));
                }
        }
}
END_TEST

START_TEST(test_longest)
{
        static uint8_t frame[70000];
        struct frame f;

        ck_assert_uint_eq(build(frame, true, FRAME_PROTO_UDP, 65520 - 28), FRAME_MAX);
        ck_assert_int_eq(frame_parse(frame, FRAME_MAX, &lan, &f), FRAME_OK);
        ck_assert_int_eq(frame_parse(frame, FRAME_MAX + 1, &lan, &f), FRAME_E_LENGTH);
}
END_TEST

/* Options behind a SYN: each is as long as it says, or the segment is refused. */
START_TEST(test_options)
{
        static const struct {
                const char *what;
                uint8_t bytes[8];
                int result;
        } rows[] = {
                { "MSS and padding", { 2, 4, 5, 0xb4, 1, 1, 1, 1 }, FRAME_OK },
                { "end", { 0, 9, 9, 9, 9, 9, 9, 9 }, FRAME_OK },
                { "length 0", { 2, 0, 5, 0xb4, 1, 1, 1, 1 }, FRAME_E_OPTION },
                { "length 1", { 2, 1, 5, 0xb4, 1, 1, 1, 1 }, FRAME_E_OPTION },
                { "all of it", { 254, 8 }, FRAME_OK },
                { "beyond the header", { 254, 9 }, FRAME_E_OPTION },
                { "no length", { 1, 1, 1, 1, 1, 1, 1, 254 }, FRAME_E_OPTION },
        };
        uint8_t frame[1000];
        struct frame f;

        for (unsigned i = 0; i < array_size(rows); i++) {
                size_t n = build(frame, true, FRAME_PROTO_TCP, 8);
                int r;

                frame[46] = 28 / 4 << 4;
                memcpy(frame + 54, rows[i].bytes, 8);
                r = frame_parse(frame, n, &lan, &f);
                ck_assert_msg(r == rows[i].result, "%s: %s", rows[i].what, frame_strerror(r));
        }
}
END_TEST

/* IPv6 extension headers of 8 bytes each, then TCP. */
START_TEST(test_extensions)
{
        uint8_t frame[1000];

        for (unsigned nr = 1; nr <= FRAME_EXTENSIONS_MAX + 1; nr++) {
                size_t n = build(frame, false, FRAME_PROTO_TCP, 0);
                struct frame f;
                int r;

                memmove(frame + 54 + (size_t)8 * nr, frame + 54, n - 54);
                frame[20] = 60;
                for (unsigned i = 0; i < nr; i++) {
                        memset(frame + 54 + (size_t)8 * i, 0, 8);
                        frame[54 + 8 * i] = i + 1 < nr ? 60 : FRAME_PROTO_TCP;
                }
                bytes_put16(frame + 18, (uint16_t)(20 + 8 * nr));
                r = frame_parse(frame, n + (size_t)8 * nr, &lan, &f);
                ck_assert_int_eq(r, nr <= FRAME_EXTENSIONS_MAX ? FRAME_OK : FRAME_E_OPTION);
                if (nr > 1)
                        continue;
                frame[20] = 0; /* hop by hop, first: fine */
                ck_assert_int_eq(frame_parse(frame, n + 8, &lan, &f), FRAME_OK);
                frame[55] = 4; /* longer than the packet */
                ck_assert_int_eq(frame_parse(frame, n + 8, &lan, &f), FRAME_E_LENGTH);
        }
}
END_TEST

/* Before a guest has an address, and for neighbours. */
START_TEST(test_without_address)
{
        uint8_t frame[1000];
        struct frame f;
        size_t n = build(frame, true, FRAME_PROTO_UDP, 300);

        memset(frame + 26, 0, 4);
        memset(frame + 30, 255, 4);
        fix_sum(frame);
        ck_assert_int_eq(frame_parse(frame, n, &lan, &f), FRAME_E_SOURCE);
        bytes_put16(frame + 36, FRAME_DHCP_SERVER);
        ck_assert_int_eq(frame_parse(frame, n, &lan, &f), FRAME_OK);

        n = build(frame, false, FRAME_PROTO_ICMP6, 24);
        memset(frame + 22, 0, 16);
        memset(frame + 38, 0xff, 16);
        ck_assert_int_eq(frame_parse(frame, n, &lan, &f), FRAME_OK);
        frame[20] = FRAME_PROTO_UDP;
        bytes_put16(frame + 56, 53);
        bytes_put16(frame + 58, 24);
        ck_assert_int_eq(frame_parse(frame, n, &lan, &f), FRAME_E_SOURCE);
}
END_TEST

START_TEST(test_mac)
{
        uint8_t mac[6];

        ck_assert(lan_read_mac("02:76:6D:6c:74:02", mac) && mac[2] == 0x6d);
        ck_assert(!lan_read_mac("03:76:6d:6c:74:02", mac)); /* a group */
        ck_assert(!lan_read_mac("02:76:6d:6c:74:0", mac));
        ck_assert(!lan_read_mac("02:76:6d:6c:74:022", mac));
        ck_assert(!lan_read_mac("02-76-6d-6c-74-02", mac));
        ck_assert(!lan_read_mac("0g:76:6d:6c:74:02", mac));
}
END_TEST

int main(void)
{
        const struct run_test tests[] = {
                { test_good, 1 },
                { test_bad, array_size(table) },
                { test_short, 1 },
                { test_longest, 1 },
                { test_options, 1 },
                { test_extensions, 1 },
                { test_without_address, 1 },
                { test_mac, 1 },
        };

        lan_init(&lan);
        return run_loop_tests("frame_parse", tests, array_size(tests));
}
