/*
 * virtio block: turns request chains into file I/O.
 * Input:  request chains (guest, hostile).
 * Runs:   loop thread; io_bufs() also on the worker, for requests that it holds.
 * Limits: BLK_QUEUE_MAX requests in flight, KICK_REQUESTS and KICK_BYTES a kick.
 *
 * A request is popped into a slot of the pool, parsed, and becomes an I/O of its own or is merged into
 * the one before it. When that is done, each of its requests gets its status and its chain is done; the
 * core publishes them after the kick, or we do at the end of the loop's round: once a batch either way.
 *
 * A driver that makes the same descriptors available twice can have more in flight than the queue has
 * entries. Then the pool is empty, the rest stays in the queue, and the first request that ends goes on.
 */
#include "virtio/blk/blk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "virtio/blk/blk_disk.h"
#include "virtio/blk/blk_parse.h"
#include "virtio/blk/blk_wire.h"
#include "virtio/core/chain.h"
#include "virtio/core/wire.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"

/* Per call of kick(): long enough to merge and batch, short enough for the others on the loop. */
#define KICK_REQUESTS 128u
#define KICK_BYTES    (4u << 20)

#define QUEUE 0u

enum {
        READS,
        WRITES,
        FLUSHES,
        GET_IDS,
        DISCARDS,
        ZEROES,
        READ_BYTES,
        WRITTEN_BYTES,
        MERGES,
        TRIPS,
        ERRORS,
        REFUSED
};
#define NR_STATS 12

/* By blk_kind for the first six. */
static const char *const stat_names[] = {
        "reads",      "writes",        "flushes", "get_ids",      "discards",    "write_zeroes",
        "read_bytes", "written_bytes", "merges",  "worker_trips", "host_errors", "refused",
};
static_assert(sizeof(stat_names) / sizeof(*stat_names) == NR_STATS, "a name for each");
static_assert((int)ZEROES == (int)BLK_WRITE_ZEROES && ZEROES + 1 == BLK_NR_KINDS, "kinds come first");

struct request {
        struct blk_io io; /* used by the first of those merged */
        struct blk *blk;
        struct request *next; /* merged into the same I/O; or in the list of free ones */
        struct blk_parsed parsed;
        struct vq_chain chain; /* last: it is large, and most of it stays untouched */
};

struct blk {
        struct virtio_dev dev;
        struct virtio_blk_config config;
        struct blk_limits limits;
        struct stat_counter stats[NR_STATS];
        char serial[VIRTIO_BLK_ID_BYTES];
        struct loop *loop;
        struct blk_disk *disk;

        struct request *pool; /* BLK_QUEUE_MAX; memory is touched from the front as needed */
        struct request *free; /* those that were used before */
        unsigned nr_used;     /* of the pool, ever */
        unsigned in_flight;

        bool in_kick;   /* the core will publish */
        bool starved;   /* entries were left because the pool was empty */
        bool resetting; /* the driver waits for in_flight to reach 0 */
        struct loop_job publish;
        struct loop_timer again; /* goes on after starving */

        /* The I/O that the kick is building. */
        struct request *open, *open_last;
        unsigned open_segs;
};

static struct blk *to_blk(struct virtio_dev *dev)
{
        return container_of(dev, struct blk, dev);
}

static struct request *take_request(struct blk *b)
{
        struct request *req = b->free;

        if (req)
                b->free = req->next;
        else if (b->nr_used < BLK_QUEUE_MAX)
                req = &b->pool[b->nr_used++];
        return req;
}

static void put_request(struct blk *b, struct request *req)
{
        req->next = b->free;
        b->free = req;
}

/*
 * The one place that writes a status and ends a request. With an error nothing before the status byte
 * was written as promised, so used.len says 0 (virtio 1.2, 2.7.8.2: it may say less than was written).
 */
static void answer(struct request *req, uint8_t status)
{
        struct blk *b = req->blk;

        if (!chain_write(&req->chain, req->parsed.status_at, &status, 1) && status != VIRTIO_BLK_S_OK)
                req->chain.written = 0;
        (void)chain_done(&req->chain); /* a broken ring shows when it is published */
        put_request(b, req);
        b->in_flight--;
        if (!b->in_kick)
                loop_defer(b->loop, &b->publish);
}

static void on_publish(struct loop_job *job)
{
        struct blk *b = container_of(job, struct blk, publish);

        virtio_publish(&b->dev, QUEUE);
        if (b->resetting && !b->in_flight) {
                b->resetting = false;
                virtio_reset_done(&b->dev);
        }
        if (b->starved) {
                b->starved = false;
                loop_timer_set(b->loop, &b->again, 0);
        }
}

static int on_again(struct loop_timer *timer)
{
        struct blk *b = container_of(timer, struct blk, again);
        int r = virtio_kick(&b->dev, QUEUE);

        if (r == VIRTIO_E_AGAIN)
                loop_timer_set(b->loop, timer, 0);
        return r < 0 ? err_trace(r) : 0;
}

static uint8_t status_of(struct blk *b, const struct blk_io *io)
{
        if (!io->error)
                return VIRTIO_BLK_S_OK;
        b->stats[ERRORS].n++;
        log_guest(&b->dev.log, b->dev.name, "the disk failed at byte %llu: %s", (unsigned long long)io->at,
                  strerror(-io->error));
        return io->error == -EOPNOTSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static void io_done(struct blk_io *io)
{
        struct request *req = container_of(io, struct request, io);
        uint8_t status = status_of(req->blk, io);

        while (req) {
                struct request *next = req->next;

                /* The status comes last, so used.len covers the data that lies before it. */
                answer(req, status);
                req = next;
        }
}

/* The buffers of merged requests one after the other; they fit by merge(). */
static unsigned io_bufs(struct blk_io *io, uint64_t skip, struct gbuf *bufs)
{
        unsigned n = 0;

        for (struct request *req = container_of(io, struct request, io); req; req = req->next) {
                const struct blk_parsed *p = &req->parsed;
                unsigned got;

                if (skip >= p->len) {
                        skip -= p->len;
                        continue;
                }
                got = p->kind == BLK_READ
                              ? chain_bufs_writable(&req->chain, p->data_at + skip, p->len - skip, &bufs[n])
                              : chain_bufs_readable(&req->chain, p->data_at + skip, p->len - skip, &bufs[n]);
                ASSERT(got);
                n += got;
                skip = 0;
        }
        ASSERT(n && n <= GIO_SEGS_MAX);
        return n;
}

static const struct blk_disk_ops disk_ops = { .bufs = io_bufs, .done = io_done };

/* The I/O under construction is complete: off it goes. */
static void close_io(struct blk *b)
{
        struct request *req = b->open;

        b->open = NULL;
        if (req)
                blk_disk_start(b->disk, &req->io);
}

static bool merge(struct blk *b, struct request *req)
{
        struct blk_io *io = b->open ? &b->open->io : NULL;
        const struct blk_parsed *p = &req->parsed;

        if (!io || b->open->parsed.kind != p->kind || io->at + io->len != p->at)
                return false;
        if (p->len > BLK_LOOP_BYTES_MAX - num_min(io->len, BLK_LOOP_BYTES_MAX) ||
            b->open_segs + req->chain.nr_segs > GIO_SEGS_MAX)
                return false;
        io->len += p->len;
        b->open_segs += req->chain.nr_segs;
        b->open_last->next = req;
        b->open_last = req;
        b->stats[MERGES].n++;
        return true;
}

static void start_transfer(struct blk *b, struct request *req)
{
        const struct blk_parsed *p = &req->parsed;

        b->stats[p->kind == BLK_READ ? READ_BYTES : WRITTEN_BYTES].n += p->len;
        if (merge(b, req))
                return;
        close_io(b);
        req->io.op = p->kind == BLK_READ ? BLK_OP_READ : BLK_OP_WRITE;
        req->io.at = p->at;
        req->io.len = p->len;
        b->open = b->open_last = req;
        b->open_segs = req->chain.nr_segs;
}

static void start_other(struct blk *b, struct request *req, enum blk_op op)
{
        req->io.op = op;
        req->io.at = 0;
        req->io.ranges = req->parsed.ranges;
        req->io.nr_ranges = req->parsed.nr_ranges;
        blk_disk_start(b->disk, &req->io);
}

static void start(struct blk *b, struct request *req)
{
        b->stats[req->parsed.kind].n++;
        switch (req->parsed.kind) {
        case BLK_READ:
        case BLK_WRITE:
                start_transfer(b, req);
                break;
        case BLK_FLUSH:
                start_other(b, req, BLK_OP_FLUSH);
                break;
        case BLK_DISCARD:
                start_other(b, req, BLK_OP_DISCARD);
                break;
        case BLK_WRITE_ZEROES:
                start_other(b, req, BLK_OP_ZERO);
                break;
        case BLK_GET_ID:
        default:
                answer(req, chain_write(&req->chain, req->parsed.data_at, b->serial, sizeof(b->serial))
                                    ? VIRTIO_BLK_S_IOERR
                                    : VIRTIO_BLK_S_OK);
        }
}

/* Return: 0, or VQ_E_BROKEN when the chain cannot even be answered. */
static int accept(struct blk *b, struct request *req)
{
        int r;

        req->blk = b;
        req->next = NULL;
        r = blk_parse(&req->chain, &b->limits, &req->parsed);
        if (r == BLK_E_BROKEN) {
                put_request(b, req);
                return VQ_E_BROKEN;
        }
        b->in_flight++;
        if (r) {
                b->stats[REFUSED].n++;
                answer(req, r == BLK_E_UNSUPP ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR);
        } else {
                start(b, req);
        }
        return 0;
}

static int pop_all(struct blk *b, struct vq *vq)
{
        uint64_t moved = b->stats[READ_BYTES].n + b->stats[WRITTEN_BYTES].n;

        for (unsigned n = 0; n < KICK_REQUESTS; n++) {
                struct request *req = take_request(b);
                int r;

                if (!req) {
                        b->starved = true;
                        return VIRTIO_E_IDLE;
                }
                r = vq_pop(vq, &req->chain);
                if (r) {
                        put_request(b, req);
                        return r;
                }
                r = accept(b, req);
                if (r)
                        return r;
                if (b->stats[READ_BYTES].n + b->stats[WRITTEN_BYTES].n - moved > KICK_BYTES)
                        break;
        }
        return VIRTIO_E_AGAIN;
}

static int blk_kick(struct virtio_dev *dev, unsigned qi)
{
        struct blk *b = to_blk(dev);
        int r;

        b->limits.features = dev->acked;
        b->in_kick = true;
        r = pop_all(b, &dev->vq[qi]);
        close_io(b);
        blk_disk_submit(b->disk);
        b->in_kick = false;
        /* All that it starved for may have ended within the kick. */
        if (b->starved && b->in_flight < BLK_QUEUE_MAX)
                loop_defer(b->loop, &b->publish);
        return r;
}

static bool blk_reset(struct virtio_dev *dev)
{
        struct blk *b = to_blk(dev);

        b->starved = false;
        loop_timer_clear(b->loop, &b->again);
        b->resetting = b->in_flight;
        return !b->resetting;
}

/* Nothing of ours changes while the guest runs: the disk must be the one it was. */
static void blk_save(const struct virtio_dev *dev, struct buf *b)
{
        buf_put(b, dev->config, dev->config_len);
}

static void blk_load(struct virtio_dev *dev, struct buf *b)
{
        struct virtio_blk_config config;

        buf_get(b, &config, sizeof(config));
        if (!b->bad && memcmp(&config, dev->config, sizeof(config)) != 0)
                b->bad = true;
}

static void blk_destroy(struct virtio_dev *dev)
{
        struct blk *b = to_blk(dev);

        loop_timer_clear(b->loop, &b->again);
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

int blk_new(const struct blk_config *cfg, struct virtio_dev **ret)
{
        cleanup(fd_closep) int fd = cfg->fd;
        uint32_t block_bytes = cfg->block_bytes ? cfg->block_bytes : VIRTIO_BLK_SECTOR;
        struct blk *b = calloc(1, sizeof(*b));
        struct blk_disk_config disk;
        int r;

        if (!b)
                return err_new(-ENOMEM);
        ASSERT(cfg->size_bytes % block_bytes == 0);
        virtio_init(&b->dev, &blk_class, cfg->mem, features_of(cfg->read_only));
        (void)snprintf(b->dev.name, sizeof(b->dev.name), "blk%u", cfg->index);
        for (unsigned i = 0; i < NR_STATS; i++)
                b->stats[i].name = stat_names[i];
        b->dev.stats = b->stats;
        b->dev.nr_stats = NR_STATS;
        b->limits = (struct blk_limits){ .size_bytes = cfg->size_bytes, .read_only = cfg->read_only };
        memcpy(b->serial, cfg->serial, strnlen(cfg->serial, sizeof(b->serial)));
        b->loop = cfg->loop;
        b->publish.call = on_publish;
        b->again.call = on_again;
        fill_config(b, block_bytes);
        disk = (struct blk_disk_config){
                .loop = cfg->loop,
                .worker = cfg->worker,
                .ops = &disk_ops,
                .trips = &b->stats[TRIPS].n,
                .fd = steal_fd(&fd),
                .direct = cfg->direct,
                .read_only = cfg->read_only,
        };
        r = blk_disk_new(&disk, &b->disk);
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
