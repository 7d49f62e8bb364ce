/* The entropy device. */
#include "tests/unit/run.h"

#include <string.h>

#include "tests/mock/driver.h"
#include "virtio/rng/rng.h"

#define RAM 0x100000u

static struct gmem *mem;
static struct virtio_dev *dev;
static struct mock_dev driver;

static void set_up(void)
{
        mem = mock_ram(RAM);
        ck_assert(!rng_new(mem, &dev));
        mock_dev_init(&driver, dev, mem);
        mock_dev_start(&driver, 0, 8);
}

static void tear_down(void)
{
        virtio_free(dev);
        gmem_free(mem);
}

START_TEST(test_buffers_are_filled)
{
        uint64_t at[2];
        uint8_t bytes[64], zero[64] = { 0 };
        uint32_t id, len;

        set_up();
        at[0] = mock_buf(&driver, 64);
        at[1] = mock_buf(&driver, 64);
        mock_add(&driver.vq[0], (struct mock_seg[]){ { at[0], 64, true }, { at[1], 36, true } }, 2);
        ck_assert_int_eq(mock_kick(&driver, 0), 0);
        ck_assert(mock_used(&driver.vq[0], &id, &len));
        ck_assert_uint_eq(len, 100);
        for (int i = 0; i < 2; i++) {
                mock_get(mem, at[i], bytes, sizeof(bytes));
                ck_assert_mem_ne(bytes, zero, 32);
        }
        ck_assert_mem_eq(bytes + 36, zero, 28); /* no byte beyond what was asked for */
        ck_assert_uint_eq(driver.interrupts[0], 1);
        ck_assert_uint_eq(mock_stat(&driver, "bytes"), 100);
        tear_down();
}
END_TEST

START_TEST(test_a_request_has_its_limit)
{
        static const struct {
                uint32_t ask, get;
        } rows[] = { { 4095, 4095 }, { 4096, 4096 }, { 4097, 4096 }, { 65536, 4096 } };
        uint32_t id, len;

        set_up();
        for (unsigned i = 0; i < array_size(rows); i++) {
                mock_add(&driver.vq[0],
                         (struct mock_seg[]){ { mock_buf(&driver, rows[i].ask), rows[i].ask, true } }, 1);
                ck_assert_int_eq(mock_kick(&driver, 0), 0);
                ck_assert(mock_used(&driver.vq[0], &id, &len));
                ck_assert_uint_eq(len, rows[i].get);
        }
        tear_down();
}
END_TEST

START_TEST(test_chains_without_room_come_back_empty)
{
        uint64_t at;
        uint32_t id, len;

        set_up();
        at = mock_buf(&driver, 64);
        mock_add(&driver.vq[0], (struct mock_seg[]){ { at, 64, false } }, 1);
        mock_add(&driver.vq[0], (struct mock_seg[]){ { at, 0, true } }, 1);
        ck_assert_int_eq(mock_kick(&driver, 0), 0);
        for (int i = 0; i < 2; i++) {
                ck_assert(mock_used(&driver.vq[0], &id, &len));
                ck_assert_uint_eq(len, 0);
        }
        ck_assert_uint_eq(dev->guest_errors, 0);
        tear_down();
}
END_TEST

START_TEST(test_a_broken_chain_breaks_the_device)
{
        uint32_t id, len;

        set_up();
        mock_desc(&driver.vq[0], 0, RAM, 64, VRING_DESC_F_WRITE, 0);
        mock_push(&driver.vq[0], 0);
        (void)!mock_kick(&driver, 0);
        ck_assert(!mock_used(&driver.vq[0], &id, &len));
        ck_assert(virtio_status(dev) & VIRTIO_STATUS_NEEDS_RESET);
        ck_assert_uint_eq(dev->guest_errors, 1);
        ck_assert_uint_eq(driver.config_interrupts, 1);
        ck_assert(virtio_reset(dev));
        mock_dev_start(&driver, 0, 8);
        mock_add(&driver.vq[0], (struct mock_seg[]){ { mock_buf(&driver, 64), 64, true } }, 1);
        ck_assert_int_eq(mock_kick(&driver, 0), 0);
        ck_assert(mock_used(&driver.vq[0], &id, &len) && len == 64);
        tear_down();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_buffers_are_filled,
                test_a_request_has_its_limit,
                test_chains_without_room_come_back_empty,
                test_a_broken_chain_breaks_the_device,
        };

        return run_tests("rng", tests, array_size(tests));
}
