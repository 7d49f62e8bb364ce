/*
 * The parsers of vsock: the packet header, and the first line of a client.
 */
#include "virtio/vsock/vsock_parse.h"

#include <string.h>

#include "tests/unit/run.h"

static struct vsock_hdr good_hdr(unsigned op)
{
        return (struct vsock_hdr){
                .src_cid = le64_of(3),
                .dst_cid = le64_of(2),
                .src_port = le32_of(10),
                .dst_port = le32_of(20),
                .len = le32_of(7),
                .type = le16_of(1),
                .op = le16_of((uint16_t)op),
                .flags = le32_of(0xffffffff),
                .buf_alloc = le32_of(1000),
                .fwd_cnt = le32_of(0xfffffff0),
        };
}

START_TEST(test_good)
{
        for (unsigned op = 1; op <= VSOCK_OP_MAX; op++) {
                struct vsock_hdr hdr = good_hdr(op);
                struct vsock_packet p;

                ck_assert_int_eq(vsock_parse_packet(&hdr, 7, 3, &p), 0);
                ck_assert_uint_eq(p.guest_port, 10);
                ck_assert_uint_eq(p.host_port, 20);
                ck_assert_uint_eq(p.type, 1);
                ck_assert_uint_eq(p.op, op);
                ck_assert_uint_eq(p.len, op == VSOCK_OP_RW ? 7 : 0);
                ck_assert_uint_eq(p.flags, op == VSOCK_OP_SHUTDOWN ? 3 : 0);
                ck_assert_uint_eq(p.buf_alloc, 1000);
                ck_assert_uint_eq(p.fwd_cnt, 0xfffffff0);
        }
}
END_TEST

START_TEST(test_len)
{
        struct vsock_hdr hdr = good_hdr(VSOCK_OP_RW);
        struct vsock_packet p;

        ck_assert_int_eq(vsock_parse_packet(&hdr, 6, 3, &p), VSOCK_E_REFUSE);
        ck_assert_int_eq(vsock_parse_packet(&hdr, 8, 3, &p), 0);
        ck_assert_uint_eq(p.len, 7);
        hdr.len = le32_of(UINT32_MAX);
        ck_assert_int_eq(vsock_parse_packet(&hdr, UINT32_MAX - 1u, 3, &p), VSOCK_E_REFUSE);
        ck_assert_int_eq(vsock_parse_packet(&hdr, UINT32_MAX, 3, &p), 0);
}
END_TEST

START_TEST(test_bad)
{
        struct vsock_hdr hdr = good_hdr(VSOCK_OP_RW);
        struct vsock_packet p;

        ck_assert_int_eq(vsock_parse_packet(&hdr, 7, 4, &p), VSOCK_E_IGNORE);
        hdr.dst_cid = le64_of(1ull << 32 | 2);
        ck_assert_int_eq(vsock_parse_packet(&hdr, 7, 3, &p), VSOCK_E_IGNORE);
        hdr = good_hdr(0);
        ck_assert_int_eq(vsock_parse_packet(&hdr, 7, 3, &p), VSOCK_E_REFUSE);
        ck_assert(p.guest_port == 10 && p.host_port == 20 && p.type == 1);
        hdr = good_hdr(VSOCK_OP_MAX + 1);
        ck_assert_int_eq(vsock_parse_packet(&hdr, 7, 3, &p), VSOCK_E_REFUSE);
        hdr = good_hdr(VSOCK_OP_REQUEST);
        hdr.type = le16_of(2);
        ck_assert_int_eq(vsock_parse_packet(&hdr, 7, 3, &p), VSOCK_E_REFUSE);
        ck_assert_uint_eq(p.type, 2);
        hdr.op = le16_of(VSOCK_OP_RST);
        ck_assert_int_eq(vsock_parse_packet(&hdr, 7, 3, &p), VSOCK_E_IGNORE);
}
END_TEST

static const struct {
        const char *line;
        int r;
        uint32_t port;
} lines[] = {
        { "CONNECT 1024\n", 0, 1024 },
        { "connect 0\n", 0, 0 },
        { "CONNECT 4294967294\n", 0, VSOCK_PORT_MAX },
        { "CONNECT 4294967295\n", VSOCK_E_LINE, 0 },
        { "CONNECT 4294967296\n", VSOCK_E_LINE, 0 },
        { "CONNECT 99999999999999999999999\n", VSOCK_E_LINE, 0 },
        { " \tConnect\t\t52 \r\n", 0, 52 },
        { "CONNECT 0000000000000000000000\n", 0, 0 },
        { "CONNECT 00000000000000000000000\n", 0, 0 },
        { "CONNECT 000000000000000000000000\n", VSOCK_E_LINE, 0 }, /* VSOCK_LINE_MAX + 1 */
        { "CONNECT1024\n", VSOCK_E_LINE, 0 },
        { "CONNECT +1\n", VSOCK_E_LINE, 0 },
        { "CONNECT -1\n", VSOCK_E_LINE, 0 },
        { "CONNECT 0x10\n", VSOCK_E_LINE, 0 },
        { "CONNECT 1", VSOCK_E_LINE, 0 },
        { "CONNECT 1 x\n", VSOCK_E_LINE, 0 },
        { "CONNECT 1\n\n", VSOCK_E_LINE, 0 },
        { "CONNECT", VSOCK_E_LINE, 0 },
        { "CONNECT ", VSOCK_E_LINE, 0 },
        { "CONNECT \n", VSOCK_E_LINE, 0 },
        { "CONNECTS 1\n", VSOCK_E_LINE, 0 },
        { "GET / HTTP/1.1\n", VSOCK_E_LINE, 0 },
        { "\n", VSOCK_E_LINE, 0 },
        { "", VSOCK_E_LINE, 0 },
        { "                               \n", VSOCK_E_LINE, 0 },
};

START_TEST(test_lines)
{
        for (unsigned i = 0; i < array_size(lines); i++) {
                size_t n = strlen(lines[i].line);
                uint32_t port = 7777;
                /* Nothing behind the end may be looked at. */
                char *exact = malloc(n + !n);

                ck_assert_ptr_nonnull(exact);
                memcpy(exact, lines[i].line, n);
                ck_assert_msg(vsock_parse_line(exact, n, &port) == lines[i].r, "'%s'", lines[i].line);
                ck_assert_uint_eq(port, lines[i].r ? 7777 : lines[i].port);
                free(exact);
        }
        ck_assert_int_eq(vsock_parse_line("CONNECT \0001\n", 11, &(uint32_t){ 0 }), VSOCK_E_LINE);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_good, test_len, test_bad, test_lines };

        return run_tests("vsock_parse", tests, array_size(tests));
}
