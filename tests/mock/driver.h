#pragma once
/*
 * The driver's side of virtio, for tests, fuzz targets and benches: a small guest memory, rings in it,
 * chains that are right, and raw writes for those that are not. Our own code is not mocked: a real
 * gmem, real descriptors, a transport that counts.
 *
 * Everything here ASSERTs: a mistake in a test ends it.
 */
#include <stdbool.h>
#include <stdint.h>

#include "virtio/core/device.h"
#include "virtio/core/wire.h"
#include "vmm/base/loop.h"

/* Room for the rings of a queue of VQ_SIZE_MAX entries. */
#define MOCK_VQ_BYTES 0x8000u

struct gmem *mock_ram(uint64_t size);
void mock_put(struct gmem *mem, uint64_t at, const void *src, size_t n);
void mock_get(struct gmem *mem, uint64_t at, void *dst, size_t n);

/* One queue, as its driver sees it. */
struct mock_vq {
        struct gmem *mem;
        uint64_t desc, avail, used;
        uint16_t size;
        uint16_t next_desc; /* where the next chain is laid: round and round */
        uint16_t avail_idx;
        uint16_t used_seen;
};

struct mock_seg {
        uint64_t at;
        uint32_t len;
        bool writable;
};

/* Rings of @size entries at @at, all zero; as a transport would tell the device, into @vq. */
void mock_vq_init(struct mock_vq *q, struct vq *vq, uint64_t at, uint16_t size);

/* A good chain, made available. Return: its head. */
uint16_t mock_add(struct mock_vq *q, const struct mock_seg *segs, unsigned n);
/* The same through a table of descriptors at @table. */
uint16_t mock_add_indirect(struct mock_vq *q, uint64_t table, const struct mock_seg *segs, unsigned n);

/* Next entry of the used ring that was not seen yet. */
bool mock_used(struct mock_vq *q, uint32_t *ret_id, uint32_t *ret_len);

/* Raw: what a hostile driver writes. */
void mock_desc_at(struct gmem *mem, uint64_t at, uint64_t addr, uint32_t len, unsigned flags, unsigned next);
void mock_desc(struct mock_vq *q, unsigned i, uint64_t addr, uint32_t len, unsigned flags, unsigned next);
void mock_push(struct mock_vq *q, unsigned head); /* available, and the index moves on */
void mock_set_avail_idx(struct mock_vq *q, unsigned idx);
void mock_set_avail_flags(struct mock_vq *q, unsigned flags);
void mock_set_used_event(struct mock_vq *q, unsigned idx);
uint16_t mock_avail_event(const struct mock_vq *q);
uint16_t mock_used_flags(const struct mock_vq *q);
uint16_t mock_used_idx(const struct mock_vq *q);

/* One device, with a transport that counts what it is told. */
struct mock_dev {
        struct virtio_transport transport;
        struct virtio_dev *dev;
        struct gmem *mem;
        unsigned interrupts[VIRTIO_QUEUES_MAX];
        unsigned config_interrupts;
        unsigned resets_done;
        struct mock_vq vq[VIRTIO_QUEUES_MAX];
        uint64_t next_buf; /* where mock_buf() goes on */
};

/* Rings lie at the start of RAM, MOCK_VQ_BYTES a queue; buffers after them. */
void mock_dev_init(struct mock_dev *m, struct virtio_dev *dev, struct gmem *mem);
/* The driver's way to DRIVER_OK, with all features that are offered but @without. */
void mock_dev_start(struct mock_dev *m, uint64_t without, uint16_t queue_size);
/* Kick until the device has nothing more to do now. Return: virtio_kick()'s last. */
int mock_kick(struct mock_dev *m, unsigned qi);
/* Guest memory for a buffer, page aligned. */
uint64_t mock_buf(struct mock_dev *m, size_t len);
/* A counter of the device by name. */
uint64_t mock_stat(const struct mock_dev *m, const char *name);

/* Runs the loop until @cond holds. Return: false when that took longer than @limit_ms. */
bool mock_run_until(struct loop *loop, bool (*cond)(void *arg), void *arg, unsigned limit_ms);
