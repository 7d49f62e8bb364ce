/*
 * libaio on guest buffers.
 * Input:  buffers that gmem_buf() has checked.
 * Runs:   loop thread.
 * Limits: GIO_AIO_MAX in flight, BATCH_MAX operations and BATCH_IOVS buffers a system call.
 *
 * System calls: one io_submit a batch. Ends are read from the ring that the kernel shares with us, and
 * the eventfd that announces them is edge triggered, so that neither io_getevents nor read is called. A
 * disk that is done before io_submit returns costs no wake-up either.
 *
 * syscalls: loop: io_submit; main: io_setup io_destroy eventfd2
 */
#include "vmm/mem/gio_aio.h"

#include <assert.h>
#include <errno.h>
#include <libaio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/mem/gmem_priv.h"

#define BATCH_MAX  64u
#define BATCH_IOVS (2u * GIO_SEGS_MAX)

static_assert(sizeof(struct iocb) == sizeof(((struct gio_aio_op *)NULL)->iocb), "no libaio.h in our header");

/* Linux, fs/aio.c: struct aio_ring. What io_setup() returns points to it. */
struct ring {
        uint32_t id;
        uint32_t nr;
        _Atomic uint32_t head; /* ours */
        _Atomic uint32_t tail; /* the kernel's */
        uint32_t magic;
        uint32_t compat_features;
        uint32_t incompat_features;
        uint32_t header_length;
        struct io_event events[];
};
#define RING_MAGIC 0xa10a10a1u

struct gio_aio {
        struct loop *loop;
        struct ev ev; /* the eventfd */
        io_context_t context;
        struct ring *ring;
        unsigned in_flight;
        unsigned nr_batch, nr_iovs; /* not yet with the kernel */
        struct iocb *batch[BATCH_MAX];
        struct iovec iovs[BATCH_IOVS];
};

static struct iocb *to_iocb(struct gio_aio_op *op)
{
        /* SAFETY: same size by assertion, same alignment; strict aliasing is off. */
        return (struct iocb *)(void *)op->iocb;
}

static struct gio_aio_op *to_op(struct iocb *iocb)
{
        return container_of((uint64_t *)(void *)iocb, struct gio_aio_op, iocb[0]);
}

static void reap(struct gio_aio *aio)
{
        struct ring *ring = aio->ring;
        uint32_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

        /* Pairs with the kernel's write barrier between event and tail (aio_complete). */
        while (head != atomic_load_explicit(&ring->tail, memory_order_acquire)) {
                struct io_event e = ring->events[head];
                struct gio_aio_op *op = to_op(e.obj);

                head = (head + 1) % ring->nr;
                /* The slot is the kernel's again: it was copied before. */
                atomic_store_explicit(&ring->head, head, memory_order_release);
                ASSERT(aio->in_flight);
                aio->in_flight--;
                op->done(op, (int64_t)e.res);
        }
}

/* The batch's first is refused: it ends here, so that the rest gets its turn. */
static void refuse_first(struct gio_aio *aio, int error)
{
        struct gio_aio_op *op = to_op(aio->batch[0]);

        aio->nr_batch--;
        for (unsigned i = 0; i < aio->nr_batch; i++)
                aio->batch[i] = aio->batch[i + 1];
        aio->in_flight--;
        op->done(op, error);
}

void gio_aio_submit(struct gio_aio *aio)
{
        while (aio->nr_batch) {
                int r = io_submit(aio->context, aio->nr_batch, aio->batch);

                if (r <= 0) {
                        refuse_first(aio, r ? r : -EAGAIN);
                        continue;
                }
                aio->nr_batch -= (unsigned)r;
                for (unsigned i = 0; i < aio->nr_batch; i++)
                        aio->batch[i] = aio->batch[i + (unsigned)r];
        }
        aio->nr_iovs = 0;
        reap(aio);
}

static bool queue(struct gio_aio *aio, struct gio_aio_op *op, const struct gbuf *bufs, unsigned n)
{
        struct iovec *iov;

        ASSERT(n <= GIO_SEGS_MAX);
        if (aio->in_flight == GIO_AIO_MAX)
                return false;
        if (aio->nr_batch == BATCH_MAX || aio->nr_iovs + n > BATCH_IOVS)
                gio_aio_submit(aio);
        iov = &aio->iovs[aio->nr_iovs];
        for (unsigned i = 0; i < n; i++)
                iov[i] = (struct iovec){ .iov_base = bufs[i].hva, .iov_len = bufs[i].len };
        aio->nr_iovs += n;
        aio->batch[aio->nr_batch++] = to_iocb(op);
        aio->in_flight++;
        return true;
}

bool gio_aio_pread(struct gio_aio *aio, struct gio_aio_op *op, int fd, const struct gbuf *bufs, unsigned n,
                   off_t off)
{
        if (!queue(aio, op, bufs, n))
                return false;
        io_prep_preadv2(to_iocb(op), fd, &aio->iovs[aio->nr_iovs - n], (int)n, off, RWF_NOWAIT);
        io_set_eventfd(to_iocb(op), aio->ev.fd);
        for (unsigned i = 0; i < n; i++)
                gmem_log_write(bufs[i].mem, bufs[i].at, bufs[i].len);
        return true;
}

bool gio_aio_pwrite(struct gio_aio *aio, struct gio_aio_op *op, int fd, const struct gbuf *bufs, unsigned n,
                    off_t off)
{
        if (!queue(aio, op, bufs, n))
                return false;
        io_prep_pwritev2(to_iocb(op), fd, &aio->iovs[aio->nr_iovs - n], (int)n, off, RWF_NOWAIT);
        io_set_eventfd(to_iocb(op), aio->ev.fd);
        return true;
}

static int on_event(struct ev *ev, uint32_t events)
{
        (void)events;
        reap(container_of(ev, struct gio_aio, ev));
        return 0;
}

int gio_aio_new(struct loop *loop, struct gio_aio **ret)
{
        cleanup(gio_aio_freep) struct gio_aio *aio = calloc(1, sizeof(*aio));
        int r;

        if (!aio)
                return err_new(-ENOMEM);
        aio->loop = loop;
        aio->ev = (struct ev){ .call = on_event, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
        if (aio->ev.fd < 0)
                return err_new(-errno);
        r = io_setup((int)GIO_AIO_MAX, &aio->context);
        if (r < 0)
                return err_new(r);
        /* SAFETY: the context's handle is the address of the ring, as libaio itself relies on. */
        aio->ring = (struct ring *)(void *)aio->context;
        if (aio->ring->magic != RING_MAGIC || aio->ring->incompat_features)
                return err_new(-ENOSYS);
        r = loop_add(loop, &aio->ev, EPOLLIN | EPOLLET);
        if (r < 0)
                return err_trace(r);
        *ret = steal_ptr(&aio);
        return 0;
}

void gio_aio_free(struct gio_aio *aio)
{
        if (!aio)
                return;
        loop_remove(aio->loop, &aio->ev);
        if (aio->context)
                (void)io_destroy(aio->context);
        fd_closep(&aio->ev.fd);
        free(aio);
}
