/* Requests of a balloon's driver: what comes of what it sends. */
#include "tests/unit/run.h"

#include <string.h>

#include "tests/mock/driver.h"
#include "virtio/balloon/balloon_parse.h"
#include "virtio/balloon/balloon_wire.h"

#define RAM  0x400000ull
#define BUF  0x100000ull
#define PAGE 4096u

static struct gmem *mem;
static struct vq vq;
static struct mock_vq q;
static struct vq_chain chain;

static void begin(void)
{
        mem = mock_ram(RAM);
        vq_init(&vq, mem);
        mock_vq_init(&q, &vq, 0, 256);
}

static void pop(const struct mock_seg *segs, unsigned n)
{
        (void)mock_add(&q, segs, n);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
}

/* Page numbers, in one segment. */
static void send_pfns(const uint32_t *pfns, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                le32_t wire = le32_of(pfns[i]);

                mock_put(mem, BUF + 4ull * i, &wire, 4);
        }
        pop(&(struct mock_seg){ BUF, 4 * n, false }, 1);
}

static void end(void)
{
        gmem_free(mem);
}

START_TEST(test_page_numbers_become_ranges)
{
        static const struct {
                uint32_t pfns[8];
                unsigned n, nr;
                struct balloon_range ranges[4]; /* in pages */
        } rows[] = {
                { { 0 }, 1, 1, { { 0, 1 } } },
                { { 5, 6, 7 }, 3, 1, { { 5, 3 } } },
                { { 7, 6, 5 }, 3, 1, { { 5, 3 } } },
                { { 9, 1, 5, 2, 4 }, 5, 3, { { 1, 2 }, { 4, 2 }, { 9, 1 } } },
                { { 3, 3, 3, 4, 4 }, 5, 1, { { 3, 2 } } },
                { { UINT32_MAX, 0, UINT32_MAX - 1 }, 3, 2, { { 0, 1 }, { UINT32_MAX - 1, 2 } } },
        };

        begin();
        for (unsigned i = 0; i < array_size(rows); i++) {
                struct balloon_range got[BALLOON_PFNS_MAX];
                unsigned pfns;

                send_pfns(rows[i].pfns, rows[i].n);
                ck_assert_uint_eq(balloon_parse_pfns(&chain, 0, got, &pfns), rows[i].nr);
                ck_assert_uint_eq(pfns, rows[i].n);
                for (unsigned r = 0; r < rows[i].nr; r++) {
                        ck_assert_uint_eq(got[r].at, rows[i].ranges[r].at * PAGE);
                        ck_assert_uint_eq(got[r].len, rows[i].ranges[r].len * PAGE);
                }
        }
        end();
}
END_TEST

START_TEST(test_page_numbers_come_in_portions)
{
        static const unsigned rows[] = { BALLOON_PFNS_MAX - 1, BALLOON_PFNS_MAX, BALLOON_PFNS_MAX + 1 };
        static uint32_t pfns[BALLOON_PFNS_MAX + 1];
        struct balloon_range got[BALLOON_PFNS_MAX];
        unsigned n;

        begin();
        for (unsigned i = 0; i < array_size(pfns); i++)
                pfns[i] = 2 * i;
        for (unsigned i = 0; i < array_size(rows); i++) {
                send_pfns(pfns, rows[i]);
                ck_assert_uint_eq(balloon_parse_pfns(&chain, 0, got, &n), i ? BALLOON_PFNS_MAX : rows[0]);
                ck_assert_uint_eq(balloon_parse_pfns(&chain, n, got, &n), i == 2);
                ck_assert_uint_eq(n, i == 2);
        }
        ck_assert_uint_eq(got[0].at, 2ull * BALLOON_PFNS_MAX * PAGE);
        end();
}
END_TEST

/* Nothing, half a number, and what is not for reading. */
START_TEST(test_page_numbers_that_are_none)
{
        struct balloon_range got[BALLOON_PFNS_MAX];
        unsigned n;

        begin();
        pop(&(struct mock_seg){ BUF, 3, false }, 1);
        ck_assert_uint_eq(balloon_parse_pfns(&chain, 0, got, &n), 0);
        ck_assert_uint_eq(n, 0);
        pop(&(struct mock_seg){ BUF, 7, false }, 1);
        ck_assert_uint_eq(balloon_parse_pfns(&chain, 0, got, &n), 1);
        ck_assert_uint_eq(balloon_parse_pfns(&chain, 1, got, &n), 0);
        ck_assert_uint_eq(balloon_parse_pfns(&chain, UINT32_MAX, got, &n), 0);
        pop(&(struct mock_seg){ BUF, 64, true }, 1);
        ck_assert_uint_eq(balloon_parse_pfns(&chain, 0, got, &n), 0);
        end();
}
END_TEST

START_TEST(test_reports_become_whole_pages)
{
        static const struct mock_seg segs[] = {
                { BUF, 2 * PAGE, true },             /* these two are neighbours */
                { BUF + 2 * PAGE, PAGE, true },      /* */
                { BUF + 16 * PAGE + 1, PAGE, true }, /* no page is whole */
                { BUF + 20 * PAGE + 1, 2 * PAGE, true },
                { BUF + 30 * PAGE, 0, true },
        };
        struct balloon_range got[VQ_SEGS_MAX];
        uint64_t refused;

        begin();
        pop(segs, array_size(segs));
        ck_assert_uint_eq(balloon_parse_report(&chain, got, &refused), 2);
        ck_assert_uint_eq(refused, 0);
        ck_assert(got[0].at == BUF && got[0].len == 3 * PAGE);
        ck_assert(got[1].at == BUF + 21 * PAGE && got[1].len == PAGE);
        /* What the guest only lets us read is no report. */
        pop(&(struct mock_seg){ BUF, PAGE, false }, 1);
        ck_assert_uint_eq(balloon_parse_report(&chain, got, &refused), 0);
        end();
}
END_TEST

START_TEST(test_reports_have_a_limit)
{
        struct balloon_range got[VQ_SEGS_MAX];
        struct mock_seg segs[4];
        uint64_t refused;

        mem = mock_ram(BALLOON_REPORT_BYTES_MAX + RAM);
        vq_init(&vq, mem);
        mock_vq_init(&q, &vq, 0, 256);
        for (unsigned extra = 0; extra < 2; extra++) {
                pop(&(struct mock_seg){ BUF, (uint32_t)BALLOON_REPORT_BYTES_MAX + extra * PAGE, true }, 1);
                ck_assert_uint_eq(balloon_parse_report(&chain, got, &refused), 1);
                ck_assert_uint_eq(got[0].len, BALLOON_REPORT_BYTES_MAX);
                ck_assert_uint_eq(refused, extra * PAGE);
        }
        /* The same page again and again. */
        for (unsigned i = 0; i < array_size(segs); i++)
                segs[i] = (struct mock_seg){ BUF, (uint32_t)(BALLOON_REPORT_BYTES_MAX / 3), true };
        pop(segs, array_size(segs));
        ck_assert_uint_eq(balloon_parse_report(&chain, got, &refused), 4);
        ck_assert_uint_eq(got[0].len + got[1].len + got[2].len + got[3].len, BALLOON_REPORT_BYTES_MAX);
        end();
}
END_TEST

static void put_stat(unsigned i, uint16_t tag, uint64_t value)
{
        struct virtio_balloon_stat s = { .tag = le16_of(tag) };
        le64_t v = le64_of(value);

        memcpy(s.val, &v, sizeof(v));
        mock_put(mem, BUF + i * sizeof(s), &s, sizeof(s));
}

START_TEST(test_statistics)
{
        struct balloon_stats got = { .known = 1u << 9, .values[9] = 99 };

        begin();
        put_stat(0, 4, 1ull << 40);
        put_stat(1, BALLOON_NR_STATS, 1);
        put_stat(2, 15, 0);
        put_stat(3, UINT16_MAX, 1);
        put_stat(4, 4, 5); /* the last one counts */
        pop(&(struct mock_seg){ BUF, 59, false }, 1);
        ck_assert_uint_eq(balloon_parse_stats(&chain, &got), 3);
        ck_assert_uint_eq(got.known, 1u << 4 | 1u << 15 | 1u << 9);
        ck_assert_uint_eq(got.values[4], 5);
        ck_assert_uint_eq(got.values[9], 99);
        /* One more than is looked at. */
        for (unsigned i = 0; i < BALLOON_STATS_MAX; i++)
                put_stat(i, 0, i);
        put_stat(BALLOON_STATS_MAX, 1, 1);
        pop(&(struct mock_seg){ BUF, 10 * (BALLOON_STATS_MAX + 1), false }, 1);
        ck_assert_uint_eq(balloon_parse_stats(&chain, &got), BALLOON_STATS_MAX);
        ck_assert(!(got.known & 2) && got.values[0] == BALLOON_STATS_MAX - 1);
        pop(&(struct mock_seg){ BUF, 9, false }, 1);
        ck_assert_uint_eq(balloon_parse_stats(&chain, &got), 0);
        end();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_page_numbers_become_ranges, test_page_numbers_come_in_portions,
                test_page_numbers_that_are_none, test_reports_become_whole_pages,
                test_reports_have_a_limit,       test_statistics,
        };

        return run_tests("balloon_parse", tests, array_size(tests));
}
