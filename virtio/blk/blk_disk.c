/*
 * A block device's back end.
 * Input:  I/O that blk_parse() has checked against the size of the disk; the file may still be shorter.
 * Runs:   loop thread; run() and below it on the worker.
 * Limits: BLK_LOOP_BYTES_MAX bytes at a time on the loop.
 *
 * System calls of a read that the page cache holds, or of anything on tmpfs: 1 (preadv2, pwritev2), and
 * with it the epoll_wait that brought the kick and the eventfd write that raises the interrupt; merging
 * and batches share all three. Direct: 1 io_submit a batch, see gio_aio.c. On the worker: 1, and a
 * futex and an eventfd write where a thread slept.
 *
 * syscalls: loop: preadv2 pwritev2 io_submit; worker: preadv2 pwritev2 pwrite64 fdatasync fallocate;
 *           main: fstatfs preadv2
 */
#include "virtio/blk/blk_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include "virtio/blk/blk_parse.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"

struct blk_disk {
        struct worker *worker;
        const struct blk_disk_ops *ops;
        struct gio_aio *aio; /* direct, and the file system can decline to wait */
        int fd;
        bool read_only;
        bool in_memory; /* const after init, as is the next */
        bool nowait;    /* buffered, and the file system knows RWF_NOWAIT */
        uint64_t *trips;
};

/* Moves what is left of a READ or WRITE. Return: 0, or negative with io->moved telling how far it went. */
static int transfer(const struct blk_disk *d, struct blk_io *io, int flags)
{
        struct gbuf bufs[GIO_SEGS_MAX] __attribute__((uninitialized));

        while (io->moved < io->len) {
                unsigned n = d->ops->bufs(io, io->moved, bufs);
                off_t at = (off_t)(io->at + io->moved);
                ssize_t r = io->op == BLK_OP_READ ? gio_pread(d->fd, bufs, n, at, flags)
                                                  : gio_pwrite(d->fd, bufs, n, at, flags);

                if (r == -EINTR)
                        continue;
                if (r < 0)
                        return err_trace((int)r);
                if (!r)
                        return err_new(-EIO); /* the file was cut short under us */
                io->moved += (uint64_t)r;
        }
        return 0;
}

/* Where the file system has no call for it. A range is at most BLK_ZEROES_SECTORS_MAX long. */
static int write_zeroes(int fd, uint64_t at, uint64_t len)
{
        /* Never written: its pages stay the kernel's zero page. Aligned for O_DIRECT. */
        static const uint8_t zeroes[64 << 10] __attribute__((aligned(4096)));

        while (len) {
                ssize_t r = pwrite(fd, zeroes, num_min(len, sizeof(zeroes)), (off_t)at);

                if (r < 0 && errno != EINTR)
                        return err_new(-errno);
                if (!r)
                        return err_new(-EIO);
                at += r > 0 ? (uint64_t)r : 0;
                len -= r > 0 ? (uint64_t)r : 0;
        }
        return 0;
}

static int allocate(int fd, int mode, const struct blk_range *range)
{
        int r;

        do
                r = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)range->at, (off_t)range->len);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : 0;
}

static int clear(int fd, enum blk_op op, const struct blk_range *range)
{
        int r = -EOPNOTSUPP;

        if (!range->len)
                return 0;
        if (op == BLK_OP_DISCARD || range->unmap)
                r = allocate(fd, FALLOC_FL_PUNCH_HOLE, range);
        if (op == BLK_OP_ZERO && r == -EOPNOTSUPP)
                r = allocate(fd, FALLOC_FL_ZERO_RANGE, range);
        if (op == BLK_OP_ZERO && r == -EOPNOTSUPP)
                return write_zeroes(fd, range->at, range->len);
        return r ? err_new(r) : 0;
}

static int perform(const struct blk_disk *d, struct blk_io *io)
{
        switch (io->op) {
        case BLK_OP_READ:
        case BLK_OP_WRITE:
                return transfer(d, io, 0);
        case BLK_OP_FLUSH:
                return fdatasync(d->fd) < 0 ? err_new(-errno) : 0;
        case BLK_OP_DISCARD:
        case BLK_OP_ZERO:
        default:
                for (unsigned i = 0; i < io->nr_ranges; i++) {
                        int r = clear(d->fd, io->op, &io->ranges[i]);

                        if (r < 0)
                                return r;
                }
                return 0;
        }
}

static void run(struct work *work)
{
        struct blk_io *io = container_of(work, struct blk_io, work);

        io->error = perform(io->disk, io);
}

static void on_worked(struct work *work)
{
        struct blk_io *io = container_of(work, struct blk_io, work);

        io->disk->ops->done(io);
}

static void to_worker(struct blk_disk *d, struct blk_io *io)
{
        ++*d->trips;
        io->work.run = run;
        io->work.done = on_worked;
        worker_submit(d->worker, &io->work);
}

static void finish(struct blk_disk *d, struct blk_io *io, int error)
{
        io->error = error;
        d->ops->done(io);
}

/* What the kernel would have had to wait for, and the rest of what came short, is the worker's. */
static void on_aio(struct gio_aio_op *op, int64_t result)
{
        struct blk_io *io = container_of(op, struct blk_io, aio);

        if (result > 0)
                io->moved += (uint64_t)result;
        if (result < 0 && result != -EAGAIN)
                finish(io->disk, io, err_new((int)result));
        else if (io->moved < io->len)
                to_worker(io->disk, io);
        else
                finish(io->disk, io, 0);
}

static bool start_aio(struct blk_disk *d, struct blk_io *io)
{
        struct gbuf bufs[GIO_SEGS_MAX] __attribute__((uninitialized));
        unsigned n = d->ops->bufs(io, 0, bufs);

        io->aio.done = on_aio;
        return io->op == BLK_OP_READ ? gio_aio_pread(d->aio, &io->aio, d->fd, bufs, n, (off_t)io->at)
                                     : gio_aio_pwrite(d->aio, &io->aio, d->fd, bufs, n, (off_t)io->at);
}

static void start_transfer(struct blk_disk *d, struct blk_io *io)
{
        bool cached = d->nowait && io->op == BLK_OP_READ;
        int r;

        if (io->len <= BLK_LOOP_BYTES_MAX) {
                if (d->aio && start_aio(d, io))
                        return;
                if (d->in_memory || cached) {
                        r = transfer(d, io, cached ? RWF_NOWAIT : 0);
                        if (!cached || r != -EAGAIN) {
                                finish(d, io, r);
                                return;
                        }
                }
        }
        to_worker(d, io);
}

void blk_disk_start(struct blk_disk *d, struct blk_io *io)
{
        io->disk = d;
        io->moved = 0;
        io->error = 0;
        if (io->op == BLK_OP_READ || io->op == BLK_OP_WRITE)
                start_transfer(d, io);
        else if (io->op == BLK_OP_FLUSH && (d->read_only || d->in_memory))
                finish(d, io, 0); /* there is nothing that could be lost */
        else
                to_worker(d, io);
}

void blk_disk_submit(struct blk_disk *d)
{
        if (d->aio)
                gio_aio_submit(d->aio);
}

/* Does reading with RWF_NOWAIT work here? An empty vector is not enough for all file systems. */
static bool can_decline(int fd)
{
        static uint8_t byte[4096] __attribute__((aligned(4096)));
        struct iovec iov = { .iov_base = byte, .iov_len = sizeof(byte) };

        return preadv2(fd, &iov, 1, 0, RWF_NOWAIT) >= 0 || errno == EAGAIN;
}

int blk_disk_new(const struct blk_disk_config *cfg, struct blk_disk **ret)
{
        cleanup(fd_closep) int fd = cfg->fd;
        cleanup(blk_disk_freep) struct blk_disk *d = calloc(1, sizeof(*d));
        struct statfs fs;
        bool can;

        if (!d)
                return err_new(-ENOMEM);
        d->fd = steal_fd(&fd);
        d->worker = cfg->worker;
        d->ops = cfg->ops;
        d->trips = cfg->trips;
        d->read_only = cfg->read_only;
        if (fstatfs(d->fd, &fs) < 0)
                return err_new(-errno);
        d->in_memory = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
        can = !d->in_memory && can_decline(d->fd);
        d->nowait = can && !cfg->direct;
        if (can && cfg->direct) {
                int r = gio_aio_new(cfg->loop, &d->aio);

                if (r < 0 && r != -EAGAIN)
                        return err_trace(r);
                /* fs.aio-max-nr is used up by others: the worker does it all, more slowly. */
        }
        *ret = steal_ptr(&d);
        return 0;
}

void blk_disk_free(struct blk_disk *d)
{
        if (!d)
                return;
        gio_aio_free(d->aio);
        fd_closep(&d->fd);
        free(d);
}
