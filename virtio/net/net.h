#pragma once
/*
 * A virtio network device (virtio 1.2, 5.1) over a tap device or a stream socket.
 *
 * Frames are moved, never looked at, but for the headers that a checksum or segments are asked for in.
 */
#include "virtio/core/device.h"
#include "vmm/base/loop.h"
#include "vmm/base/rate.h"
#include "vmm/mem/gmem.h"

#define NET_QUEUE_MAX 256u
#define NET_MTU_MIN   68u    /* virtio 1.2, 5.1.4.1 */
#define NET_MTU_MAX   65520u /* with its headers it fits into one frame of the gateway's and passt's */

struct net_back;

struct net_config {
        struct loop *loop;
        struct gmem *mem;
        unsigned index; /* names it: "net0" */
        uint8_t mac[6];
        struct net_back *back;     /* taken, on failure too */
        struct rate_config rx, tx; /* to the guest, from the guest; an operation is a frame */
};

int must_check net_new(const struct net_config *cfg, struct virtio_dev **ret);

/* While the guest runs; loop thread. Other limits from now on, with full buckets; NULL: as they are. */
void net_set_rates(struct virtio_dev *dev, const struct rate_config *rx, const struct rate_config *tx);
