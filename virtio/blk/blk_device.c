/*
 * virtio block: the device itself, and what can be set while it runs.
 * Input:  what the composition has checked; saved state.
 * Runs:   loop thread; main thread before the guest runs.
 * Limits: those of blk.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/blk/blk_priv.h"
#include "virtio/core/wire.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"

/* By blk_kind for the first six. */
static const char *const stat_names[] = {
        "reads",         "writes", "flushes",      "get_ids",     "discards", "write_zeroes", "read_bytes",
        "written_bytes", "merges", "worker_trips", "host_errors", "refused",  "throttled",
};
static_assert(sizeof(stat_names) / sizeof(*stat_names) == NR_STATS, "a name for each");
static_assert((int)ZEROES == (int)BLK_WRITE_ZEROES && ZEROES + 1 == BLK_NR_KINDS, "kinds come first");

static bool blk_reset(struct virtio_dev *dev)
{
        struct blk *b = to_blk(dev);

        b->starved = false;
        loop_timer_clear(b->loop, &b->again);
        b->resetting = b->in_flight;
        return !b->resetting;
}

/* The disk must be the one it was; its rate travels along. */
static void blk_save(const struct virtio_dev *dev, struct buf *buf)
{
        const struct blk *b = (const struct blk *)(const void *)dev; /* its first member */

        buf_put(buf, dev->config, dev->config_len);
        rate_save(&b->rate, buf);
}

static void blk_load(struct virtio_dev *dev, struct buf *buf)
{
        struct blk *b = to_blk(dev);
        struct virtio_blk_config config;

        buf_get(buf, &config, sizeof(config));
        if (!buf->bad && memcmp(&config, dev->config, sizeof(config)) != 0)
                buf->bad = true;
        rate_load(&b->rate, buf, loop_now_ns());
        b->limited = b->rate.bandwidth.refill_ns || b->rate.ops.refill_ns;
}

static void blk_destroy(struct virtio_dev *dev)
{
        struct blk *b = to_blk(dev);

        loop_timer_clear(b->loop, &b->again);
        blk_disk_free(b->next);
        blk_disk_free(b->disk);
        free(b->pool);
        free(b);
}

static const struct virtio_class blk_class = {
        .name = "blk",
        .id = VIRTIO_ID_BLOCK,
        .nr_queues = 1,
        .queue_max = BLK_QUEUE_MAX,
        .kick = blk_kick,
        .reset = blk_reset,
        .save = blk_save,
        .load = blk_load,
        .destroy = blk_destroy,
};

static void fill_config(struct blk *b, uint32_t block_bytes)
{
        b->config = (struct virtio_blk_config){
                .capacity = le64_of(b->limits.size_bytes / VIRTIO_BLK_SECTOR),
                .seg_max = le32_of(VQ_SEGS_MAX - 2), /* without header and status */
                .blk_size = le32_of(block_bytes),
                .num_queues = le16_of(1),
                .max_discard_sectors = le32_of(BLK_DISCARD_SECTORS_MAX),
                .max_discard_seg = le32_of(BLK_RANGES_MAX),
                .discard_sector_alignment =
                        le32_of((block_bytes > 4096 ? block_bytes : 4096) / VIRTIO_BLK_SECTOR),
                .max_write_zeroes_sectors = le32_of(BLK_ZEROES_SECTORS_MAX),
                .max_write_zeroes_seg = le32_of(BLK_RANGES_MAX),
                .write_zeroes_may_unmap = 1,
        };
        b->dev.config = &b->config;
        b->dev.config_len = sizeof(b->config);
}

static uint64_t features_of(bool read_only)
{
        uint64_t f =
                1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE | 1ull << VIRTIO_BLK_F_FLUSH;

        if (read_only)
                return f | 1ull << VIRTIO_BLK_F_RO;
        return f | 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
}

static int new_disk(struct blk *b, const struct blk_file *file, struct blk_disk **ret)
{
        struct blk_disk_config cfg = {
                .loop = b->loop,
                .worker = b->worker,
                .ops = &blk_disk_ops,
                .trips = &b->stats[TRIPS].n,
                .fd = file->fd,
                .direct = file->direct,
                .read_only = b->limits.read_only,
        };

        return blk_disk_new(&cfg, ret);
}

static void init(struct blk *b, const struct blk_config *cfg)
{
        uint32_t block_bytes = cfg->file.block_bytes ? cfg->file.block_bytes : VIRTIO_BLK_SECTOR;

        ASSERT(cfg->file.size_bytes % block_bytes == 0);
        virtio_init(&b->dev, &blk_class, cfg->mem, features_of(cfg->read_only));
        (void)snprintf(b->dev.name, sizeof(b->dev.name), "blk%u", cfg->index);
        for (unsigned i = 0; i < NR_STATS; i++)
                b->stats[i].name = stat_names[i];
        b->dev.stats = b->stats;
        b->dev.nr_stats = NR_STATS;
        b->limits = (struct blk_limits){ .size_bytes = cfg->file.size_bytes, .read_only = cfg->read_only };
        memcpy(b->serial, cfg->serial, strnlen(cfg->serial, sizeof(b->serial)));
        b->loop = cfg->loop;
        b->worker = cfg->worker;
        b->publish.call = blk_on_publish;
        b->again.call = blk_on_again;
        fill_config(b, block_bytes);
        blk_set_rate(&b->dev, &cfg->rate);
}

int blk_new(const struct blk_config *cfg, struct virtio_dev **ret)
{
        struct blk_file file = cfg->file;
        cleanup(fd_closep) int fd = file.fd;
        struct blk *b = calloc(1, sizeof(*b));
        int r;

        if (!b)
                return err_new(-ENOMEM);
        init(b, cfg);
        file.fd = steal_fd(&fd);
        r = new_disk(b, &file, &b->disk);
        b->pool = r ? NULL : calloc(BLK_QUEUE_MAX, sizeof(*b->pool));
        if (!r && !b->pool)
                r = err_new(-ENOMEM);
        if (r < 0) {
                blk_destroy(&b->dev);
                return err_trace(r);
        }
        *ret = &b->dev;
        return 0;
}

void blk_set_rate(struct virtio_dev *dev, const struct rate_config *cfg)
{
        struct blk *b = to_blk(dev);

        b->limited = rate_is_limited(cfg);
        rate_init(&b->rate, cfg, b->limited ? loop_now_ns() : 0);
        if (b->again.at_ns)
                loop_timer_set(b->loop, &b->again, 0); /* what waits may pass by now */
}

int blk_replace(struct virtio_dev *dev, const struct blk_file *file)
{
        cleanup(fd_closep) int fd = file->fd;
        struct blk *b = to_blk(dev);
        struct blk_file mine = *file;
        struct blk_disk *next;
        int r;

        if (file->size_bytes % VIRTIO_BLK_SECTOR || file->block_bytes > le32_get(b->config.blk_size))
                return err_new(-EINVAL);
        mine.fd = steal_fd(&fd);
        r = new_disk(b, &mine, &next);
        if (r < 0)
                return err_trace(r);
        blk_disk_free(b->next); /* it never had its turn */
        b->next = next;
        b->next_bytes = file->size_bytes;
        /* At the end of the round: an event of the old file's may still stand in it. */
        loop_defer(b->loop, &b->publish);
        return 0;
}
