/*
 * Frames to the guest.
 * Input:  our own values.
 * Runs:   loop thread; pure.
 * Limits: none; who calls keeps to FRAME_MAX.
 */
#include "net/frame.h"

#include <string.h>

#include "net/bytes.h"

uint32_t frame_add(uint32_t sum, const uint8_t *bytes, size_t n)
{
        uint64_t wide = sum;

        for (; n > 1; n -= 2, bytes += 2)
                wide += bytes_get16(bytes);
        if (n)
                wide += (uint32_t)*bytes << 8;
        while (wide >> 32)
                wide = (wide & UINT32_MAX) + (wide >> 32);
        return (uint32_t)wide;
}

uint16_t frame_sum(uint32_t sum)
{
        while (sum >> 16)
                sum = (sum & 0xffff) + (sum >> 16);
        return (uint16_t)~sum;
}

static size_t bytes_of(const struct address *a)
{
        return a->family == ADDRESS_IP4 ? 4 : 16;
}

uint32_t frame_pseudo(const struct address *src, const struct address *dst, uint8_t proto, size_t len)
{
        uint32_t sum = frame_add(proto, src->bytes, bytes_of(src));

        return frame_add(sum, dst->bytes, bytes_of(dst)) + (uint32_t)len;
}

void frame_ethernet(struct frame_head *h, const struct lan *lan, enum address_family family)
{
        memcpy(h->bytes, lan->guest_mac, 6);
        memcpy(h->bytes + 6, lan->gateway_mac, 6);
        bytes_put16(h->bytes + 12, family == ADDRESS_IP4 ? 0x0800 : 0x86dd);
        h->len = 14;
}

void frame_ip(struct frame_head *h, const struct lan *lan, const struct address *src,
              const struct address *dst, uint8_t proto, size_t len)
{
        uint8_t *at = h->bytes + 14;

        frame_ethernet(h, lan, src->family);
        memset(at, 0, FRAME_HEAD_MAX - 14);
        if (src->family == ADDRESS_IP6) {
                at[0] = 0x60;
                bytes_put16(at + 4, (uint16_t)len);
                at[6] = proto;
                /* Neighbours believe no message that could have come from further away (RFC 4861). */
                at[7] = proto == FRAME_PROTO_ICMP6 ? 255 : FRAME_HOPS;
                memcpy(at + 8, src->bytes, 16);
                memcpy(at + 24, dst->bytes, 16);
                h->len += 40;
                return;
        }
        at[0] = 0x45;
        bytes_put16(at + 2, (uint16_t)(20 + len));
        at[6] = 0x40; /* not to be fragmented */
        at[8] = FRAME_HOPS;
        at[9] = proto;
        memcpy(at + 12, src->bytes, 4);
        memcpy(at + 16, dst->bytes, 4);
        bytes_put16(at + 10, frame_sum(frame_add(0, at, 20)));
        h->len += 20;
}

void frame_udp(struct frame_head *h, const struct lan *lan, const struct frame_end *src,
               const struct frame_end *dst, const uint8_t *bytes, size_t len)
{
        uint8_t *at;
        uint32_t sum;
        uint16_t check;

        frame_ip(h, lan, &src->address, &dst->address, FRAME_PROTO_UDP, 8 + len);
        at = h->bytes + h->len;
        bytes_put16(at, src->port);
        bytes_put16(at + 2, dst->port);
        bytes_put16(at + 4, (uint16_t)(8 + len));
        sum = frame_add(frame_pseudo(&src->address, &dst->address, FRAME_PROTO_UDP, 8 + len), at, 8);
        check = frame_sum(frame_add(sum, bytes, len));
        bytes_put16(at + 6, check ? check : 0xffff);
        h->len += 8;
}
