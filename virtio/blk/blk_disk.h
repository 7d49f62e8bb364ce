#pragma once
/*
 * A block device's back end: I/O between a file and guest memory that never makes the loop wait for a
 * disk. Three ways, told apart once at the start:
 *
 * - a file in memory (tmpfs) is read and written on the loop: it has no disk to wait for;
 * - a direct one (O_DIRECT) goes through libaio;
 * - a buffered one is read on the loop as far as the page cache goes (RWF_NOWAIT).
 *
 * All the rest, and what is larger than BLK_LOOP_BYTES_MAX, is the worker's. Thread: loop.
 */
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/loop.h"
#include "vmm/base/worker.h"
#include "vmm/mem/gio_aio.h"

/* Bytes that the loop copies at a time, and so the size of a merged I/O. */
#define BLK_LOOP_BYTES_MAX (1u << 20)

enum blk_op { BLK_OP_READ, BLK_OP_WRITE, BLK_OP_FLUSH, BLK_OP_DISCARD, BLK_OP_ZERO };

struct blk_range;
struct blk_disk;

/* One I/O, embedded in its owner; the back end's from blk_disk_start() until done(). */
struct blk_io {
        enum blk_op op;
        uint64_t at;                    /* READ, WRITE */
        uint64_t len;                   /* READ, WRITE */
        const struct blk_range *ranges; /* DISCARD, ZERO */
        unsigned nr_ranges;
        int error; /* for done(): 0 or negative errno */

        uint64_t moved; /* from here on: the back end's */
        struct blk_disk *disk;
        struct work work;
        struct gio_aio_op aio;
};

struct blk_disk_ops {
        /*
         * bufs() - the guest's buffers of a READ or WRITE, from byte @skip on; loop or worker thread
         * @bufs: room for GIO_SEGS_MAX
         * Return: how many, at least 1
         */
        unsigned (*bufs)(struct blk_io *io, uint64_t skip, struct gbuf *bufs);
        /* done() - loop thread; from within blk_disk_start() or blk_disk_submit(), or later */
        void (*done)(struct blk_io *io);
};

struct blk_disk_config {
        struct loop *loop;
        struct worker *worker;
        const struct blk_disk_ops *ops;
        uint64_t *trips; /* counts those to the worker; borrowed */
        int fd;          /* taken, on failure too */
        bool direct;     /* it was opened with O_DIRECT */
        bool read_only;
};

int must_check blk_disk_new(const struct blk_disk_config *cfg, struct blk_disk **ret);
/* Waits for what libaio has in flight. The worker must have ended before. */
void blk_disk_free(struct blk_disk *disk);
DEFINE_CLEANUP(struct blk_disk *, blk_disk_free)

void blk_disk_start(struct blk_disk *disk, struct blk_io *io);
/* After a batch of starts: what was queued goes to the kernel. */
void blk_disk_submit(struct blk_disk *disk);
