/*
 * The block device as a whole: a ring image and guest memory in, a kick, then a reset with whatever is in flight, or
 * with requests that wait for their rate or for another file.
 * Input:  two bytes (log2 of the queue's size; features to leave out, a rate, another file), then RAM from address 0
 *         on, rings first.
 * Runs:   main thread and the worker.
 * Limits: RAM_BYTES of memory, a disk of DISK_BYTES in memory.
 */
#include <sys/mman.h>

#include "tests/mock/driver.h"
#include "virtio/blk/blk.h"
#include "vmm/base/assert.h"

#define RAM_BYTES  0x20000u
#define DISK_BYTES (4u << 20)
#define LIMIT_MS   10000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct loop *loop;
static struct worker *worker;
static struct gmem *mem;
static struct virtio_dev *dev;
static struct mock_dev m;

/* One device for all inputs: a reset leaves nothing behind, or this finds it. */
static void open_device(void)
{
        struct blk_config cfg = { .file.size_bytes = DISK_BYTES, .serial = "fuzz" };

        log_setup(LOG_ERR, false, "");
        mem = mock_ram(RAM_BYTES);
        ASSERT(!loop_new(&loop) && !worker_new(loop, &worker));
        cfg.loop = loop;
        cfg.mem = mem;
        cfg.worker = worker;
        cfg.file.fd = memfd_create("disk", MFD_CLOEXEC);
        ASSERT(cfg.file.fd >= 0 && !ftruncate(cfg.file.fd, DISK_BYTES));
        ASSERT(!blk_new(&cfg, &dev));
        mock_dev_init(&m, dev, mem);
}

static void set_rate(bool limited)
{
        static const struct rate_config none, slow = { .bandwidth = { .size = 512, .refill_ms = 1000 },
                                                       .ops = { .size = 2, .refill_ms = 1 } };

        blk_set_rate(dev, limited ? &slow : &none);
}

static void replace(void)
{
        struct blk_file file = { .fd = memfd_create("other", MFD_CLOEXEC), .size_bytes = DISK_BYTES };

        ASSERT(file.fd >= 0 && !ftruncate(file.fd, DISK_BYTES));
        ASSERT(!blk_replace(dev, &file));
}

static bool had_rounds(void *rounds)
{
        return ++*(unsigned *)rounds > 2;
}

static bool is_reset(void *before)
{
        return m.resets_done != *(unsigned *)before;
}

static void reset(void)
{
        unsigned before = m.resets_done;

        if (!virtio_reset(dev))
                ASSERT(mock_run_until(loop, is_reset, &before, LIMIT_MS));
        ASSERT(!virtio_status(dev) && !virtio_is_live(dev));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        uint64_t without;
        unsigned rounds = 0;

        if (!dev)
                open_device();
        if (n < 2 || n - 2 > RAM_BYTES)
                return 0;
        without = (data[1] & 1 ? 1ull << VIRTIO_F_EVENT_IDX : 0) |
                  (data[1] & 2 ? 1ull << VIRTIO_F_INDIRECT_DESC : 0);
        ASSERT(!gmem_fill(mem, GPA(0), 0, RAM_BYTES));
        mock_dev_start(&m, without, (uint16_t)(1u << data[0] % 9));
        mock_put(mem, 0, data + 2, n - 2);
        set_rate(data[1] & 4);
        for (unsigned i = 0; i < 4; i++) {
                ASSERT(virtio_kick(dev, 0) >= 0);
                if (i == 1 && data[1] & 8)
                        replace();
        }
        if (data[1] & 12)
                (void)mock_run_until(loop, had_rounds, &rounds, LIMIT_MS);
        reset();
        return 0;
}
