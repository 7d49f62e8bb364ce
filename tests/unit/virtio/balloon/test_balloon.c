/* The memory balloon with the driver of tests/mock. */
#include "tests/unit/run.h"

#include <errno.h>
#include <string.h>

#include "tests/mock/driver.h"
#include "virtio/balloon/balloon.h"
#include "virtio/balloon/balloon_parse.h"
#include "virtio/balloon/balloon_wire.h"

#define MIB      (1ull << 20)
#define RAM      (16 * MIB)
#define HIGH     (8 * MIB) /* pages to play with */
#define PAGE     4096u
#define MS       1000000ull
#define LIMIT_MS 20000u
#define STATS    2u

static struct loop *loop;
static struct virtio_dev *dev;
static struct mock_dev m;

static void begin(uint64_t stats_ns, uint64_t without)
{
        struct balloon_config cfg = { .target_bytes = 3 * MIB + 1, .stats_interval_ns = stats_ns };

        log_setup(LOG_ERR, false, "");
        m.mem = mock_ram(RAM);
        ck_assert_int_eq(loop_new(&loop), 0);
        cfg.loop = loop;
        cfg.mem = m.mem;
        ck_assert_int_eq(balloon_new(&cfg, &dev), 0);
        mock_dev_init(&m, dev, m.mem);
        mock_dev_start(&m, without, 128);
        ck_assert_int_eq(gmem_fill(m.mem, GPA(HIGH), 0x55, RAM - HIGH), 0);
}

static void end(void)
{
        virtio_free(dev);
        loop_free(loop);
        gmem_free(m.mem);
}

static uint8_t byte_at(uint64_t at)
{
        uint8_t b;

        mock_get(m.mem, at, &b, 1);
        return b;
}

static void send_pfns(unsigned qi, const uint32_t *pfns, unsigned n)
{
        uint64_t at = mock_buf(&m, 4 * n);

        for (unsigned i = 0; i < n; i++) {
                le32_t wire = le32_of(pfns[i]);

                mock_put(m.mem, at + 4ull * i, &wire, 4);
        }
        (void)mock_add(&m.vq[qi], &(struct mock_seg){ at, 4 * n, false }, 1);
        ck_assert_int_eq(mock_kick(&m, qi), 0);
        ck_assert(mock_used(&m.vq[qi], NULL, NULL));
}

static void set_config(uint32_t off, uint32_t v)
{
        le32_t wire = le32_of(v);

        virtio_config_write(dev, off, &wire, sizeof(wire));
}

START_TEST(test_inflate_and_deflate)
{
        static const uint32_t pfns[] = { HIGH / PAGE + 3, HIGH / PAGE + 1, HIGH / PAGE + 2 };

        begin(0, 0);
        send_pfns(0, pfns, 3);
        ck_assert_uint_eq(byte_at(HIGH), 0x55);
        ck_assert_uint_eq(byte_at(HIGH + PAGE), 0);
        ck_assert_uint_eq(byte_at(HIGH + 4 * PAGE - 1), 0);
        ck_assert_uint_eq(byte_at(HIGH + 4 * PAGE), 0x55);
        ck_assert_uint_eq(mock_stat(&m, "inflated_pages"), 3);
        ck_assert_uint_eq(mock_stat(&m, "returned_bytes"), 3 * PAGE);
        send_pfns(1, pfns, 2);
        ck_assert_uint_eq(mock_stat(&m, "deflated_pages"), 2);
        ck_assert_uint_eq(mock_stat(&m, "returned_bytes"), 3 * PAGE);
        ck_assert_uint_eq(mock_stat(&m, "refused"), 0);
        end();
}
END_TEST

/* Pages that are none of the guest's are left alone, and the rest of the request counts. */
START_TEST(test_hostile_page_numbers)
{
        static const uint32_t pfns[] = { UINT32_MAX, RAM / PAGE + 5, RAM / PAGE, HIGH / PAGE, 1u << 31 };

        begin(0, 0);
        send_pfns(0, pfns, array_size(pfns));
        ck_assert_uint_eq(mock_stat(&m, "returned_bytes"), PAGE);
        ck_assert_uint_eq(mock_stat(&m, "refused"), 4);
        ck_assert_uint_eq(byte_at(HIGH), 0);
        ck_assert_uint_eq(dev->guest_errors, 0);
        end();
}
END_TEST

/* A guest may give away its own rings: it gets what it asked for, and the device goes on. */
START_TEST(test_rings_given_away)
{
        uint32_t pfns[MOCK_VQ_BYTES / PAGE];

        begin(0, 0);
        for (uint32_t i = 0; i < array_size(pfns); i++)
                pfns[i] = i;
        (void)mock_add(&m.vq[0], &(struct mock_seg){ mock_buf(&m, sizeof(pfns)), sizeof(pfns), false }, 1);
        mock_put(m.mem, m.next_buf - PAGE, pfns, sizeof(pfns));
        (void)!mock_kick(&m, 0);
        ck_assert_uint_eq(mock_stat(&m, "returned_bytes"), sizeof(pfns) / 4 * PAGE);
        ck_assert(virtio_reset(dev));
        mock_dev_start(&m, 0, 128);
        send_pfns(0, &(uint32_t){ HIGH / PAGE }, 1);
        ck_assert_uint_eq(byte_at(HIGH), 0);
        end();
}
END_TEST

START_TEST(test_a_request_has_its_limit)
{
        static const unsigned rows[] = { 1023, 1024, 1025, 4096 };
        static uint32_t pfns[4096];

        begin(0, 0);
        for (unsigned i = 0; i < array_size(pfns); i++)
                pfns[i] = HIGH / PAGE + i % 2048;
        for (unsigned i = 0; i < array_size(rows); i++) {
                uint64_t before = mock_stat(&m, "inflated_pages"), refused = mock_stat(&m, "refused");

                send_pfns(0, pfns, rows[i]);
                ck_assert_uint_eq(mock_stat(&m, "inflated_pages") - before, rows[i] < 1024 ? rows[i] : 1024);
                ck_assert_uint_eq(mock_stat(&m, "refused") - refused, rows[i] > 1024);
        }
        end();
}
END_TEST

static void send_report(unsigned qi, uint64_t at, uint32_t len)
{
        uint32_t written = 1;

        (void)mock_add(&m.vq[qi], &(struct mock_seg){ at, len, true }, 1);
        ck_assert_int_eq(mock_kick(&m, qi), 0);
        ck_assert(mock_used(&m.vq[qi], NULL, &written));
        ck_assert_uint_eq(written, 0);
}

/* With statistics their queue is the third, and reports come by the fourth. */
START_TEST(test_reports)
{
        bool with_stats = _i;

        begin(with_stats ? 1000 * MS : 0, 1ull << VIRTIO_BALLOON_F_PAGE_POISON);
        ck_assert_uint_eq(dev->cls->nr_queues, with_stats ? 4 : 3);
        send_report(with_stats ? 3 : 2, HIGH, 2 * MIB);
        ck_assert_uint_eq(byte_at(HIGH), 0);
        ck_assert_uint_eq(byte_at(HIGH + 2 * MIB - 1), 0);
        ck_assert_uint_eq(byte_at(HIGH + 2 * MIB), 0x55);
        ck_assert_uint_eq(mock_stat(&m, "returned_bytes"), 2 * MIB);
        ck_assert_uint_eq(mock_stat(&m, "reports"), 1);
        end();
}
END_TEST

/* Statistics that were offered, but not taken: their queue's place is the reports'. */
START_TEST(test_reports_without_the_statistics_that_were_offered)
{
        begin(1000 * MS, 1ull << VIRTIO_BALLOON_F_STATS_VQ);
        send_report(2, HIGH, 2 * MIB);
        ck_assert_uint_eq(byte_at(HIGH), 0);
        end();
}
END_TEST

START_TEST(test_poison_stays)
{
        static const struct {
                uint32_t poison;
                uint64_t without;
                bool gone;
        } rows[] = {
                { 0xaaaaaaaa, 0, false },
                { 0, 0, true },
                { 0xaaaaaaaa, 1ull << VIRTIO_BALLOON_F_PAGE_POISON, true }, /* means nothing then */
        };

        begin(0, rows[_i].without);
        set_config(offsetof(struct virtio_balloon_config, poison_val), rows[_i].poison);
        send_report(2, HIGH, 2 * MIB);
        ck_assert_uint_eq(byte_at(HIGH), rows[_i].gone ? 0 : 0x55);
        end();
}
END_TEST

START_TEST(test_target_and_actual)
{
        struct virtio_balloon_config c;
        struct balloon_state s;

        begin(0, 0);
        virtio_config_read(dev, 0, &c, sizeof(c));
        ck_assert_uint_eq(le32_get(c.num_pages), 3 * MIB / PAGE);
        ck_assert_uint_eq(m.config_interrupts, 0);
        ck_assert_int_eq(balloon_set_target(dev, 5 * MIB), 0);
        ck_assert_uint_eq(m.config_interrupts, 1);
        virtio_config_read(dev, 0, &c, 4);
        ck_assert_uint_eq(le32_get(c.num_pages), 5 * MIB / PAGE);
        set_config(offsetof(struct virtio_balloon_config, actual), 7);
        /* What is the device's own cannot be written, nor half a field. */
        set_config(offsetof(struct virtio_balloon_config, num_pages), 1);
        set_config(offsetof(struct virtio_balloon_config, actual) + 1, 1);
        virtio_config_write(dev, offsetof(struct virtio_balloon_config, actual), "\xff\xff", 2);
        balloon_get_state(dev, &s);
        ck_assert_uint_eq(s.target_bytes, 5 * MIB);
        ck_assert_uint_eq(s.actual_bytes, 7 * PAGE);
        ck_assert(!s.has_stats && !s.deflate_on_oom);
        ck_assert_int_eq(balloon_set_interval(dev, MS), -ENOTSUP);
        set_config(offsetof(struct virtio_balloon_config, actual), UINT32_MAX);
        balloon_get_state(dev, &s);
        ck_assert_uint_eq(s.actual_bytes, RAM);
        ck_assert_int_eq(balloon_set_target(dev, RAM), -EINVAL);
        ck_assert_int_eq(balloon_set_target(dev, UINT64_MAX), -EINVAL);
        balloon_get_state(dev, &s);
        ck_assert_uint_eq(s.target_bytes, 5 * MIB);
        ck_assert_int_eq(balloon_set_target(dev, RAM - 1), 0);
        balloon_get_state(dev, &s);
        ck_assert_uint_eq(s.target_bytes, RAM - PAGE);
        ck_assert(virtio_reset(dev));
        balloon_get_state(dev, &s);
        ck_assert_uint_eq(s.actual_bytes, 0);
        end();
}
END_TEST

static uint64_t stats_at;

/* The driver's buffer for statistics: one value, free memory. */
static void send_stats(uint64_t free_bytes)
{
        struct virtio_balloon_stat s = { .tag = le16_of(4) };
        le64_t v = le64_of(free_bytes);

        memcpy(s.val, &v, sizeof(v));
        mock_put(m.mem, stats_at, &s, sizeof(s));
        (void)mock_add(&m.vq[STATS], &(struct mock_seg){ stats_at, sizeof(s), false }, 1);
        ck_assert_int_eq(mock_kick(&m, STATS), 0);
}

static bool is_asked(void *arg)
{
        return mock_used_idx(&m.vq[STATS]) >= *(unsigned *)arg;
}

static uint64_t free_of(void)
{
        struct balloon_state s;

        balloon_get_state(dev, &s);
        return s.stats.known & 1u << 4 ? s.stats.values[4] : 0;
}

START_TEST(test_statistics_are_asked_for)
{
        uint64_t before = loop_now_ns();
        unsigned n = 0;

        begin(30 * MS, 1ull << VIRTIO_F_EVENT_IDX);
        stats_at = mock_buf(&m, 64);
        send_stats(1000);
        ck_assert_uint_eq(free_of(), 1000);
        ck_assert_uint_eq(mock_used_idx(&m.vq[STATS]), 0); /* held */
        for (n = 1; n < 4; n++) {
                ck_assert(mock_run_until(loop, is_asked, &n, LIMIT_MS));
                ck_assert_uint_eq(m.interrupts[STATS], n);
                send_stats(1000 + n);
                ck_assert_uint_eq(free_of(), 1000 + n);
        }
        ck_assert_uint_ge(loop_now_ns() - before, 90 * MS);
        ck_assert_uint_eq(mock_stat(&m, "stats_updates"), 4);
        /* Other intervals count at once. */
        ck_assert_int_eq(balloon_set_interval(dev, 3600000 * MS), 0);
        ck_assert(!mock_run_until(loop, is_asked, &n, 100));
        ck_assert_int_eq(balloon_set_interval(dev, MS), 0);
        ck_assert(mock_run_until(loop, is_asked, &n, LIMIT_MS));
        end();
}
END_TEST

/* No driver does that; the second one takes the place of the first. */
START_TEST(test_two_buffers_of_statistics)
{
        begin(3600000 * MS, 0);
        stats_at = mock_buf(&m, 64);
        for (unsigned i = 0; i < 100; i++)
                send_stats(i + 1);
        ck_assert_uint_eq(free_of(), 100);
        ck_assert_uint_eq(mock_used_idx(&m.vq[STATS]), 99);
        end();
}
END_TEST

START_TEST(test_reset_with_statistics_held)
{
        unsigned one = 1;

        begin(20 * MS, 0);
        stats_at = mock_buf(&m, 64);
        send_stats(1000);
        ck_assert(virtio_reset(dev));
        ck_assert_uint_eq(free_of(), 0);
        mock_dev_start(&m, 0, 128);
        ck_assert(!mock_run_until(loop, is_asked, &one, 60));
        send_stats(7);
        ck_assert(mock_run_until(loop, is_asked, &one, LIMIT_MS));
        ck_assert_uint_eq(m.interrupts[STATS], 1);
        end();
}
END_TEST

START_TEST(test_paused)
{
        unsigned one = 1;

        begin(20 * MS, 0);
        stats_at = mock_buf(&m, 64);
        send_stats(1000);
        dev->paused = true;
        ck_assert(!mock_run_until(loop, is_asked, &one, 60));
        dev->paused = false;
        ck_assert(mock_run_until(loop, is_asked, &one, LIMIT_MS));
        end();
}
END_TEST

START_TEST(test_save_and_load)
{
        static uint8_t first[4096], second[4096];
        struct buf a = buf_of(first, sizeof(first)), b = buf_of(second, sizeof(second));
        unsigned one = 1;

        begin(20 * MS, 0);
        stats_at = mock_buf(&m, 64);
        send_stats(1000);
        set_config(offsetof(struct virtio_balloon_config, actual), 9);
        virtio_save(dev, &a);
        ck_assert(!a.bad);
        ck_assert(virtio_reset(dev));
        a = buf_of(first, a.at);
        virtio_load(dev, &a);
        ck_assert(!a.bad && !buf_left(&a));
        ck_assert_int_eq(mock_kick(&m, STATS), 0); /* as the transport does */
        ck_assert_uint_eq(free_of(), 1000);
        virtio_save(dev, &b);
        ck_assert_uint_eq(b.at, a.size);
        ck_assert_mem_eq(first, second, a.size);
        ck_assert(mock_run_until(loop, is_asked, &one, LIMIT_MS));
        /* A device that has none cannot hold any. */
        first[a.size - 2] = first[a.size - 3] = first[a.size - 4] = first[a.size - 5] = first[a.size - 6] =
                first[a.size - 7] = first[a.size - 8] = first[a.size - 9] = 0;
        a = buf_of(first, a.size);
        (void)virtio_reset(dev);
        virtio_load(dev, &a);
        ck_assert(a.bad);
        end();
}
END_TEST

START_TEST(test_a_broken_chain_breaks_the_device)
{
        begin(0, 0);
        mock_desc(&m.vq[_i], 0, RAM, 64, 0, 0);
        mock_push(&m.vq[_i], 0);
        (void)!mock_kick(&m, (unsigned)_i);
        ck_assert(virtio_status(dev) & VIRTIO_STATUS_NEEDS_RESET);
        ck_assert_uint_eq(dev->guest_errors, 1);
        end();
}
END_TEST

int main(void)
{
        const struct run_test tests[] = {
                { test_inflate_and_deflate, 1 },
                { test_hostile_page_numbers, 1 },
                { test_rings_given_away, 1 },
                { test_a_request_has_its_limit, 1 },
                { test_reports, 2 },
                { test_reports_without_the_statistics_that_were_offered, 1 },
                { test_poison_stays, 3 },
                { test_target_and_actual, 1 },
                { test_statistics_are_asked_for, 1 },
                { test_two_buffers_of_statistics, 1 },
                { test_reset_with_statistics_held, 1 },
                { test_paused, 1 },
                { test_save_and_load, 1 },
                { test_a_broken_chain_breaks_the_device, 3 },
        };

        return run_loop_tests("balloon", tests, array_size(tests));
}
