#pragma once
/*
 * What virtio 1.2 puts on the wire, common to all devices. A device's own structs stand in its folder.
 */
#include <assert.h>

#include "vmm/base/endian.h"

/* 2.1 Device Status Field */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER      2u
#define VIRTIO_STATUS_DRIVER_OK   4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED      128u

/* 6 Reserved Feature Bits */
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX     29
#define VIRTIO_F_VERSION_1     32

/* 5 Device Types */
#define VIRTIO_ID_NET     1u
#define VIRTIO_ID_BLOCK   2u
#define VIRTIO_ID_RNG     4u
#define VIRTIO_ID_BALLOON 5u
#define VIRTIO_ID_VSOCK   19u

/* 2.7.5 The Virtqueue Descriptor Table */
struct vring_desc {
        le64_t addr;
        le32_t len;
        le16_t flags;
        le16_t next;
};
static_assert(sizeof(struct vring_desc) == 16, "virtio 1.2, 2.7.5");

#define VRING_DESC_F_NEXT     1u
#define VRING_DESC_F_WRITE    2u
#define VRING_DESC_F_INDIRECT 4u

/* 2.7.6 The Virtqueue Available Ring: flags, idx, ring[size], used_event */
#define VRING_AVAIL_F_NO_INTERRUPT 1u
#define VRING_AVAIL_IDX            2u
#define VRING_AVAIL_RING           4u

/* 2.7.8 The Virtqueue Used Ring: flags, idx, ring[size], avail_event */
struct vring_used_elem {
        le32_t id;
        le32_t len;
};
static_assert(sizeof(struct vring_used_elem) == 8, "virtio 1.2, 2.7.8");

#define VRING_USED_F_NO_NOTIFY 1u
#define VRING_USED_IDX         2u
#define VRING_USED_RING        4u
