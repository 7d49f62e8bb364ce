/*
 * The virtio MMIO transport, version 2.
 * Input:  register accesses of the guest, hostile.
 * Runs:   registers on vCPU threads under a lock, kicks and interrupts on the loop thread.
 * Limits: VIRTIO_QUEUES_MAX queues.
 */
#include "virtio/mmio/mmio.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "virtio/core/wire.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/err.h"

/* 4.2.2 MMIO Device Register Layout */
#define REG_MAGIC             0x000u
#define REG_VERSION           0x004u
#define REG_DEVICE_ID         0x008u
#define REG_VENDOR_ID         0x00cu
#define REG_DEVICE_FEATURES   0x010u
#define REG_DEVICE_FEAT_SEL   0x014u
#define REG_DRIVER_FEATURES   0x020u
#define REG_DRIVER_FEAT_SEL   0x024u
#define REG_QUEUE_SEL         0x030u
#define REG_QUEUE_NUM_MAX     0x034u
#define REG_QUEUE_NUM         0x038u
#define REG_QUEUE_READY       0x044u
#define REG_INTERRUPT_STATUS  0x060u
#define REG_INTERRUPT_ACK     0x064u
#define REG_STATUS            0x070u
#define REG_QUEUE_DESC_LOW    0x080u
#define REG_QUEUE_DESC_HIGH   0x084u
#define REG_QUEUE_AVAIL_LOW   0x090u
#define REG_QUEUE_AVAIL_HIGH  0x094u
#define REG_QUEUE_USED_LOW    0x0a0u
#define REG_QUEUE_USED_HIGH   0x0a4u
#define REG_SHM_LEN_LOW       0x0b0u
#define REG_SHM_BASE_HIGH     0x0bcu
#define REG_CONFIG_GENERATION 0x0fcu
#define REG_CONFIG            0x100u

#define MAGIC  0x74726976u /* "virt" */
#define VENDOR 0x544c4d56u /* "VMLT" */

#define INTERRUPT_QUEUE  1u
#define INTERRUPT_CONFIG 2u

struct kick {
        struct ev ev;
        struct mmio *mmio;
        unsigned qi;
};

struct mmio {
        struct virtio_transport transport;
        struct virtio_dev *dev;
        struct loop *loop;
        struct irq *irq;
        pthread_mutex_t lock; /* orders vCPUs among each other; the loop never takes it */
        uint32_t device_feat_sel, driver_feat_sel, queue_sel; /* under lock */
        _Atomic uint32_t interrupt_status;
        struct loop_post reset; /* under lock while in use */
        struct kick kicks[VIRTIO_QUEUES_MAX];
};

static struct mmio *to_mmio(struct virtio_transport *t)
{
        return container_of(t, struct mmio, transport);
}

static void interrupt(struct mmio *m, uint32_t cause)
{
        atomic_fetch_or_explicit(&m->interrupt_status, cause, memory_order_release);
        /* Also if the last one is not acknowledged: the line is an edge, which is lost while a driver has it masked. */
        irq_raise(m->irq);
}

static void notify_queue(struct virtio_transport *t, unsigned qi)
{
        (void)qi;
        interrupt(to_mmio(t), INTERRUPT_QUEUE);
}

static void notify_config(struct virtio_transport *t)
{
        interrupt(to_mmio(t), INTERRUPT_CONFIG);
}

static void reset_done(struct virtio_transport *t)
{
        struct mmio *m = to_mmio(t);

        loop_call_done(m->loop, &m->reset);
}

static void on_reset(struct loop_post *post)
{
        struct mmio *m = container_of(post, struct mmio, reset);

        if (virtio_reset(m->dev))
                loop_call_done(m->loop, post);
}

/* Edge triggered: the counter is never read, which saves a system call a kick. */
static int on_kick(struct ev *ev, uint32_t events)
{
        struct kick *k = container_of(ev, struct kick, ev);
        int r = virtio_kick(k->mmio->dev, k->qi);

        (void)events;
        if (r == VIRTIO_E_AGAIN)
                (void)!eventfd_write(ev->fd, 1);
        return r < 0 ? err_trace(r) : 0;
}

/* The queue that the registers name, as long as its setting may change: before DRIVER_OK. */
static struct vq *settable_queue(struct mmio *m)
{
        if (m->queue_sel >= m->dev->cls->nr_queues || virtio_status(m->dev) & VIRTIO_STATUS_DRIVER_OK)
                return NULL;
        return &m->dev->vq[m->queue_sel];
}

static uint32_t read_register(struct mmio *m, uint64_t off)
{
        struct virtio_dev *dev = m->dev;
        bool is_queue = m->queue_sel < dev->cls->nr_queues;

        switch (off) {
        case REG_MAGIC:
                return MAGIC;
        case REG_VERSION:
                return 2;
        case REG_DEVICE_ID:
                return dev->cls->id;
        case REG_VENDOR_ID:
                return VENDOR;
        case REG_DEVICE_FEATURES:
                return m->device_feat_sel < 2 ? (uint32_t)(dev->features >> 32 * m->device_feat_sel) : 0;
        case REG_QUEUE_NUM_MAX:
                return is_queue ? dev->cls->queue_max : 0;
        case REG_QUEUE_READY:
                return is_queue && dev->vq[m->queue_sel].ready;
        case REG_STATUS:
                return virtio_status(dev);
        case REG_CONFIG_GENERATION:
                return atomic_load_explicit(&dev->config_generation, memory_order_acquire);
        default:
                /* There is no shared memory: its length and base read as all ones. */
                return off >= REG_SHM_LEN_LOW && off <= REG_SHM_BASE_HIGH ? UINT32_MAX : 0;
        }
}

static void reset(struct mmio *m)
{
        /* A device that was never live is still ours. Otherwise its thread does it; this vCPU waits. */
        if (!virtio_is_live(m->dev))
                (void)virtio_reset(m->dev);
        else
                (void)!loop_call(m->loop, &m->reset); /* fails only when the machine is ending */
        atomic_store_explicit(&m->interrupt_status, 0, memory_order_release);
        m->queue_sel = m->device_feat_sel = m->driver_feat_sel = 0;
}

static void set_half(gpa_t *at, bool high, uint32_t value)
{
        at->v = high ? (at->v & 0xffffffffull) | (uint64_t)value << 32 : (at->v & ~0xffffffffull) | value;
}

/* A size beyond what was offered is none: the queue will not start. */
static void write_queue(struct vq *vq, uint16_t size_max, uint64_t off, uint32_t value)
{
        switch (off) {
        case REG_QUEUE_NUM:
                vq->size = value <= size_max ? (uint16_t)value : 0;
                break;
        case REG_QUEUE_READY:
                vq->ready = value & 1;
                break;
        case REG_QUEUE_DESC_LOW:
        case REG_QUEUE_DESC_HIGH:
                set_half(&vq->desc, off == REG_QUEUE_DESC_HIGH, value);
                break;
        case REG_QUEUE_AVAIL_LOW:
        case REG_QUEUE_AVAIL_HIGH:
                set_half(&vq->avail, off == REG_QUEUE_AVAIL_HIGH, value);
                break;
        case REG_QUEUE_USED_LOW:
        case REG_QUEUE_USED_HIGH:
                set_half(&vq->used, off == REG_QUEUE_USED_HIGH, value);
                break;
        default:
                break;
        }
}

static void kick_all(struct mmio *m)
{
        for (unsigned i = 0; i < m->dev->cls->nr_queues; i++)
                (void)!eventfd_write(m->kicks[i].ev.fd, 1);
}

/* What was kicked before DRIVER_OK meant nothing then, and nobody kicks again (virtio 1.2, 3.1.1 forbids it). */
static void set_status(struct mmio *m, uint32_t value)
{
        bool was_live = virtio_is_live(m->dev);

        virtio_set_status(m->dev, value);
        if (m->dev->cls->early_kicks && !was_live && virtio_is_live(m->dev))
                kick_all(m);
}

static void write_register(struct mmio *m, uint64_t off, uint32_t value)
{
        struct vq *vq;

        switch (off) {
        case REG_DEVICE_FEAT_SEL:
                m->device_feat_sel = value;
                break;
        case REG_DRIVER_FEAT_SEL:
                m->driver_feat_sel = value;
                break;
        case REG_DRIVER_FEATURES:
                virtio_ack_features(m->dev, m->driver_feat_sel, value);
                break;
        case REG_QUEUE_SEL:
                m->queue_sel = value;
                break;
        case MMIO_QUEUE_NOTIFY: /* KVM matches those of our queues; what comes here names none */
                break;
        case REG_STATUS:
                if (value)
                        set_status(m, value);
                else
                        reset(m);
                break;
        default:
                vq = settable_queue(m);
                if (vq)
                        write_queue(vq, m->dev->cls->queue_max, off, value);
        }
}

static uint64_t mmio_read(void *owner, uint64_t off, unsigned len)
{
        struct mmio *m = owner;
        uint64_t value = 0;

        /* The interrupt handler's own: no lock. */
        if (off == REG_INTERRUPT_STATUS && len == 4)
                return atomic_load_explicit(&m->interrupt_status, memory_order_acquire);
        (void)pthread_mutex_lock(&m->lock);
        if (off >= REG_CONFIG)
                virtio_config_read(m->dev, (uint32_t)(off - REG_CONFIG), &value, len);
        else if (len == 4)
                value = read_register(m, off);
        (void)pthread_mutex_unlock(&m->lock);
        return off >= REG_CONFIG ? le64toh(value) : value;
}

static void mmio_write(void *owner, uint64_t off, unsigned len, uint64_t value)
{
        struct mmio *m = owner;
        uint64_t wire = htole64(value);

        if (off == REG_INTERRUPT_ACK && len == 4) {
                atomic_fetch_and_explicit(&m->interrupt_status, ~(uint32_t)value, memory_order_acq_rel);
                return;
        }
        (void)pthread_mutex_lock(&m->lock);
        if (off >= REG_CONFIG)
                virtio_config_write(m->dev, (uint32_t)(off - REG_CONFIG), &wire, len);
        else if (len == 4)
                write_register(m, off, (uint32_t)value);
        (void)pthread_mutex_unlock(&m->lock);
}

const struct bus_ops mmio_ops = { .read = mmio_read, .write = mmio_write };

static int add_kick(struct mmio *m, unsigned qi)
{
        struct kick *k = &m->kicks[qi];

        *k = (struct kick){
                .ev = { .call = on_kick, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) },
                .mmio = m,
                .qi = qi,
        };
        if (k->ev.fd < 0)
                return err_new(-errno);
        return loop_add(m->loop, &k->ev, EPOLLIN | EPOLLET);
}

int mmio_new(struct mmio **ret, struct loop *loop, struct virtio_dev *dev, struct irq *irq)
{
        struct mmio *m = calloc(1, sizeof(*m));
        int r = 0;

        if (!m)
                return err_new(-ENOMEM);
        for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++)
                m->kicks[i].ev.fd = -1;
        m->transport = (struct virtio_transport){
                .notify_queue = notify_queue,
                .notify_config = notify_config,
                .reset_done = reset_done,
        };
        m->dev = dev;
        m->loop = loop;
        m->irq = irq;
        m->reset.call = on_reset;
        (void)pthread_mutex_init(&m->lock, NULL);
        for (unsigned i = 0; i < dev->cls->nr_queues && !r; i++)
                r = add_kick(m, i);
        if (r < 0) {
                mmio_free(m);
                return err_trace(r);
        }
        dev->transport = &m->transport;
        *ret = m;
        return 0;
}

void mmio_free(struct mmio *m)
{
        if (!m)
                return;
        for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
                loop_remove(m->loop, &m->kicks[i].ev);
                fd_closep(&m->kicks[i].ev.fd);
        }
        (void)pthread_mutex_destroy(&m->lock);
        free(m);
}

void mmio_pause(struct mmio *m)
{
        m->dev->paused = true;
}

void mmio_resume(struct mmio *m)
{
        m->dev->paused = false;
        kick_all(m);
}

int mmio_kick_fd(const struct mmio *m, unsigned qi)
{
        return m->kicks[qi].ev.fd;
}

void mmio_save(const struct mmio *m, struct buf *b)
{
        buf_put_u32(b, m->device_feat_sel);
        buf_put_u32(b, m->driver_feat_sel);
        buf_put_u32(b, m->queue_sel);
        buf_put_u32(b, atomic_load_explicit(&m->interrupt_status, memory_order_relaxed));
        virtio_save(m->dev, b);
}

void mmio_load(struct mmio *m, struct buf *b)
{
        m->device_feat_sel = buf_get_u32(b);
        m->driver_feat_sel = buf_get_u32(b);
        m->queue_sel = buf_get_u32(b);
        atomic_store_explicit(&m->interrupt_status, buf_get_u32(b), memory_order_relaxed);
        virtio_load(m->dev, b);
        /* What the guest put into its queues before it was stopped may not have been seen. */
        if (!b->bad)
                kick_all(m);
}
