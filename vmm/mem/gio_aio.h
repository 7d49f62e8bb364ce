#pragma once
/*
 * Asynchronous file I/O on guest buffers: operations are queued, go to the kernel in one call, and their
 * ends come back on the loop. For files opened with O_DIRECT.
 *
 * Nothing here waits for a disk: an operation that would ends with -EAGAIN at once, and its owner
 * does it elsewhere. Thread: loop.
 */
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/loop.h"
#include "vmm/mem/gio.h"

/* In flight at a time. The system's sum of it is fs.aio-max-nr, 65536 unless somebody raised it. */
#define GIO_AIO_MAX 128u

struct gio_aio;

/* Embedded in its owner, who leaves it alone until done() is called. done() must not queue operations. */
struct gio_aio_op {
        /* @result: bytes, perhaps fewer than asked for; or negative errno, raised by nobody yet. */
        void (*done)(struct gio_aio_op *op, int64_t result);
        uint64_t iocb[8]; /* the library's */
};

/* @loop: borrowed. -EAGAIN: fs.aio-max-nr is used up. */
int must_check gio_aio_new(struct loop *loop, struct gio_aio **ret);
/* Waits for what is in flight; done() is not called for it. After loop_run(). */
void gio_aio_free(struct gio_aio *aio);
DEFINE_CLEANUP(struct gio_aio *, gio_aio_free)

/*
 * gio_aio_pread(), gio_aio_pwrite() - queue one operation
 * @bufs: may go out of scope; at most GIO_SEGS_MAX
 * Return: false when GIO_AIO_MAX are in flight.
 *
 * What is read counts as a write into the guest from now on: the log of writes is taken only when
 * nothing is in flight.
 */
bool must_check gio_aio_pread(struct gio_aio *aio, struct gio_aio_op *op, int fd, const struct gbuf *bufs,
                              unsigned n, off_t off);
bool must_check gio_aio_pwrite(struct gio_aio *aio, struct gio_aio_op *op, int fd, const struct gbuf *bufs,
                               unsigned n, off_t off);

/* gio_aio_submit() - give the kernel what was queued. done() may be called from within. */
void gio_aio_submit(struct gio_aio *aio);
