#pragma once
/*
 * What all virtio devices share: features, status, queues, config space (virtio 1.2, 2 and 3).
 *
 * A device's struct embeds `struct virtio_dev` and has one constant `struct virtio_class`. Core owns the
 * status machine, queue set-up and reset, so that a device cannot get the order wrong.
 *
 * Threads. The registers are driven from vCPU threads, under the transport's lock. Until DRIVER_OK the
 * queues belong to them; with it `live` is set, and from then on queues and device belong to the loop
 * thread alone. A reset of a live device runs on the loop thread, while the vCPU waits. So a device
 * needs no lock, and its callbacks run on the loop thread only.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "virtio/core/queue.h"
#include "virtio/core/transport.h"
#include "vmm/base/buf.h"
#include "vmm/base/log.h"
#include "vmm/base/stat.h"

#define VIRTIO_QUEUES_MAX 16u

/* Beside VQ_E_EMPTY and VQ_E_BROKEN, which kick() may meet as well. */
enum {
        VIRTIO_E_AGAIN = 3,
        VIRTIO_E_IDLE = 4,
};

struct virtio_dev;

struct virtio_class {
        const char *name;
        uint32_t id; /* VIRTIO_ID_* */
        unsigned nr_queues;
        uint16_t queue_max;
        bool early_kicks; /* its drivers kick before DRIVER_OK: then all queues are looked at */
        /*
         * kick() - the driver put something into queue @qi (or may have)
         * Return: 0 or VQ_E_EMPTY: popped until empty, and core asks for the next kick. VIRTIO_E_AGAIN:
         *         its budget is spent and there is more. VIRTIO_E_IDLE: it leaves entries for later
         *         (no data, no room) and will call virtio_kick() itself. VQ_E_BROKEN: core breaks the
         *         device. Negative: the host is in trouble, the VM ends.
         */
        int (*kick)(struct virtio_dev *dev, unsigned qi);
        /*
         * late_queues: of these (by bit) what a kick has done need not be shown at once: it is shown together with the
         * next of another queue, so that one interrupt does for both.
         * puts_off() - may it wait? Then the device also calls virtio_publish() within a bounded time.
         */
        uint32_t late_queues;
        bool (*puts_off)(struct virtio_dev *dev, unsigned qi);
        /*
         * reset() - forget everything; queues are still as they were
         * Return: true when nothing is in flight any more. Otherwise the device calls
         *         virtio_reset_done() once that is so.
         */
        bool (*reset)(struct virtio_dev *dev);
        /* Optional: the driver wrote to config space (checked to lie within it). vCPU thread. */
        void (*config_write)(struct virtio_dev *dev, uint32_t off, const void *src, unsigned len);
        /* State beyond core's own. load() leaves *b bad for what cannot be. */
        void (*save)(const struct virtio_dev *dev, struct buf *b);
        void (*load)(struct virtio_dev *dev, struct buf *b);
        void (*destroy)(struct virtio_dev *dev);
};

struct virtio_dev {
        const struct virtio_class *cls;
        char name[16];     /* "blk0", for logs and statistics */
        uint64_t features; /* offered; const after init */
        uint64_t acked;
        _Atomic uint32_t status;
        _Atomic bool live;  /* DRIVER_OK and queues good; pairs with virtio_is_live() */
        bool paused;        /* loop; kicks mean nothing, and come again when it ends */
        const void *config; /* little endian, const size; may change between accesses */
        uint32_t config_len;
        _Atomic uint32_t config_generation;
        struct vq vq[VIRTIO_QUEUES_MAX];
        struct virtio_transport *transport; /* set by the transport, before the guest runs */
        struct stat_counter *stats;         /* the device's counters; "guest_errors" is core's own */
        unsigned nr_stats;
        uint64_t guest_errors;
        struct log_bucket log;
};

/*
 * virtio_init() - fill in the embedded part; @cls, @config and @mem are borrowed for good
 * @features: the device's own bits; VERSION_1, INDIRECT_DESC and EVENT_IDX are added
 */
void virtio_init(struct virtio_dev *dev, const struct virtio_class *cls, struct gmem *mem, uint64_t features);
void virtio_free(struct virtio_dev *dev);

static inline bool virtio_is_live(struct virtio_dev *dev)
{
        return atomic_load_explicit(&dev->live, memory_order_acquire);
}

static inline bool virtio_has(const struct virtio_dev *dev, unsigned bit)
{
        return dev->acked >> bit & 1;
}

/* For the transport; vCPU thread. */
uint32_t virtio_status(struct virtio_dev *dev);
/* Any write but 0. */
void virtio_set_status(struct virtio_dev *dev, uint32_t status);
void virtio_ack_features(struct virtio_dev *dev, unsigned word, uint32_t bits);
void virtio_config_read(struct virtio_dev *dev, uint32_t off, void *dst, unsigned len);
void virtio_config_write(struct virtio_dev *dev, uint32_t off, const void *src, unsigned len);

/*
 * For the transport; loop thread.
 * virtio_kick() - Return: 0, VIRTIO_E_AGAIN (call again soon) or negative (the VM ends)
 * virtio_reset() - Return: true when done; else virtio_transport.reset_done is called later
 */
int must_check virtio_kick(struct virtio_dev *dev, unsigned qi);
bool virtio_reset(struct virtio_dev *dev);

/*
 * For devices; loop thread.
 * virtio_publish() - after completions outside a kick: show them, and interrupt if asked for
 * virtio_break() - the guest broke a rule: NEEDS_RESET, counted, logged at a bounded rate
 * virtio_config_changed() - config space has new content
 */
void virtio_publish(struct virtio_dev *dev, unsigned qi);
void virtio_break(struct virtio_dev *dev, const char *what);
void virtio_config_changed(struct virtio_dev *dev);
void virtio_reset_done(struct virtio_dev *dev);

/* Paused: no vCPU runs, nothing is in flight. */
void virtio_save(const struct virtio_dev *dev, struct buf *b);
void virtio_load(struct virtio_dev *dev, struct buf *b);
