/*
 * DHCP for guests that ask.
 * Input:  datagrams of the guest (hostile).
 * Runs:   loop thread.
 * Limits: one answer a message, no state.
 */
#include "net/dhcp.h"

#include <string.h>

#include "net/addresses.h"
#include "net/bytes.h"
#include "net/dhcp_parse.h"
#include "net/frame.h"

#define REPLY_LEN 300u       /* what BOOTP clients expect at least */
#define LEASE_S   UINT32_MAX /* for ever */

static uint8_t *put_option(uint8_t *at, uint8_t kind, const void *bytes, uint8_t len)
{
        at[0] = kind;
        at[1] = len;
        memcpy(at + 2, bytes, len);
        return at + 2 + len;
}

static size_t build(const struct lan *lan, const struct dhcp_request *req, enum dhcp_type type,
                    uint8_t ret[REPLY_LEN])
{
        static const uint8_t magic[4] = { 99, 130, 83, 99 };
        const uint8_t *gateway = lan->gateway_ip4.bytes, mask[4] = { 255, 255, 255, 0 };
        const uint8_t kind = (uint8_t)type;
        uint8_t *at = ret + DHCP_HEADER_LEN, number[4];

        memset(ret, 0, REPLY_LEN);
        ret[0] = 2;
        ret[1] = 1;
        ret[2] = 6;
        memcpy(ret + 4, req->xid, 4);
        memcpy(ret + 10, req->flags, 2);
        memcpy(ret + 28, req->mac, 6);
        memcpy(ret + 236, magic, 4);
        at = put_option(at, 53, &kind, 1);
        at = put_option(at, 54, gateway, 4);
        if (type != DHCP_NAK) {
                memcpy(ret + 12, req->client, 4);
                if (req->type != DHCP_INFORM)
                        memcpy(ret + 16, lan->guest_ip4.bytes, 4);
                at = put_option(at, 1, mask, 4);
                at = put_option(at, 3, gateway, 4);
                at = put_option(at, 6, gateway, 4);
                bytes_put16(number, (uint16_t)ADDRESSES_MTU_GATEWAY);
                at = put_option(at, 26, number, 2);
                bytes_put32(number, LEASE_S);
                if (req->type != DHCP_INFORM)
                        at = put_option(at, 51, number, 4);
        }
        *at = 255;
        return REPLY_LEN;
}

/* Return: whether it is asked of us, and *type is the answer. */
static bool decide(const struct lan *lan, const struct dhcp_request *req, enum dhcp_type *type)
{
        static const uint8_t none[4];
        const uint8_t *wanted = memcmp(req->wanted, none, 4) ? req->wanted : req->client;

        if (memcmp(req->server, none, 4) && memcmp(req->server, lan->gateway_ip4.bytes, 4))
                return false;
        *type = DHCP_ACK;
        if (req->type == DHCP_DISCOVER)
                *type = DHCP_OFFER;
        else if (req->type == DHCP_REQUEST && memcmp(wanted, lan->guest_ip4.bytes, 4))
                *type = DHCP_NAK;
        return req->type == DHCP_DISCOVER || req->type == DHCP_REQUEST || req->type == DHCP_INFORM;
}

void dhcp_input(struct stream *stream, const struct lan *lan, const struct frame *f)
{
        const struct frame_end src = { lan->gateway_ip4, FRAME_DHCP_SERVER };
        /* It may not hear its own address yet. */
        struct frame_end dst = { { .family = ADDRESS_IP4, .bytes = { 255, 255, 255, 255 } },
                                 FRAME_DHCP_CLIENT };
        struct dhcp_request req;
        uint8_t reply[REPLY_LEN];
        struct frame_head head;
        struct iovec parts[2];
        enum dhcp_type type;
        size_t n;

        if (dhcp_parse(f->body, f->body_len, &req) || !decide(lan, &req, &type))
                return;
        if (lan_is_guest(lan, &f->src))
                dst.address = f->src;
        n = build(lan, &req, type, reply);
        frame_udp(&head, lan, &src, &dst, reply, n);
        parts[0] = stream_part(head.bytes, head.len);
        parts[1] = stream_part(reply, n);
        (void)!stream_send(stream, parts, 2, STREAM_SMALL);
}
