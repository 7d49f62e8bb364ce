/*
 * What a guest says of a frame, and its orders.
 * Input:  header and first bytes of a frame, messages of the control queue (guest, hostile).
 * Runs:   loop thread.
 * Limits: NET_FRAME_MAX, NET_GSO_MIN.
 *
 * The host's own stack would believe a header's lengths in some versions; so it gets none that was not
 * recomputed here. What is not TCP over IP, as the frame itself says, is never cut into segments.
 */
#include "virtio/net/net_parse.h"

#include <stdbool.h>
#include <string.h>

#include "vmm/base/num.h"

#define ETH_P_VLAN 0x8100u
#define ETH_P_V4   0x0800u
#define ETH_P_V6   0x86ddu
#define V4_BYTES   20u
#define V6_BYTES   40u
#define TCP_BYTES  20u
#define IP_TCP     6u
#define TCP_CSUM   16u

static bool has(uint64_t features, unsigned bit)
{
        return features >> bit & 1;
}

static unsigned be16_at(const uint8_t *p)
{
        return (unsigned)p[0] << 8 | p[1];
}

static bool is_offered(unsigned gso_type, uint64_t features)
{
        if (gso_type & VIRTIO_NET_HDR_GSO_ECN && !has(features, VIRTIO_NET_F_HOST_ECN))
                return false;
        switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
        case VIRTIO_NET_HDR_GSO_TCPV4:
                return has(features, VIRTIO_NET_F_HOST_TSO4);
        case VIRTIO_NET_HDR_GSO_TCPV6:
                return has(features, VIRTIO_NET_F_HOST_TSO6);
        default:
                return false;
        }
}

/* Does a TCP header begin at @csum_start, in a packet of that kind? @len bytes are there to be looked at. */
static bool is_tcp(const uint8_t *p, size_t len, unsigned gso_type, unsigned csum_start)
{
        unsigned ip = NET_ETH_BYTES, type = be16_at(p + 12);

        if (type == ETH_P_VLAN && len >= NET_ETH_BYTES + 4) {
                type = be16_at(p + 16);
                ip += 4;
        }
        if (len < ip + V4_BYTES || len < csum_start + TCP_BYTES)
                return false;
        if ((gso_type & ~VIRTIO_NET_HDR_GSO_ECN) == VIRTIO_NET_HDR_GSO_TCPV4)
                return type == ETH_P_V4 && p[ip] >> 4 == 4 && (p[ip] & 15) >= 5 && p[ip + 9] == IP_TCP &&
                       csum_start == ip + 4u * (p[ip] & 15);
        /* Extension headers may stand between the two. */
        return type == ETH_P_V6 && p[ip] >> 4 == 6 && csum_start >= ip + V6_BYTES &&
               (csum_start > ip + V6_BYTES || p[ip + 6] == IP_TCP);
}

static int parse_gso(const struct virtio_net_head *in, const uint8_t *bytes, uint64_t frame_len,
                     uint64_t features, struct virtio_net_head *ret)
{
        unsigned start = le16_get(in->csum_start), size = le16_get(in->gso_size), hdr_len;
        size_t len = num_min(frame_len, NET_PARSE_BYTES);

        if (!ret->flags || !is_offered(in->gso_type, features) || size < NET_GSO_MIN)
                return NET_PARSE_E_GSO;
        if (le16_get(in->csum_offset) != TCP_CSUM || !is_tcp(bytes, len, in->gso_type, start))
                return NET_PARSE_E_GSO;
        hdr_len = start + 4u * (bytes[start + 12] >> 4);
        if (hdr_len < start + TCP_BYTES || hdr_len >= frame_len)
                return NET_PARSE_E_GSO;
        ret->gso_type = in->gso_type;
        ret->gso_size = in->gso_size;
        ret->hdr_len = le16_of((uint16_t)hdr_len);
        return 0;
}

int net_parse_tx(const struct virtio_net_head *in, const uint8_t *bytes, uint64_t frame_len,
                 uint64_t features, struct virtio_net_head *ret)
{
        *ret = (struct virtio_net_head){ 0 };
        if (frame_len < NET_ETH_BYTES || frame_len > NET_FRAME_MAX)
                return NET_PARSE_E_FRAME;
        if (in->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
                unsigned start = le16_get(in->csum_start), at = start + le16_get(in->csum_offset);

                if (!has(features, VIRTIO_NET_F_CSUM) || start < NET_ETH_BYTES || at + 2 > frame_len)
                        return NET_PARSE_E_CSUM;
                ret->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
                ret->csum_start = in->csum_start;
                ret->csum_offset = in->csum_offset;
        }
        return in->gso_type == VIRTIO_NET_HDR_GSO_NONE ? 0 : parse_gso(in, bytes, frame_len, features, ret);
}

int net_parse_ctrl(const uint8_t *bytes, size_t len, unsigned pairs_max, unsigned *ret_pairs)
{
        struct virtio_net_ctrl ctrl;

        if (len < sizeof(ctrl))
                return NET_PARSE_E_CTRL;
        memcpy(&ctrl, bytes, sizeof(ctrl));
        *ret_pairs = le16_get(ctrl.pairs);
        if (ctrl.cls != VIRTIO_NET_CTRL_MQ || ctrl.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
                return NET_PARSE_E_CTRL;
        return *ret_pairs && *ret_pairs <= pairs_max ? 0 : NET_PARSE_E_CTRL;
}
