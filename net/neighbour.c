/*
 * ARP, neighbours and routers.
 * Input:  checked frames of the guest (hostile).
 * Runs:   loop thread.
 * Limits: one answer a message, no state.
 *
 * Frames are to the guest's Ethernet address whoever asks: there is nobody else.
 */
#include "net/neighbour.h"

#include <string.h>

#include "net/addresses.h"
#include "net/bytes.h"
#include "net/frame.h"

#define ARP_LEN            28u
#define ARP_REQUEST        1u
#define ARP_REPLY          2u
#define ROUTER_SOLICIT     133u
#define ROUTER_ADVERT      134u
#define NEIGHBOUR_SOLICIT  135u
#define NEIGHBOUR_ADVERT   136u
#define REDIRECT           137u
#define NEIGHBOUR_LEN      24u
#define OPTION_TARGET_LINK 2u
#define OPTION_SOURCE_LINK 1u
#define OPTION_PREFIX      3u
#define OPTION_MTU         5u
#define OPTION_RESOLVERS   25u
#define LIFETIME_S         65535u

void neighbour_arp(struct stream *stream, const struct lan *lan, const struct frame *f)
{
        const uint8_t *asked = f->packet + 24;
        uint8_t reply[ARP_LEN];
        struct frame_head head;
        struct iovec parts[2];

        /* Its own address: it looks whether somebody has it. */
        if (bytes_get16(f->packet + 6) != ARP_REQUEST || !memcmp(asked, lan->guest_ip4.bytes, 4) ||
            !memcmp(asked, f->packet + 14, 4))
                return;
        memcpy(reply, f->packet, ARP_LEN);
        bytes_put16(reply + 6, ARP_REPLY);
        memcpy(reply + 8, lan->gateway_mac, 6);
        memcpy(reply + 14, asked, 4);
        memcpy(reply + 18, f->packet + 8, 10); /* whoever asked, as he calls himself */
        frame_ethernet(&head, lan, ADDRESS_IP4);
        bytes_put16(head.bytes + 12, 0x0806);
        parts[0] = stream_part(head.bytes, head.len);
        parts[1] = stream_part(reply, sizeof(reply));
        (void)!stream_send(stream, parts, 2, STREAM_SMALL);
}

/* @message: its checksum is set here */
static void reply(struct stream *stream, const struct lan *lan, const struct address *dst, uint8_t *message,
                  size_t len)
{
        struct address everybody = { .family = ADDRESS_IP6, .bytes = { 0xff, 2, [15] = 1 } };
        static const uint8_t zero[16];
        struct frame_head head;
        struct iovec parts[2];
        uint32_t sum;

        if (memcmp(dst->bytes, zero, sizeof(zero)))
                everybody = *dst;
        sum = frame_pseudo(&lan->gateway_ll_ip6, &everybody, FRAME_PROTO_ICMP6, len);
        bytes_put16(message + 2, frame_sum(frame_add(sum, message, len)));
        frame_ip(&head, lan, &lan->gateway_ll_ip6, &everybody, FRAME_PROTO_ICMP6, len);
        parts[0] = stream_part(head.bytes, head.len);
        parts[1] = stream_part(message, len);
        (void)!stream_send(stream, parts, 2, STREAM_SMALL);
}

static void answer_neighbour(struct stream *stream, const struct lan *lan, const struct frame *f)
{
        uint8_t advert[NEIGHBOUR_LEN + 8] = { NEIGHBOUR_ADVERT };
        struct address target;

        if (f->body_len < NEIGHBOUR_LEN)
                return;
        target = address_ip6(f->body + 8);
        if (!lan_is_gateway(lan, &target))
                return;
        advert[4] = 0xe0; /* a router, asked, and sure */
        memcpy(advert + 8, target.bytes, 16);
        advert[24] = OPTION_TARGET_LINK;
        advert[25] = 1;
        memcpy(advert + 26, lan->gateway_mac, 6);
        reply(stream, lan, &f->src, advert, sizeof(advert));
}

/* RFC 4861, 4.2; RFC 8106 for the resolver. */
static void answer_router(struct stream *stream, const struct lan *lan, const struct frame *f)
{
        uint8_t advert[16 + 8 + 8 + 32 + 24] = { ROUTER_ADVERT, [4] = FRAME_HOPS };
        uint8_t *at = advert + 16;

        bytes_put16(advert + 6, 9000); /* s; the longest there is */
        at[0] = OPTION_SOURCE_LINK;
        at[1] = 1;
        memcpy(at + 2, lan->gateway_mac, 6);
        at += 8;
        at[0] = OPTION_MTU;
        at[1] = 1;
        bytes_put32(at + 4, ADDRESSES_MTU_GATEWAY);
        at += 8;
        at[0] = OPTION_PREFIX;
        at[1] = 4;
        at[2] = (uint8_t)lan->prefix_ip6;
        at[3] = 0xc0; /* on the link, and to make addresses of */
        bytes_put32(at + 4, LIFETIME_S);
        bytes_put32(at + 8, LIFETIME_S);
        memcpy(at + 16, lan->guest_ip6.bytes, lan->prefix_ip6 / 8);
        at += 32;
        at[0] = OPTION_RESOLVERS;
        at[1] = 3;
        bytes_put32(at + 4, LIFETIME_S);
        memcpy(at + 8, lan->gateway_ip6.bytes, 16);
        reply(stream, lan, &f->src, advert, sizeof(advert));
}

bool neighbour_icmp6(struct stream *stream, const struct lan *lan, const struct frame *f)
{
        unsigned type = f->body[0];

        if (f->kind != FRAME_ICMP6 || type < ROUTER_SOLICIT || type > REDIRECT)
                return false;
        if (f->hops != 255)
                return true; /* from further away than the wire */
        if (type == ROUTER_SOLICIT)
                answer_router(stream, lan, f);
        else if (type == NEIGHBOUR_SOLICIT)
                answer_neighbour(stream, lan, f);
        return true;
}
