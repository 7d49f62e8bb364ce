#pragma once
/*
 * The MMIO transport, version 2 (virtio 1.2, 4.2).
 *
 * Registers are driven from vCPU threads; the transport has a lock for them. Kicks come through one
 * eventfd a queue, which KVM signals without waking a vCPU thread; interrupts leave through an irq.
 */
#include <stdint.h>

#include "virtio/core/device.h"
#include "vmm/base/loop.h"
#include "vmm/bus/bus.h"
#include "vmm/bus/irq.h"

#define MMIO_SIZE         0x200u
#define MMIO_QUEUE_NOTIFY 0x050u

struct mmio;

/* @dev and @irq are borrowed and must outlive the transport. */
int must_check mmio_new(struct mmio **ret, struct loop *loop, struct virtio_dev *dev, struct irq *irq);
void mmio_free(struct mmio *mmio);

extern const struct bus_ops mmio_ops; /* owner: struct mmio * */

/* The eventfd that a write of @qi to MMIO_QUEUE_NOTIFY shall signal; stays the transport's. */
int mmio_kick_fd(const struct mmio *mmio, unsigned qi);

/*
 * Loop thread. Between the two the device takes nothing from its queues; what was kicked meanwhile, by the
 * guest or by the device itself, is done after mmio_resume(). What is in flight comes to its end.
 */
void mmio_pause(struct mmio *mmio);
void mmio_resume(struct mmio *mmio);

/* Paused. */
void mmio_save(const struct mmio *mmio, struct buf *b);
void mmio_load(struct mmio *mmio, struct buf *b);
