/* Token buckets: what passes, when, and that nothing overflows. */
#include "tests/unit/run.h"

#include <string.h>

#include "vmm/base/rate.h"

#define MS 1000000ull
#define S  1000000000ull

static struct rate rate_of(uint64_t size, uint64_t burst, uint64_t refill_ms, uint64_t now)
{
        struct rate_config cfg = { .bandwidth = { size, burst, refill_ms } };
        struct rate r;

        rate_init(&r, &cfg, now);
        return r;
}

START_TEST(test_zero_is_no_limit)
{
        static const struct {
                struct rate_config cfg;
                bool limited;
        } rows[] = {
                { { { 0, 0, 0 }, { 0, 0, 0 } }, false },
                { { { 0, 9, 9 }, { 9, 9, 0 } }, false },
                { { { 1, 0, 1 }, { 0, 0, 0 } }, true },
                { { { 0, 0, 0 }, { 1, 0, 1 } }, true },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct rate r;

                ck_assert_int_eq(rate_is_limited(&rows[i].cfg), rows[i].limited);
                rate_init(&r, &rows[i].cfg, 5);
                if (!rows[i].limited)
                        for (unsigned n = 0; n < 100; n++)
                                ck_assert_uint_eq(rate_take(&r, UINT64_MAX, 5), 0);
        }
}
END_TEST

START_TEST(test_a_full_bucket_then_as_it_refills)
{
        struct rate r = rate_of(1000, 0, 1000, 7 * S); /* one a millisecond */

        ck_assert_uint_eq(rate_take(&r, 999, 7 * S), 0);
        ck_assert_uint_eq(rate_take(&r, 1, 7 * S), 0);
        ck_assert_uint_eq(rate_take(&r, 0, 7 * S), 0);
        ck_assert_uint_eq(rate_take(&r, 1, 7 * S), MS);
        ck_assert_uint_eq(rate_take(&r, 250, 7 * S), 250 * MS);
        ck_assert_uint_eq(rate_take(&r, 1, 7 * S + MS - 1), 1);
        ck_assert_uint_eq(rate_take(&r, 1, 7 * S + MS), 0);
        ck_assert_uint_eq(rate_take(&r, 1, 7 * S + MS), MS);
        /* It never holds more than its size, however long nobody came, and what was full earns nothing. */
        ck_assert_uint_eq(rate_take(&r, 1000, 100 * S), 0);
        ck_assert_uint_eq(rate_take(&r, 1, 100 * S), MS);
}
END_TEST

START_TEST(test_time_does_not_go_back)
{
        struct rate r = rate_of(10, 0, 10, 5 * S);

        ck_assert_uint_eq(rate_take(&r, 10, 5 * S), 0);
        ck_assert_uint_eq(rate_take(&r, 1, 0), MS);
        ck_assert_uint_eq(rate_take(&r, 1, 5 * S + MS), 0);
}
END_TEST

START_TEST(test_the_burst_is_spent_first_and_once)
{
        struct rate r = rate_of(100, 50, 100, 0);

        ck_assert_uint_eq(rate_take(&r, 40, 0), 0);
        ck_assert_uint_eq(r.bandwidth.tokens, 100);
        ck_assert_uint_eq(rate_take(&r, 110, 0), 0);
        ck_assert_uint_eq(r.bandwidth.burst, 0);
        ck_assert_uint_eq(rate_take(&r, 1, 0), MS);
        ck_assert_uint_eq(rate_take(&r, 100, 1000 * S), 0);
        ck_assert_uint_eq(rate_take(&r, 1, 1000 * S), MS);
}
END_TEST

START_TEST(test_more_than_a_bucket_goes_at_once_and_is_owed)
{
        struct rate r = rate_of(100, 0, 100, 0);

        ck_assert_uint_eq(rate_take(&r, 60, 0), 0);
        ck_assert_uint_eq(rate_take(&r, 101, 0), 0); /* 61 owed */
        ck_assert_uint_eq(rate_take(&r, 0, 0), 0);
        ck_assert_uint_eq(rate_take(&r, 1, 0), 61 * MS);
        ck_assert_uint_eq(rate_take(&r, 1000, 0), 61 * MS);
        ck_assert_uint_eq(rate_take(&r, 1, 30 * MS), 31 * MS);
        ck_assert_uint_eq(rate_take(&r, 1, 61 * MS), MS);
        ck_assert_uint_eq(rate_take(&r, 1, 62 * MS), 0);
        /* A whole bucket is not more than a bucket: it waits. */
        ck_assert_uint_eq(rate_take(&r, 100, 62 * MS), 100 * MS);
}
END_TEST

START_TEST(test_both_buckets_must_agree)
{
        struct rate_config cfg = { .bandwidth = { 1000, 0, 1000 }, .ops = { 2, 0, 1000 } };
        struct rate r;

        rate_init(&r, &cfg, 0);
        ck_assert_uint_eq(rate_take(&r, 100, 0), 0);
        ck_assert_uint_eq(rate_take(&r, 950, 0), 50 * MS); /* nothing of the other one was taken */
        ck_assert_uint_eq(r.ops.tokens, 1);
        ck_assert_uint_eq(rate_take(&r, 100, 0), 0);
        ck_assert_uint_eq(rate_take(&r, 100, 0), 500 * MS);
        ck_assert_uint_eq(rate_take(&r, 900, 0), 500 * MS);
        ck_assert_uint_eq(r.bandwidth.tokens, 800);
}
END_TEST

/* Who waits as long as told gets it then, and no nanosecond earlier: at rates that divide by nothing. */
START_TEST(test_the_time_told_is_exact)
{
        static const struct {
                uint64_t size, refill_ms, n;
        } rows[] = {
                { 1, 1, 1 },
                { 3, 1, 1 },
                { 3, 1, 3 },
                { 7, 1000, 5 },
                { 1000003, 7, 999 },
                { 10 << 20, 1000, 4096 },
                { UINT64_MAX, 1, UINT64_MAX },
                { 1, UINT64_MAX / 1000000, 1 },
                { UINT64_MAX, UINT64_MAX / 1000000, 12345 },
                { UINT64_MAX - 1, UINT64_MAX / 1000000, UINT64_MAX - 1 },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct rate r = rate_of(rows[i].size, 0, rows[i].refill_ms, 0);
                uint64_t wait;

                ck_assert_uint_eq(rate_take(&r, rows[i].size, 0), 0);
                wait = rate_take(&r, rows[i].n, 0);
                ck_assert_uint_ne(wait, 0);
                if (wait > 1)
                        ck_assert_uint_ne(rate_take(&r, rows[i].n, wait - 1), 0);
                ck_assert_msg(!rate_take(&r, rows[i].n, wait), "row %u", i);
        }
}
END_TEST

/* Asked at odd times, in pieces: no fraction of a token is lost or won. */
START_TEST(test_nothing_is_lost_in_small_steps)
{
        struct rate r = rate_of(1000, 0, 997, 0);
        uint64_t now = 0, got = 0, step = 1;

        ck_assert_uint_eq(rate_take(&r, 1000, 0), 0);
        while (now < 9970 * MS) {
                now += step % 700001;
                step = step * 6364136223846793005ull + 1442695040888963407ull;
                while (!rate_take(&r, 1, now))
                        got++;
        }
        ck_assert_uint_eq(got, (uint64_t)((unsigned __int128)now * 1000 / (997 * MS)));
}
END_TEST

START_TEST(test_nothing_overflows)
{
        struct rate r = rate_of(UINT64_MAX, UINT64_MAX, UINT64_MAX, 0);

        ck_assert_uint_eq(r.bandwidth.refill_ns, UINT64_MAX);
        ck_assert_uint_eq(rate_take(&r, UINT64_MAX, 0), 0);
        ck_assert_uint_eq(rate_take(&r, UINT64_MAX, 0), 0);
        ck_assert_uint_eq(rate_take(&r, UINT64_MAX, 0), UINT64_MAX);
        ck_assert_uint_eq(rate_take(&r, UINT64_MAX, UINT64_MAX), 0);
        r = rate_of(1, 0, UINT64_MAX, UINT64_MAX - 1);
        ck_assert_uint_eq(rate_take(&r, UINT64_MAX, UINT64_MAX - 1), 0);
        ck_assert_uint_eq(r.bandwidth.debt, UINT64_MAX - 1);
        ck_assert_uint_eq(rate_take(&r, 1, UINT64_MAX), UINT64_MAX);
        r = rate_of(1, 0, 1, 0);
        ck_assert_uint_eq(rate_take(&r, UINT64_MAX, 0), 0);
        ck_assert_uint_eq(rate_take(&r, 1, UINT64_MAX / 2), UINT64_MAX); /* longer than there is time */
}
END_TEST

START_TEST(test_what_was_saved_goes_on)
{
        struct rate_config cfg = { .bandwidth = { 100, 10, 100 }, .ops = { 3, 0, 1000 } };
        uint8_t bytes[128];
        struct buf b = buf_of(bytes, sizeof(bytes));
        struct rate r, loaded = { 0 };

        rate_init(&r, &cfg, 0);
        ck_assert_uint_eq(rate_take(&r, 100, MS / 2), 0);
        rate_save(&r, &b);
        ck_assert(!b.bad);
        b = buf_of(bytes, b.at);
        rate_load(&loaded, &b, 1000 * S);
        ck_assert(!b.bad && !buf_left(&b));
        ck_assert_uint_eq(rate_take(&loaded, 10, 1000 * S), 0);
        ck_assert_uint_eq(rate_take(&loaded, 1, 1000 * S), MS);
        ck_assert_uint_eq(rate_take(&loaded, 1, 1000 * S + MS), 0);
        ck_assert_uint_gt(rate_take(&loaded, 0, 1000 * S + MS), 0);
}
END_TEST

START_TEST(test_what_cannot_be_is_not_loaded)
{
        /* size, refill_ns, tokens, burst, debt, part of one bucket; the other one has no limit. */
        static const uint64_t rows[][6] = {
                { 1, 0, 0, 0, 0, 0 },   { 0, 1, 0, 0, 0, 0 },    { 10, 10, 11, 0, 0, 0 },
                { 10, 10, 1, 0, 1, 0 }, { 10, 10, 0, 0, 0, 10 }, { 0, 0, 0, 0, 0, 1 },
        };
        uint8_t bytes[96];

        for (unsigned i = 0; i < 2 * array_size(rows); i++) {
                struct rate r = { .ops.size = 77 };
                struct buf b = buf_of(bytes, sizeof(bytes));

                memset(bytes, 0, sizeof(bytes));
                b.at = i % 2 ? 48 : 0;
                for (unsigned w = 0; w < 6; w++)
                        buf_put_u64(&b, rows[i / 2][w]);
                b = buf_of(bytes, sizeof(bytes));
                rate_load(&r, &b, 0);
                ck_assert_msg(b.bad, "row %u", i);
                ck_assert_uint_eq(r.ops.size, 77);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_zero_is_no_limit,
                test_a_full_bucket_then_as_it_refills,
                test_time_does_not_go_back,
                test_the_burst_is_spent_first_and_once,
                test_more_than_a_bucket_goes_at_once_and_is_owed,
                test_both_buckets_must_agree,
                test_the_time_told_is_exact,
                test_nothing_is_lost_in_small_steps,
                test_nothing_overflows,
                test_what_was_saved_goes_on,
                test_what_cannot_be_is_not_loaded,
        };

        return run_tests("rate", tests, array_size(tests));
}
