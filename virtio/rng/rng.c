/*
 * virtio entropy: fills the guest's buffers from the kernel's random pool.
 * Input:  writable chains (guest, hostile).
 * Runs:   loop thread.
 * Limits: RNG_BYTES_MAX a chain, RNG_BUDGET chains a round.
 */
#include "virtio/rng/rng.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "virtio/core/chain.h"
#include "virtio/core/wire.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/mem/gio.h"

/* A driver asks for 64 bytes or so. Random bytes cost the host CPU time: a guest gets them in small
 * portions, and the loop comes to the others in between. */
#define RNG_BYTES_MAX 4096u
#define RNG_BUDGET    16u

enum { STAT_REQUESTS, STAT_BYTES, NR_STATS };

struct rng {
        struct virtio_dev dev;
        struct stat_counter stats[NR_STATS];
        struct vq_chain chain;
};

static struct rng *to_rng(struct virtio_dev *dev)
{
        return container_of(dev, struct rng, dev);
}

static int fill(struct rng *rng, struct vq_chain *c)
{
        struct gbuf bufs[VQ_SEGS_MAX];
        uint64_t want = num_min(chain_writable(c), RNG_BYTES_MAX);
        unsigned n = chain_bufs_writable(c, 0, want, bufs);
        uint64_t done = 0;

        for (unsigned i = 0; i < n; i++) {
                ssize_t r = bufs[i].len ? gio_random(&bufs[i]) : 0;

                if (r < 0 && r != -EAGAIN && r != -EINTR)
                        return err_trace((int)r);
                if (r < 0)
                        break;
                done += (uint64_t)r;
                if ((size_t)r < bufs[i].len)
                        break;
        }
        chain_wrote(c, done);
        rng->stats[STAT_REQUESTS].n++;
        rng->stats[STAT_BYTES].n += done;
        return 0;
}

static int rng_kick(struct virtio_dev *dev, unsigned qi)
{
        struct rng *rng = to_rng(dev);

        for (unsigned n = RNG_BUDGET; n; n--) {
                cleanup(chain_donep) struct vq_chain *c = &rng->chain;
                int r = vq_pop(&dev->vq[qi], c);

                if (r)
                        return r;
                r = fill(rng, c);
                if (r < 0)
                        return err_trace(r);
        }
        return VIRTIO_E_AGAIN;
}

static bool rng_reset(struct virtio_dev *dev)
{
        (void)dev;
        return true;
}

static void rng_destroy(struct virtio_dev *dev)
{
        free(to_rng(dev));
}

static const struct virtio_class rng_class = {
        .name = "rng",
        .id = VIRTIO_ID_RNG,
        .nr_queues = 1,
        .queue_max = 64,
        .kick = rng_kick,
        .reset = rng_reset,
        .destroy = rng_destroy,
};

int rng_new(struct gmem *mem, struct virtio_dev **ret)
{
        struct rng *rng = calloc(1, sizeof(*rng));

        if (!rng)
                return err_new(-ENOMEM);
        virtio_init(&rng->dev, &rng_class, mem, 0);
        (void)snprintf(rng->dev.name, sizeof(rng->dev.name), "rng0");
        rng->stats[STAT_REQUESTS].name = "requests";
        rng->stats[STAT_BYTES].name = "bytes";
        rng->dev.stats = rng->stats;
        rng->dev.nr_stats = NR_STATS;
        *ret = &rng->dev;
        return 0;
}
