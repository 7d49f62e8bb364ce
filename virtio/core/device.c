/*
 * What all virtio devices share.
 * Input:  register values of the guest, hostile.
 * Runs:   vCPU threads until DRIVER_OK, the loop thread from then on; see device.h.
 * Limits: VIRTIO_QUEUES_MAX queues; KICK_ROUNDS rounds of a device's budget a kick.
 */
#include "virtio/core/device.h"

#include <string.h>

#include "virtio/core/wire.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"

/* A guest that feeds a queue as fast as we empty it must not keep the loop from the others. */
#define KICK_ROUNDS 4

#define CORE_FEATURES                                                                                        \
        (1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_INDIRECT_DESC | 1ull << VIRTIO_F_EVENT_IDX)

void virtio_init(struct virtio_dev *dev, const struct virtio_class *cls, struct gmem *mem, uint64_t features)
{
        ASSERT(cls->nr_queues <= VIRTIO_QUEUES_MAX && cls->queue_max <= VQ_SIZE_MAX);
        dev->cls = cls;
        dev->features = features | CORE_FEATURES;
        for (unsigned i = 0; i < cls->nr_queues; i++)
                vq_init(&dev->vq[i], mem);
}

void virtio_free(struct virtio_dev *dev)
{
        if (dev)
                dev->cls->destroy(dev);
}

uint32_t virtio_status(struct virtio_dev *dev)
{
        return atomic_load_explicit(&dev->status, memory_order_relaxed);
}

static void needs_reset(struct virtio_dev *dev)
{
        uint32_t old =
                atomic_fetch_or_explicit(&dev->status, VIRTIO_STATUS_NEEDS_RESET, memory_order_relaxed);

        if (old & VIRTIO_STATUS_DRIVER_OK && !(old & VIRTIO_STATUS_NEEDS_RESET))
                dev->transport->notify_config(dev->transport);
}

static bool queues_are_good(const struct virtio_dev *dev)
{
        for (unsigned i = 0; i < dev->cls->nr_queues; i++)
                if (dev->vq[i].ready && !vq_check(&dev->vq[i]))
                        return false;
        return true;
}

static void go_live(struct virtio_dev *dev)
{
        for (unsigned i = 0; i < dev->cls->nr_queues; i++) {
                dev->vq[i].event_idx = virtio_has(dev, VIRTIO_F_EVENT_IDX);
                dev->vq[i].indirect = virtio_has(dev, VIRTIO_F_INDIRECT_DESC);
        }
        /* Hands queues and device to the loop thread; pairs with virtio_is_live(). */
        atomic_store_explicit(&dev->live, true, memory_order_release);
}

/* virtio 1.2, 3.1.1: bits are only ever added, and only in this order; 2.2.2: no feature that was not offered. */
void virtio_set_status(struct virtio_dev *dev, uint32_t status)
{
        uint32_t old = virtio_status(dev);
        uint32_t added = status & ~old & ~VIRTIO_STATUS_NEEDS_RESET;

        if (added & VIRTIO_STATUS_FEATURES_OK &&
            (!(old & VIRTIO_STATUS_DRIVER) || !virtio_has(dev, VIRTIO_F_VERSION_1) ||
             dev->acked & ~dev->features))
                added &= ~VIRTIO_STATUS_FEATURES_OK;
        if (added & VIRTIO_STATUS_DRIVER_OK && !((old | added) & VIRTIO_STATUS_FEATURES_OK))
                added &= ~VIRTIO_STATUS_DRIVER_OK;
        atomic_fetch_or_explicit(&dev->status, added, memory_order_relaxed);
        if (!(added & VIRTIO_STATUS_DRIVER_OK))
                return;
        if (queues_are_good(dev))
                go_live(dev);
        else
                needs_reset(dev);
}

void virtio_ack_features(struct virtio_dev *dev, unsigned word, uint32_t bits)
{
        uint64_t mask = word < 2 ? 0xffffffffull << 32 * word : 0;

        if (!mask || virtio_status(dev) & VIRTIO_STATUS_FEATURES_OK)
                return;
        dev->acked = (dev->acked & ~mask) | (uint64_t)bits << 32 * word;
}

void virtio_config_read(struct virtio_dev *dev, uint32_t off, void *dst, unsigned len)
{
        if (off > dev->config_len || len > dev->config_len - off)
                memset(dst, 0, len);
        else
                memcpy(dst, (const uint8_t *)dev->config + off, len);
}

void virtio_config_write(struct virtio_dev *dev, uint32_t off, const void *src, unsigned len)
{
        if (dev->cls->config_write && off <= dev->config_len && len <= dev->config_len - off)
                dev->cls->config_write(dev, off, src, len);
}

void virtio_break(struct virtio_dev *dev, const char *what)
{
        dev->guest_errors++;
        log_guest(&dev->log, dev->name, "the guest broke the rules of virtio: %s", what);
        needs_reset(dev);
}

/* What waits in late queues is shown along with something new of @qi, and before it. */
static int publish(struct virtio_dev *dev, unsigned qi)
{
        uint32_t queues = 1u << qi;
        bool any = false;
        int r = 0;

        if (dev->vq[qi].next_used != dev->vq[qi].published)
                queues |= dev->cls->late_queues;
        for (unsigned i = 0; queues >> i; i++) {
                bool notify = false;

                if (i != qi && dev->vq[i].broken)
                        continue;
                if (queues >> i & 1 && vq_publish(&dev->vq[i], &notify))
                        r = VQ_E_BROKEN;
                any |= notify;
        }
        if (any)
                dev->transport->notify_queue(dev->transport, qi);
        return r;
}

static bool puts_off(struct virtio_dev *dev, unsigned qi)
{
        return dev->cls->late_queues >> qi & 1 && dev->cls->puts_off(dev, qi);
}

void virtio_publish(struct virtio_dev *dev, unsigned qi)
{
        /* A queue that broke was told of then. */
        if (virtio_is_live(dev) && !dev->vq[qi].broken && publish(dev, qi))
                virtio_break(dev, "its rings are not in its memory");
}

/* Return: 0 when the queue is drained and armed, or what kick() says. */
static int kick_once(struct virtio_dev *dev, unsigned qi)
{
        struct vq *vq = &dev->vq[qi];
        bool more = false;
        int r, p;

        if (vq_disarm(vq))
                return VQ_E_BROKEN;
        r = dev->cls->kick(dev, qi);
        if (r < 0)
                return err_trace(r);
        p = puts_off(dev, qi) ? 0 : publish(dev, qi);
        if (p || r == VQ_E_BROKEN)
                return VQ_E_BROKEN;
        if (r == VIRTIO_E_IDLE || r == VIRTIO_E_AGAIN)
                return r;
        if (vq_arm(vq, &more))
                return VQ_E_BROKEN;
        return more ? VIRTIO_E_AGAIN : 0;
}

int virtio_kick(struct virtio_dev *dev, unsigned qi)
{
        int r = VIRTIO_E_AGAIN;

        if (dev->paused || !virtio_is_live(dev) || qi >= dev->cls->nr_queues || !dev->vq[qi].ready ||
            dev->vq[qi].broken)
                return 0;
        for (unsigned n = 0; n < KICK_ROUNDS && r == VIRTIO_E_AGAIN; n++)
                r = kick_once(dev, qi);
        if (r == VQ_E_BROKEN) {
                dev->vq[qi].broken = true; /* a chain that only the device could see through */
                virtio_break(dev, "a descriptor chain that cannot be");
        }
        if (r < 0)
                return err_trace(r);
        return r == VIRTIO_E_AGAIN ? r : 0;
}

void virtio_config_changed(struct virtio_dev *dev)
{
        atomic_fetch_add_explicit(&dev->config_generation, 1, memory_order_release);
        if (virtio_is_live(dev))
                dev->transport->notify_config(dev->transport);
}

static void forget(struct virtio_dev *dev)
{
        for (unsigned i = 0; i < dev->cls->nr_queues; i++)
                vq_reset(&dev->vq[i]);
        dev->acked = 0;
        atomic_store_explicit(&dev->status, 0, memory_order_release);
}

/* virtio 1.2, 2.4.2: status reads as 0 only when nothing touches the guest's memory any more. */
bool virtio_reset(struct virtio_dev *dev)
{
        bool live = atomic_exchange_explicit(&dev->live, false, memory_order_acq_rel);

        if (live && !dev->cls->reset(dev))
                return false;
        forget(dev);
        return true;
}

void virtio_reset_done(struct virtio_dev *dev)
{
        forget(dev);
        dev->transport->reset_done(dev->transport);
}

void virtio_save(const struct virtio_dev *dev, struct buf *b)
{
        buf_put_u32(b, dev->cls->id);
        buf_put_u64(b, dev->features);
        buf_put_u64(b, dev->acked);
        buf_put_u32(b, atomic_load_explicit(&dev->status, memory_order_relaxed));
        buf_put_u32(b, atomic_load_explicit(&dev->config_generation, memory_order_relaxed));
        for (unsigned i = 0; i < dev->cls->nr_queues; i++)
                vq_save(&dev->vq[i], b);
        if (dev->cls->save)
                dev->cls->save(dev, b);
}

void virtio_load(struct virtio_dev *dev, struct buf *b)
{
        uint32_t status;

        if (buf_get_u32(b) != dev->cls->id || buf_get_u64(b) != dev->features)
                b->bad = true;
        dev->acked = buf_get_u64(b) & dev->features;
        status = buf_get_u32(b);
        atomic_store_explicit(&dev->status, status, memory_order_relaxed);
        atomic_store_explicit(&dev->config_generation, buf_get_u32(b), memory_order_relaxed);
        for (unsigned i = 0; i < dev->cls->nr_queues; i++)
                vq_load(&dev->vq[i], b);
        if (dev->cls->load)
                dev->cls->load(dev, b);
        if (b->bad || !(status & VIRTIO_STATUS_DRIVER_OK))
                return;
        if (queues_are_good(dev))
                go_live(dev);
        else
                b->bad = true;
}
