/* Bytes in and out of guest buffers that are cut anywhere, and system calls with bytes of ours beside them. */
#include "tests/unit/run.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/mock/driver.h"
#include "vmm/mem/gio.h"

#define RAM  0x10000u
#define NR   4u
#define SIZE 10u /* of all buffers */

static struct gmem *mem;
static struct gbuf bufs[NR];

/* 1, 0, 4 and 5 bytes, a page apart. */
static void set_up(void)
{
        static const size_t sizes[NR] = { 1, 0, 4, 5 };

        mem = mock_ram(RAM);
        for (unsigned i = 0; i < NR; i++)
                ck_assert(!gmem_buf(mem, GPA(0x1000 * i), sizes[i], &bufs[i]));
}

START_TEST(test_every_part)
{
        uint8_t in[SIZE], out[SIZE + 2];
        struct gbuf part[NR];

        set_up();
        for (size_t at = 0; at <= SIZE; at++)
                for (size_t len = 0; len <= SIZE - at; len++) {
                        unsigned n;

                        for (size_t i = 0; i < SIZE; i++)
                                in[i] = (uint8_t)(16 * at + i + len);
                        gio_put(bufs, NR, 0, "..........", SIZE);
                        gio_put(bufs, NR, at, in, len);
                        memset(out, 0xee, sizeof(out));
                        gio_get(bufs, NR, at, out + 1, len);
                        ck_assert_mem_eq(out + 1, in, len);
                        ck_assert(out[0] == 0xee && out[len + 1] == 0xee);
                        gio_get(bufs, NR, 0, out, SIZE);
                        for (size_t i = 0; i < SIZE; i++)
                                ck_assert(out[i] == (i >= at && i < at + len ? in[i - at] : '.'));
                        n = gio_part(bufs, NR, at, len, part);
                        memset(out, 0, sizeof(out));
                        gio_get(part, n, 0, out, len);
                        ck_assert_mem_eq(out, in, len);
                }
        gmem_free(mem);
}
END_TEST

START_TEST(test_what_is_put_in_is_logged)
{
        set_up();
        ck_assert(!gmem_log_start(mem));
        gio_put(bufs, NR, 5, "abc", 3);
        ck_assert(!gmem_log_take(mem, GPA(0)) && !gmem_log_take(mem, GPA(0x2000)));
        ck_assert(gmem_log_take(mem, GPA(0x3000)));
        gmem_free(mem);
}
END_TEST

START_TEST(test_calls_with_bytes_of_ours)
{
        const struct gio_piece pieces[2] = { { "ab", 2, bufs, NR }, { "cd", 2, bufs, 1 } };
        char text[32] = { 0 }, rest[8] = { 0 };
        int fds[2];

        set_up();
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds));
        gio_put(bufs, NR, 0, "0123456789", SIZE);
        ck_assert_int_eq(gio_send_pieces(fds[0], pieces, 2), 15);
        ck_assert_int_eq(read(fds[1], text, sizeof(text)), 15);
        ck_assert_str_eq(text, "ab0123456789cd0");
        ck_assert_int_eq(gio_write_piece(fds[0], &pieces[1]), 3);
        ck_assert_int_eq(read(fds[1], text, sizeof(text)), 3);
        ck_assert_mem_eq(text, "cd0", 3);
        ck_assert_int_eq(write(fds[1], "ABCDEFGHIJKLM", 13), 13);
        ck_assert_int_eq(gio_read_rest(fds[0], bufs, NR, rest, sizeof(rest)), 13);
        gio_get(bufs, NR, 0, text, SIZE);
        ck_assert_mem_eq(text, "ABCDEFGHIJ", SIZE);
        ck_assert_str_eq(rest, "KLM");
        ck_assert_int_eq(gio_read_rest(fds[0], NULL, 0, rest, sizeof(rest)), -EAGAIN);
        close(fds[0]);
        close(fds[1]);
        gmem_free(mem);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_every_part,
                test_what_is_put_in_is_logged,
                test_calls_with_bytes_of_ours,
        };

        return run_tests("gio", tests, array_size(tests));
}
