#pragma once
/*
 * What virtio 1.2, 5.1 puts on the wire for a network device.
 */
#include <assert.h>

#include "vmm/base/endian.h"

/* 5.1.3 Feature bits */
#define VIRTIO_NET_F_CSUM       0
#define VIRTIO_NET_F_GUEST_CSUM 1
#define VIRTIO_NET_F_MTU        3
#define VIRTIO_NET_F_MAC        5
#define VIRTIO_NET_F_GUEST_TSO4 7
#define VIRTIO_NET_F_GUEST_TSO6 8
#define VIRTIO_NET_F_GUEST_ECN  9
#define VIRTIO_NET_F_HOST_TSO4  11
#define VIRTIO_NET_F_HOST_TSO6  12
#define VIRTIO_NET_F_HOST_ECN   13
#define VIRTIO_NET_F_MRG_RXBUF  15
#define VIRTIO_NET_F_STATUS     16
#define VIRTIO_NET_F_CTRL_VQ    17
#define VIRTIO_NET_F_MQ         22

#define VIRTIO_NET_S_LINK_UP 1u

/* 5.1.4 Device configuration layout */
struct virtio_net_cfg {
        uint8_t mac[6];
        le16_t status;
        le16_t max_pairs;
        le16_t mtu;
};
static_assert(sizeof(struct virtio_net_cfg) == 12, "virtio 1.2, 5.1.4");

/* 5.1.6 Device Operation; the same as Linux's struct virtio_net_hdr_v1. */
struct virtio_net_head {
        uint8_t flags;
        uint8_t gso_type;
        le16_t hdr_len;
        le16_t gso_size;
        le16_t csum_start;
        le16_t csum_offset;
        le16_t num_buffers;
};
static_assert(sizeof(struct virtio_net_head) == 12, "virtio 1.2, 5.1.6");

#define VIRTIO_NET_HDR_F_NEEDS_CSUM 1u
#define VIRTIO_NET_HDR_F_DATA_VALID 2u

#define VIRTIO_NET_HDR_GSO_NONE  0u
#define VIRTIO_NET_HDR_GSO_TCPV4 1u
#define VIRTIO_NET_HDR_GSO_TCPV6 4u
#define VIRTIO_NET_HDR_GSO_ECN   0x80u

/* 5.1.6.5 Control Virtqueue: class and command, its data, then the device's answer */
struct virtio_net_ctrl {
        uint8_t cls;
        uint8_t cmd;
        le16_t pairs;
};
static_assert(sizeof(struct virtio_net_ctrl) == 4, "virtio 1.2, 5.1.6.5.6");

#define VIRTIO_NET_CTRL_MQ              4u
#define VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET 0u
#define VIRTIO_NET_OK                   0u
#define VIRTIO_NET_ERR                  1u
