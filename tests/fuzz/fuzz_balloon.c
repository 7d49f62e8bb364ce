/*
 * The balloon as a whole: ring images and guest memory in, kicks of every queue, writes to its configuration, other
 * targets, timers, then a reset.
 * Input:  struct head, then RAM from address 0 on: rings first, MOCK_VQ_BYTES a queue.
 * Runs:   main thread.
 * Limits: RAM_BYTES of memory.
 */
#include <string.h>

#include "tests/mock/driver.h"
#include "virtio/balloon/balloon.h"
#include "virtio/balloon/balloon_wire.h"
#include "vmm/base/assert.h"

#define RAM_BYTES 0x30000u
#define QUEUES    4u
#define STEPS     8u

/* How the device is made and driven, and STEPS of a byte each. */
struct head {
        uint8_t log2;    /* of the queues' size */
        uint8_t without; /* features not taken */
        le32_t poison;
        uint8_t steps[STEPS];
};
static_assert(sizeof(struct head) == 16, "as the seeds have it");

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct loop *loop;
static struct gmem *mem;
static struct virtio_dev *dev;
static struct mock_dev m;

/* One device for all inputs: a reset leaves nothing behind, or this finds it. */
static void open_device(void)
{
        struct balloon_config cfg = { .deflate_on_oom = true, .stats_interval_ns = 1 };

        log_setup(LOG_ERR, false, "");
        mem = mock_ram(RAM_BYTES);
        ASSERT(!loop_new(&loop));
        cfg.loop = loop;
        cfg.mem = mem;
        ASSERT(!balloon_new(&cfg, &dev) && dev->cls->nr_queues == QUEUES);
        mock_dev_init(&m, dev, mem);
}

static int on_stop(struct loop_timer *timer)
{
        (void)timer;
        loop_stop(loop);
        return 0;
}

static void run_round(void)
{
        struct loop_timer timer = { .call = on_stop };

        loop_timer_set(loop, &timer, 0);
        ASSERT(!loop_run(loop));
}

static void step(unsigned v)
{
        struct balloon_state state;
        le32_t value = le32_of(v * 0x01010101u);

        switch (v % 8) {
        case 4:
                virtio_config_write(dev, v >> 3, &value, v & 0x80 ? 2 : 4);
                break;
        case 5:
                (void)!balloon_set_target(dev, (uint64_t)v << 8);
                break;
        case 6:
                run_round();
                break;
        case 7:
                dev->paused = v & 0x80;
                break;
        default:
                ASSERT(virtio_kick(dev, v % 4) >= 0);
        }
        balloon_get_state(dev, &state);
        ASSERT(state.actual_bytes <= RAM_BYTES && !(state.stats.known >> BALLOON_NR_STATS));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct head h;
        uint64_t without;

        if (!dev)
                open_device();
        if (n < sizeof(h) || n - sizeof(h) > RAM_BYTES)
                return 0;
        memcpy(&h, data, sizeof(h));
        without = (h.without & 1 ? 1ull << VIRTIO_F_EVENT_IDX : 0) |
                  (h.without & 2 ? 1ull << VIRTIO_F_INDIRECT_DESC : 0) |
                  (h.without & 4 ? 1ull << VIRTIO_BALLOON_F_STATS_VQ : 0) |
                  (h.without & 8 ? 1ull << VIRTIO_BALLOON_F_PAGE_POISON : 0);
        ASSERT(!gmem_fill(mem, GPA(0), 0, RAM_BYTES));
        mock_dev_start(&m, without, (uint16_t)(1u << h.log2 % 8));
        virtio_config_write(dev, offsetof(struct virtio_balloon_config, poison_val), &h.poison,
                            sizeof(h.poison));
        mock_put(mem, 0, data + sizeof(h), n - sizeof(h));
        for (unsigned i = 0; i < STEPS; i++)
                step(h.steps[i]);
        dev->paused = false;
        ASSERT(virtio_reset(dev) && !virtio_status(dev) && !virtio_is_live(dev));
        return 0;
}
