/*
 * What a guest says of its frames: a header that passes is one that the host may believe.
 * Input:  features (8 bytes), the frame's length beyond the bytes that are there (4), struct virtio_net_head, bytes.
 * Runs:   main thread.
 * Limits: none.
 */
#include <stdlib.h>
#include <string.h>

#include "virtio/net/net_parse.h"
#include "vmm/base/assert.h"
#include "vmm/base/num.h"

struct head {
        le64_t features;
        le32_t more;
        struct virtio_net_head net;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(const struct virtio_net_head *h, uint64_t len, uint64_t features)
{
        unsigned start = le16_get(h->csum_start);

        ASSERT(len >= NET_ETH_BYTES && len <= NET_FRAME_MAX && !le16_get(h->num_buffers));
        ASSERT(!(h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM));
        if (h->flags)
                ASSERT(features & 1 && start >= NET_ETH_BYTES && start + le16_get(h->csum_offset) + 2 <= len);
        else
                ASSERT(!start && !le16_get(h->csum_offset) && !h->gso_type);
        if (!h->gso_type) {
                ASSERT(!le16_get(h->hdr_len) && !le16_get(h->gso_size));
                return;
        }
        ASSERT(features >> VIRTIO_NET_F_HOST_TSO4 & 3);
        ASSERT(le16_get(h->gso_size) >= NET_GSO_MIN && le16_get(h->csum_offset) == 16);
        ASSERT(le16_get(h->hdr_len) >= start + 20 && le16_get(h->hdr_len) <= start + 60 &&
               le16_get(h->hdr_len) < len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct virtio_net_head out;
        struct head h;
        uint8_t *exact; /* so that a sanitizer sees a byte too many */
        unsigned pairs;
        size_t part;
        uint64_t len;

        if (n < sizeof(h))
                return 0;
        memcpy(&h, data, sizeof(h));
        part = num_min(n - sizeof(h), NET_PARSE_BYTES);
        len = part < NET_PARSE_BYTES ? part : part + le32_get(h.more);
        exact = malloc(part ? part : 1);
        ASSERT(exact);
        memcpy(exact, data + sizeof(h), part);
        if (!net_parse_tx(&h.net, exact, len, le64_get(h.features), &out))
                check(&out, len, le64_get(h.features));
        if (!net_parse_ctrl(exact, part, 7, &pairs))
                ASSERT(pairs && pairs <= 7);
        free(exact);
        return 0;
}
