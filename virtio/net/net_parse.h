#pragma once
/*
 * What a guest says of a frame, checked against the frame and against what was negotiated; and its orders on the
 * control queue. Pure.
 */
#include <stddef.h>
#include <stdint.h>

#include "virtio/net/net_wire.h"
#include "vmm/base/compiler.h"

#define NET_ETH_BYTES 14u
/* A frame: Ethernet with one VLAN tag, and the largest IPv6 packet that is no jumbogram. */
#define NET_FRAME_MAX (NET_ETH_BYTES + 4u + 40u + 65535u)
/* What net_parse_tx() wants to see of a frame: Ethernet, tag, the longest IPv4 and TCP headers; or as much of IPv6. */
#define NET_PARSE_BYTES 138u
/* Segments smaller than Linux's least (TCP_MIN_SND_MSS) are only work for the host: 64 KiB would be thousands. */
#define NET_GSO_MIN 48u

enum {
        NET_PARSE_E_FRAME = 1, /* shorter than a header of Ethernet, or too long */
        NET_PARSE_E_CSUM,      /* a checksum that was not negotiated, or lies outside */
        NET_PARSE_E_GSO,       /* segments that were not negotiated, or of a frame that is not TCP */
        NET_PARSE_E_CTRL,      /* not an order that is known */
};

/*
 * net_parse_tx() - a header for the host: only what was checked is in it, lengths are the frame's own
 * @bytes: the first of the frame: NET_PARSE_BYTES, or all of a shorter one
 * @features: as negotiated
 * Return: 0, or NET_PARSE_E_FRAME, _CSUM or _GSO
 */
int must_check net_parse_tx(const struct virtio_net_head *in, const uint8_t *bytes, uint64_t frame_len,
                            uint64_t features, struct virtio_net_head *ret);

/*
 * net_parse_ctrl() - how many pairs of queues are to be used
 * Return: 0, or NET_PARSE_E_CTRL: it asks for something else, for none, or for more than @pairs_max
 */
int must_check net_parse_ctrl(const uint8_t *bytes, size_t len, unsigned pairs_max, unsigned *ret_pairs);
