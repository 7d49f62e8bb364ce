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
 *
 * A request beyond the rate goes back into the queue, and a timer goes on with it. While a new file waits
 * for its turn, the queue is left alone.
 */
#include "virtio/blk/blk.h"

#include <errno.h>
#include <string.h>

#include "virtio/blk/blk_priv.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"

/* Per call of kick(): long enough to merge and batch, short enough for the others on the loop. */
#define KICK_REQUESTS 128u
#define KICK_BYTES    (4u << 20)

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

/* Nothing is in flight: the old file goes, and the driver learns of the new size. */
static void use_next(struct blk *b)
{
        blk_disk_free(b->disk);
        b->disk = b->next;
        b->next = NULL;
        b->limits.size_bytes = b->next_bytes;
        b->config.capacity = le64_of(b->next_bytes / VIRTIO_BLK_SECTOR);
        virtio_config_changed(&b->dev);
        loop_timer_set(b->loop, &b->again, 0);
}

void blk_on_publish(struct loop_job *job)
{
        struct blk *b = container_of(job, struct blk, publish);

        virtio_publish(&b->dev, BLK_QUEUE);
        if (b->resetting && !b->in_flight) {
                b->resetting = false;
                virtio_reset_done(&b->dev);
        }
        if (b->next && !b->in_flight)
                use_next(b);
        if (b->starved) {
                b->starved = false;
                loop_timer_set(b->loop, &b->again, 0);
        }
}

int blk_on_again(struct loop_timer *timer)
{
        struct blk *b = container_of(timer, struct blk, again);
        int r = virtio_kick(&b->dev, BLK_QUEUE);

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

const struct blk_disk_ops blk_disk_ops = { .bufs = io_bufs, .done = io_done };

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

/* What a request costs the host: zeroes count unless a hole will do. */
static uint64_t bytes_of(const struct blk_parsed *p)
{
        uint64_t sum = 0;

        if (p->kind == BLK_READ || p->kind == BLK_WRITE)
                return p->len;
        for (unsigned i = 0; p->kind == BLK_WRITE_ZEROES && i < p->nr_ranges; i++)
                sum += p->ranges[i].unmap ? 0 : p->ranges[i].len;
        return sum;
}

/* Return: false when it has to wait. Then it is back in the queue, and the timer is set. */
static bool may_pass(struct blk *b, struct request *req)
{
        uint64_t wait_ns = rate_take(&b->rate, bytes_of(&req->parsed), loop_now_ns());

        if (!wait_ns)
                return true;
        b->stats[THROTTLED].n++;
        vq_unpop(&req->chain);
        put_request(b, req);
        loop_timer_set(b->loop, &b->again, wait_ns);
        return false;
}

/* Return: 0, VIRTIO_E_IDLE when it has to wait, or VQ_E_BROKEN when the chain cannot even be answered. */
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
        if (!r && b->limited && !may_pass(b, req))
                return VIRTIO_E_IDLE;
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

int blk_kick(struct virtio_dev *dev, unsigned qi)
{
        struct blk *b = to_blk(dev);
        int r;

        if (b->next)
                return VIRTIO_E_IDLE; /* use_next() goes on */
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
