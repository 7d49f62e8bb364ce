#pragma once
/*
 * Frames to the guest: the headers before what they carry, and the Internet's checksum. Pure.
 */
#include "net/lan.h"

#include <stddef.h>

#define FRAME_PROTO_ICMP  1u
#define FRAME_PROTO_TCP   6u
#define FRAME_PROTO_UDP   17u
#define FRAME_PROTO_ICMP6 58u
#define FRAME_DHCP_SERVER 67u
#define FRAME_DHCP_CLIENT 68u
#define FRAME_HOPS        64u

/* Ethernet, IPv6, and the largest header of ours behind it. */
#define FRAME_HEAD_MAX (14u + 40u + 20u)

struct frame_head {
        uint8_t bytes[FRAME_HEAD_MAX];
        size_t len;
};

/* One end of what is sent. */
struct frame_end {
        struct address address;
        uint16_t port;
};

/* The sum so far and @n bytes more; all but the last piece are of even length. */
uint32_t frame_add(uint32_t sum, const uint8_t *bytes, size_t n);
/* The checksum, ready to be stored; 0 over bytes that hold a right one. */
uint16_t frame_sum(uint32_t sum);

/* frame_ethernet() - @family: what follows */
void frame_ethernet(struct frame_head *h, const struct lan *lan, enum address_family family);
/* frame_ip() - Ethernet and IP before @len bytes of @proto */
void frame_ip(struct frame_head *h, const struct lan *lan, const struct address *src,
              const struct address *dst, uint8_t proto, size_t len);
/* frame_udp() - and UDP, with its checksum */
void frame_udp(struct frame_head *h, const struct lan *lan, const struct frame_end *src,
               const struct frame_end *dst, const uint8_t *bytes, size_t len);
/* Sum of what TCP, UDP and ICMPv6 count of the IP header. */
uint32_t frame_pseudo(const struct address *src, const struct address *dst, uint8_t proto, size_t len);
