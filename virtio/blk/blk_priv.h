#pragma once
/*
 * What the files of the block device share, and nobody else sees: blk.c has the way of a request,
 * blk_device.c what is made, set and kept.
 */
#include "virtio/blk/blk.h"
#include "virtio/blk/blk_disk.h"
#include "virtio/blk/blk_parse.h"
#include "virtio/blk/blk_wire.h"
#include "virtio/core/chain.h"
#include "vmm/base/rate.h"

#define BLK_QUEUE 0u

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
        REFUSED,
        THROTTLED
};
#define NR_STATS 13

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
        struct worker *worker;
        struct blk_disk *disk;

        struct request *pool; /* BLK_QUEUE_MAX; memory is touched from the front as needed */
        struct request *free; /* those that were used before */
        unsigned nr_used;     /* of the pool, ever */
        unsigned in_flight;

        bool in_kick;   /* the core will publish */
        bool starved;   /* entries were left because the pool was empty */
        bool resetting; /* the driver waits for in_flight to reach 0 */
        struct loop_job publish;
        struct loop_timer again; /* goes on after starving, and when the rate allows more */

        bool limited; /* there is a rate */
        struct rate rate;

        struct blk_disk *next; /* takes the place of `disk` when nothing is in flight; NULL: none */
        uint64_t next_bytes;

        /* The I/O that the kick is building. */
        struct request *open, *open_last;
        unsigned open_segs;
};

static inline struct blk *to_blk(struct virtio_dev *dev)
{
        return container_of(dev, struct blk, dev);
}

extern const struct blk_disk_ops blk_disk_ops;

/* blk_kick() - see struct virtio_class */
int must_check blk_kick(struct virtio_dev *dev, unsigned qi);
/* After completions outside a kick, and whenever something waits for nothing to be in flight. */
void blk_on_publish(struct loop_job *job);
int must_check blk_on_again(struct loop_timer *timer);
