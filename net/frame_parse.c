/*
 * Frames of the guest, made into checked values.
 * Input:  bytes of the guest (hostile).
 * Runs:   loop thread; pure.
 * Limits: FRAME_MAX bytes, FRAME_EXTENSIONS_MAX extension headers.
 */
#include "net/frame_parse.h"

#include <string.h>

#include "net/bytes.h"
#include "net/frame.h"

#define TYPE_IP4 0x0800u
#define TYPE_ARP 0x0806u
#define TYPE_IP6 0x86ddu

#define ARP_LEN         28u
#define IP4_MIN         20u
#define IP6_LEN         40u
#define TCP_MIN         20u
#define UDP_LEN         8u
#define ICMP_MIN        8u
#define IP6_HOP         0u
#define IP6_ROUTING     43u
#define IP6_FRAGMENT    44u
#define IP6_DESTINATION 60u

static const char *const words[FRAME_E_NR] = {
        [FRAME_OK] = "ok",
        [FRAME_E_SHORT] = "short",
        [FRAME_E_TYPE] = "unknown_protocol",
        [FRAME_E_STATION] = "wrong_station",
        [FRAME_E_LENGTH] = "bad_length",
        [FRAME_E_CHECKSUM] = "bad_checksum",
        [FRAME_E_SOURCE] = "spoofed_source",
        [FRAME_E_TARGET] = "bad_target",
        [FRAME_E_FRAGMENT] = "fragment",
        [FRAME_E_OPTION] = "bad_option",
};

const char *frame_strerror(int error)
{
        return error >= 0 && error < FRAME_E_NR ? words[error] : "unknown";
}

/* Kind and length of each option, as far as the list goes (RFC 9293, 3.1). */
static bool tcp_options_are_good(const uint8_t *at, size_t n)
{
        while (n) {
                if (*at == 0)
                        return true;
                if (*at == 1) {
                        at++;
                        n--;
                        continue;
                }
                if (n < 2 || at[1] < 2 || at[1] > n)
                        return false;
                n -= at[1];
                at += at[1];
        }
        return true;
}

static int parse_tcp(struct frame *f)
{
        unsigned flags;

        if (f->body_len < TCP_MIN)
                return FRAME_E_SHORT;
        f->kind = FRAME_TCP;
        f->src_port = bytes_get16(f->body);
        f->dst_port = bytes_get16(f->body + 2);
        f->tcp_header_len = (f->body[12] >> 4) * 4u;
        flags = f->body[13];
        f->tcp_flags = (uint8_t)flags;
        if (f->tcp_header_len < TCP_MIN || f->tcp_header_len > f->body_len)
                return FRAME_E_LENGTH;
        if (!f->src_port || !f->dst_port ||
            (flags & FRAME_TCP_SYN && flags & (FRAME_TCP_FIN | FRAME_TCP_RST)))
                return FRAME_E_OPTION;
        if (!tcp_options_are_good(f->body + TCP_MIN, f->tcp_header_len - TCP_MIN))
                return FRAME_E_OPTION;
        return FRAME_OK;
}

static int parse_udp(struct frame *f)
{
        size_t len;

        if (f->body_len < UDP_LEN)
                return FRAME_E_SHORT;
        f->kind = FRAME_UDP;
        f->src_port = bytes_get16(f->body);
        f->dst_port = bytes_get16(f->body + 2);
        len = bytes_get16(f->body + 4);
        if (len < UDP_LEN || len > f->body_len)
                return FRAME_E_LENGTH;
        if (!f->dst_port)
                return FRAME_E_OPTION;
        f->body += UDP_LEN;
        f->body_len = len - UDP_LEN;
        return FRAME_OK;
}

static int parse_body(struct frame *f, unsigned proto)
{
        bool is_ip4 = f->src.family == ADDRESS_IP4;

        if (proto == FRAME_PROTO_TCP)
                return parse_tcp(f);
        if (proto == FRAME_PROTO_UDP)
                return parse_udp(f);
        if (proto != (is_ip4 ? FRAME_PROTO_ICMP : FRAME_PROTO_ICMP6))
                return FRAME_E_TYPE;
        f->kind = is_ip4 ? FRAME_ICMP : FRAME_ICMP6;
        return f->body_len < ICMP_MIN ? FRAME_E_SHORT : FRAME_OK;
}

static bool is_any(const struct address *a)
{
        static const uint8_t zero[16];

        return !memcmp(a->bytes, zero, sizeof(zero));
}

static bool is_link_local(const struct address *a)
{
        return a->family == ADDRESS_IP6 && a->bytes[0] == 0xfe && (a->bytes[1] & 0xc0) == 0x80;
}

static bool is_group(const struct address *a)
{
        if (a->family == ADDRESS_IP6)
                return a->bytes[0] == 0xff;
        return a->bytes[0] >= 224; /* multicast, reserved and the broadcast */
}

static int check_ends(const struct frame *f, const struct lan *lan)
{
        bool is_dhcp =
                f->kind == FRAME_UDP && f->src.family == ADDRESS_IP4 && f->dst_port == FRAME_DHCP_SERVER;
        bool is_neighbour = f->kind == FRAME_ICMP6;

        if (!lan_is_guest(lan, &f->src) && !(is_dhcp && is_any(&f->src)) &&
            !(is_neighbour && (is_any(&f->src) || is_link_local(&f->src))))
                return FRAME_E_SOURCE;
        if (is_group(&f->dst))
                return is_dhcp || is_neighbour ? FRAME_OK : FRAME_E_TARGET;
        if (is_any(&f->dst) || lan_is_guest(lan, &f->dst) ||
            (is_link_local(&f->dst) && !lan_is_gateway(lan, &f->dst)))
                return FRAME_E_TARGET;
        return FRAME_OK;
}

static int parse_ip4(const uint8_t *at, size_t n, struct frame *f)
{
        size_t header, total;

        if (n < IP4_MIN)
                return FRAME_E_SHORT;
        header = (at[0] & 15u) * 4u;
        total = bytes_get16(at + 2);
        if (at[0] >> 4 != 4 || header < IP4_MIN || total < header || total > n)
                return FRAME_E_LENGTH;
        if (frame_sum(frame_add(0, at, header)))
                return FRAME_E_CHECKSUM;
        if (bytes_get16(at + 6) & 0x3fff) /* more of them, or an offset */
                return FRAME_E_FRAGMENT;
        f->src = address_ip4(at + 12);
        f->dst = address_ip4(at + 16);
        f->hops = at[8];
        f->packet = at;
        f->packet_len = total;
        f->body = at + header;
        f->body_len = total - header;
        return parse_body(f, at[9]);
}

/* Return: FRAME_OK, and *proto is none of an extension. */
static int skip_extensions(struct frame *f, unsigned *proto)
{
        for (unsigned i = 0; *proto == IP6_HOP || *proto == IP6_DESTINATION; i++) {
                size_t len;

                if (i == FRAME_EXTENSIONS_MAX || (*proto == IP6_HOP && i))
                        return FRAME_E_OPTION;
                if (f->body_len < 8)
                        return FRAME_E_SHORT;
                len = (f->body[1] + 1u) * 8u;
                if (len > f->body_len)
                        return FRAME_E_LENGTH;
                *proto = f->body[0];
                f->body += len;
                f->body_len -= len;
        }
        if (*proto == IP6_FRAGMENT)
                return FRAME_E_FRAGMENT;
        return *proto == IP6_ROUTING ? FRAME_E_OPTION : FRAME_OK;
}

static int parse_ip6(const uint8_t *at, size_t n, struct frame *f)
{
        unsigned proto;
        size_t len;
        int r;

        if (n < IP6_LEN)
                return FRAME_E_SHORT;
        len = bytes_get16(at + 4);
        if (at[0] >> 4 != 6 || len > n - IP6_LEN)
                return FRAME_E_LENGTH;
        f->src = address_ip6(at + 8);
        f->dst = address_ip6(at + 24);
        f->hops = at[7];
        f->packet = at;
        f->packet_len = IP6_LEN + len;
        f->body = at + IP6_LEN;
        f->body_len = len;
        proto = at[6];
        r = skip_extensions(f, &proto);
        return r ? r : parse_body(f, proto);
}

/* Ethernet for IPv4 (RFC 826), and somebody's own word. */
static int parse_arp(const uint8_t *at, size_t n, const uint8_t mac[6], struct frame *f)
{
        static const uint8_t head[6] = { 0, 1, 8, 0, 6, 4 };

        if (n < ARP_LEN)
                return FRAME_E_SHORT;
        if (memcmp(at, head, sizeof(head)))
                return FRAME_E_TYPE;
        if (memcmp(at + 8, mac, 6))
                return FRAME_E_SOURCE;
        f->kind = FRAME_ARP;
        f->packet = at;
        f->packet_len = ARP_LEN;
        return FRAME_OK;
}

int frame_parse(const uint8_t *bytes, size_t n, const struct lan *lan, struct frame *ret)
{
        const uint8_t *at = bytes + FRAME_ETHERNET_LEN;
        int r;

        *ret = (struct frame){ 0 };
        if (n < FRAME_ETHERNET_LEN)
                return FRAME_E_SHORT;
        if (n > FRAME_MAX)
                return FRAME_E_LENGTH;
        if ((!(bytes[0] & 1) && memcmp(bytes, lan->gateway_mac, 6)) || memcmp(bytes + 6, lan->guest_mac, 6))
                return FRAME_E_STATION;
        n -= FRAME_ETHERNET_LEN;
        switch (bytes_get16(bytes + 12)) {
        case TYPE_ARP:
                return parse_arp(at, n, lan->guest_mac, ret);
        case TYPE_IP4:
                r = parse_ip4(at, n, ret);
                break;
        case TYPE_IP6:
                r = parse_ip6(at, n, ret);
                break;
        default:
                return FRAME_E_TYPE;
        }
        return r ? r : check_ends(ret, lan);
}
