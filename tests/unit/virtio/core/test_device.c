/*
 * What all virtio devices share: the status machine, kicks, breaking, reset, saving. The device here
 * does what the test says.
 */
#include "virtio/core/device.h"

#include <string.h>

#include "tests/mock/driver.h"
#include "tests/unit/run.h"

#define RAM        0x100000u
#define QUEUE_SIZE 8u

struct toy {
        struct virtio_dev dev;
        unsigned budget;  /* chains a kick */
        int answer;       /* of kick(), when not 0 */
        bool reset_waits; /* reset() says: not yet */
        bool late;        /* what is done in queue 1 may wait */
        unsigned kicks, resets;
        uint8_t config[8];
};

static int toy_kick(struct virtio_dev *dev, unsigned qi)
{
        struct toy *t = container_of(dev, struct toy, dev);

        t->kicks++;
        if (t->answer)
                return t->answer;
        for (unsigned n = 0; n < t->budget; n++) {
                cleanup(chain_donep) struct vq_chain *c = NULL;
                struct vq_chain chain;
                int r = vq_pop(&dev->vq[qi], &chain);

                if (r)
                        return r;
                c = &chain;
        }
        return VIRTIO_E_AGAIN;
}

static bool toy_puts_off(struct virtio_dev *dev, unsigned qi)
{
        ck_assert_uint_eq(qi, 1);
        return container_of(dev, struct toy, dev)->late;
}

static bool toy_reset(struct virtio_dev *dev)
{
        struct toy *t = container_of(dev, struct toy, dev);

        t->resets++;
        return !t->reset_waits;
}

static void toy_config_write(struct virtio_dev *dev, uint32_t off, const void *src, unsigned len)
{
        memcpy(container_of(dev, struct toy, dev)->config + off, src, len);
}

static void toy_save(const struct virtio_dev *dev, struct buf *b)
{
        buf_put(b, dev->config, dev->config_len);
}

static void toy_load(struct virtio_dev *dev, struct buf *b)
{
        buf_get(b, container_of(dev, struct toy, dev)->config, dev->config_len);
}

static void toy_destroy(struct virtio_dev *dev)
{
        (void)dev;
}

static const struct virtio_class toy_class = {
        .name = "toy",
        .id = 99,
        .nr_queues = 2,
        .queue_max = QUEUE_SIZE,
        .kick = toy_kick,
        .late_queues = 1u << 1,
        .puts_off = toy_puts_off,
        .reset = toy_reset,
        .config_write = toy_config_write,
        .save = toy_save,
        .load = toy_load,
        .destroy = toy_destroy,
};

static struct toy toy;
static struct mock_dev m;

static void begin(void)
{
        memset(&toy, 0, sizeof(toy));
        toy.budget = 4;
        log_setup(LOG_ERR, false, "");
        virtio_init(&toy.dev, &toy_class, mock_ram(RAM), 1u << 5);
        toy.dev.config = toy.config;
        toy.dev.config_len = sizeof(toy.config);
        mock_dev_init(&m, &toy.dev, toy.dev.vq[0].mem);
}

static void end(void)
{
        gmem_free(m.mem);
}

static void add(unsigned n)
{
        const struct mock_seg seg = { 0x80000, 16, true };

        while (n--)
                (void)mock_add(&m.vq[0], &seg, 1);
}

START_TEST(test_status_in_order)
{
        begin();
        virtio_set_status(&toy.dev, VIRTIO_STATUS_ACKNOWLEDGE);
        virtio_set_status(&toy.dev, VIRTIO_STATUS_FEATURES_OK);
        ck_assert_uint_eq(virtio_status(&toy.dev), VIRTIO_STATUS_ACKNOWLEDGE); /* no driver yet */
        virtio_set_status(&toy.dev, VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK);
        ck_assert(!(virtio_status(&toy.dev) & VIRTIO_STATUS_FEATURES_OK)); /* DRIVER comes before */
        virtio_set_status(&toy.dev, VIRTIO_STATUS_FEATURES_OK);
        ck_assert(!(virtio_status(&toy.dev) & VIRTIO_STATUS_FEATURES_OK)); /* VERSION_1 is a must */
        virtio_set_status(&toy.dev, VIRTIO_STATUS_DRIVER_OK);
        ck_assert(!virtio_is_live(&toy.dev));
        virtio_ack_features(&toy.dev, 1, 1);
        virtio_set_status(&toy.dev, VIRTIO_STATUS_FEATURES_OK);
        ck_assert(virtio_status(&toy.dev) & VIRTIO_STATUS_FEATURES_OK);
        virtio_ack_features(&toy.dev, 0, 1u << 5);
        ck_assert(!virtio_has(&toy.dev, 5)); /* too late */
        virtio_set_status(&toy.dev, VIRTIO_STATUS_DRIVER_OK);
        ck_assert(virtio_is_live(&toy.dev));
        virtio_set_status(&toy.dev, VIRTIO_STATUS_NEEDS_RESET);
        ck_assert(!(virtio_status(&toy.dev) & VIRTIO_STATUS_NEEDS_RESET)); /* ours alone */
        end();
}
END_TEST

START_TEST(test_only_offered_features)
{
        begin();
        virtio_ack_features(&toy.dev, 0, 0xffffffff);
        virtio_ack_features(&toy.dev, 1, 0xffffffff);
        virtio_ack_features(&toy.dev, 2, 0xffffffff);
        virtio_ack_features(&toy.dev, 0xffffffff, 0xffffffff);
        virtio_set_status(&toy.dev, 3);
        virtio_set_status(&toy.dev, 11);
        ck_assert_uint_eq(virtio_status(&toy.dev), 3); /* more than was offered */
        virtio_ack_features(&toy.dev, 0, (uint32_t)toy.dev.features);
        virtio_ack_features(&toy.dev, 1, (uint32_t)(toy.dev.features >> 32));
        ck_assert_uint_eq(toy.dev.acked, toy.dev.features);
        virtio_set_status(&toy.dev, 11);
        ck_assert_uint_eq(virtio_status(&toy.dev), 11);
        end();
}
END_TEST

START_TEST(test_bad_rings_need_reset)
{
        begin();
        virtio_set_status(&toy.dev, VIRTIO_STATUS_ACKNOWLEDGE);
        virtio_set_status(&toy.dev, VIRTIO_STATUS_DRIVER);
        virtio_ack_features(&toy.dev, 1, 1);
        virtio_set_status(&toy.dev, VIRTIO_STATUS_FEATURES_OK);
        toy.dev.vq[1].size = 8;
        toy.dev.vq[1].used = GPA(RAM);
        toy.dev.vq[1].ready = true;
        virtio_set_status(&toy.dev, VIRTIO_STATUS_DRIVER_OK);
        ck_assert(!virtio_is_live(&toy.dev));
        ck_assert(virtio_status(&toy.dev) & VIRTIO_STATUS_NEEDS_RESET);
        ck_assert(virtio_reset(&toy.dev));
        ck_assert_uint_eq(virtio_status(&toy.dev), 0);
        ck_assert_uint_eq(toy.resets, 0); /* it was never live */
        mock_dev_start(&m, 0, QUEUE_SIZE);
        end();
}
END_TEST

START_TEST(test_config_space)
{
        uint8_t eight[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, got[8];

        begin();
        virtio_config_write(&toy.dev, 0, eight, 8);
        virtio_config_write(&toy.dev, 7, eight, 2); /* ends outside */
        virtio_config_write(&toy.dev, 8, eight, 1);
        virtio_config_write(&toy.dev, UINT32_MAX, eight, 2);
        virtio_config_read(&toy.dev, 0, got, 8);
        ck_assert_mem_eq(got, eight, 8);
        virtio_config_read(&toy.dev, 6, got, 2);
        ck_assert_mem_eq(got, eight + 6, 2);
        virtio_config_read(&toy.dev, 7, got, 2);
        ck_assert_uint_eq(got[0] | got[1], 0);
        virtio_config_read(&toy.dev, UINT32_MAX, got, 8);
        ck_assert_uint_eq(got[0] | got[7], 0);
        end();
}
END_TEST

START_TEST(test_kick_batches)
{
        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        add(3);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(toy.kicks, 1);
        ck_assert_uint_eq(m.interrupts[0], 1); /* for all three */
        ck_assert_uint_eq(mock_used_idx(&m.vq[0]), 3);
        ck_assert_uint_eq(mock_avail_event(&m.vq[0]), 3);
        end();
}
END_TEST

START_TEST(test_kick_budget)
{
        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        toy.budget = 1;
        add(QUEUE_SIZE);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), VIRTIO_E_AGAIN);
        ck_assert_uint_lt(mock_used_idx(&m.vq[0]), QUEUE_SIZE);
        ck_assert_int_eq(mock_kick(&m, 0), 0);
        ck_assert_uint_eq(mock_used_idx(&m.vq[0]), QUEUE_SIZE);
        end();
}
END_TEST

/* Shown with the next of another queue, by one interrupt, or when the device says so. */
START_TEST(test_late_queue)
{
        struct mock_seg s;

        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        s = (struct mock_seg){ .at = mock_buf(&m, 16), .len = 16, .writable = true };
        toy.late = true;
        (void)mock_add(&m.vq[1], &s, 1);
        ck_assert_int_eq(virtio_kick(&toy.dev, 1), 0);
        ck_assert_uint_eq(mock_used_idx(&m.vq[1]), 0);
        ck_assert_uint_eq(mock_avail_event(&m.vq[1]), 1); /* armed all the same */
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);    /* nothing new there */
        ck_assert_uint_eq(mock_used_idx(&m.vq[1]), 0);
        add(1);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(mock_used_idx(&m.vq[1]), 1);
        ck_assert_uint_eq(m.interrupts[0] + m.interrupts[1], 1);
        (void)mock_add(&m.vq[1], &s, 1);
        ck_assert_int_eq(virtio_kick(&toy.dev, 1), 0);
        ck_assert_uint_eq(mock_used_idx(&m.vq[1]), 1);
        virtio_publish(&toy.dev, 1);
        ck_assert_uint_eq(mock_used_idx(&m.vq[1]), 2);
        end();
}
END_TEST

/* One that broke does not take the others with it. */
START_TEST(test_late_queue_broken)
{
        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        toy.dev.vq[1].broken = true;
        add(1);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(mock_used_idx(&m.vq[0]), 1);
        ck_assert(!toy.dev.vq[0].broken);
        end();
}
END_TEST

START_TEST(test_kick_of_what_is_not_there)
{
        begin();
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0); /* not live */
        mock_dev_start(&m, 0, QUEUE_SIZE);
        ck_assert_int_eq(virtio_kick(&toy.dev, 2), 0);
        ck_assert_int_eq(virtio_kick(&toy.dev, UINT32_MAX), 0);
        toy.dev.vq[1].ready = false;
        ck_assert_int_eq(virtio_kick(&toy.dev, 1), 0);
        ck_assert_uint_eq(toy.kicks, 0);
        end();
}
END_TEST

START_TEST(test_idle_is_not_armed)
{
        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        add(2);
        toy.answer = VIRTIO_E_IDLE;
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(toy.kicks, 1);
        ck_assert_uint_eq(mock_avail_event(&m.vq[0]), 0);
        end();
}
END_TEST

START_TEST(test_broken_once)
{
        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        mock_push(&m.vq[0], QUEUE_SIZE);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert(virtio_status(&toy.dev) & VIRTIO_STATUS_NEEDS_RESET);
        ck_assert_uint_eq(toy.dev.guest_errors, 1);
        ck_assert_uint_eq(m.config_interrupts, 1);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(toy.kicks, 1);
        ck_assert_uint_eq(toy.dev.guest_errors, 1);
        /* A reset heals. */
        ck_assert(virtio_reset(&toy.dev));
        mock_dev_start(&m, 0, QUEUE_SIZE);
        add(1);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(mock_used_idx(&m.vq[0]), 1);
        end();
}
END_TEST

START_TEST(test_broken_by_the_device)
{
        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        add(1);
        toy.answer = VQ_E_BROKEN;
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert(virtio_status(&toy.dev) & VIRTIO_STATUS_NEEDS_RESET);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(toy.kicks, 1);
        end();
}
END_TEST

START_TEST(test_host_trouble_goes_up)
{
        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        toy.answer = -5;
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), -5);
        end();
}
END_TEST

START_TEST(test_reset_that_waits)
{
        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        toy.reset_waits = true;
        ck_assert(!virtio_reset(&toy.dev));
        ck_assert_uint_ne(virtio_status(&toy.dev), 0);
        ck_assert(!virtio_is_live(&toy.dev));
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(toy.kicks, 0);
        virtio_reset_done(&toy.dev);
        ck_assert_uint_eq(virtio_status(&toy.dev), 0);
        ck_assert_uint_eq(m.resets_done, 1);
        ck_assert(!toy.dev.vq[0].ready);
        end();
}
END_TEST

START_TEST(test_save_and_load)
{
        static uint8_t first[4096], second[4096];
        struct buf a = buf_of(first, sizeof(first)), b = buf_of(second, sizeof(second));

        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        toy.config[3] = 7;
        add(3);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        add(2);
        virtio_save(&toy.dev, &a);
        ck_assert(!a.bad);
        ck_assert(virtio_reset(&toy.dev));
        toy.config[3] = 0;
        a = buf_of(first, a.at);
        virtio_load(&toy.dev, &a);
        ck_assert(!a.bad && !buf_left(&a));
        ck_assert(virtio_is_live(&toy.dev));
        virtio_save(&toy.dev, &b);
        ck_assert_mem_eq(first, second, a.size);
        ck_assert_int_eq(virtio_kick(&toy.dev, 0), 0);
        ck_assert_uint_eq(mock_used_idx(&m.vq[0]), 5);
        end();
}
END_TEST

/* No prefix of a state is a state, and none may make us read past it. */
START_TEST(test_load_cut_short)
{
        static uint8_t bytes[4096];
        struct buf whole = buf_of(bytes, sizeof(bytes));

        begin();
        mock_dev_start(&m, 0, QUEUE_SIZE);
        virtio_save(&toy.dev, &whole);
        for (size_t n = 0; n < whole.at; n++) {
                struct buf b = buf_of(bytes, n);

                (void)virtio_reset(&toy.dev);
                virtio_load(&toy.dev, &b);
                ck_assert(b.bad);
                ck_assert(!virtio_is_live(&toy.dev));
        }
        end();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_status_in_order,      test_only_offered_features, test_bad_rings_need_reset,
                test_config_space,         test_kick_batches,          test_kick_budget,
                test_late_queue,           test_late_queue_broken,     test_kick_of_what_is_not_there,
                test_idle_is_not_armed,    test_broken_once,           test_broken_by_the_device,
                test_host_trouble_goes_up, test_reset_that_waits,      test_save_and_load,
                test_load_cut_short,
        };

        return run_tests("device", tests, array_size(tests));
}
