#pragma once
/*
 * A frame of the guest as a checked value: Ethernet, ARP, IPv4 or IPv6 with its extension headers, then TCP, UDP or
 * ICMP. Pure. Whatever is wrong with one is said by a code of its own, and counted by it.
 */
#include "net/lan.h"

#define FRAME_ETHERNET_LEN   14u
#define FRAME_MAX            (FRAME_ETHERNET_LEN + 65520u) /* ADDRESSES_MTU_GATEWAY */
#define FRAME_TCP_MAX        60u                           /* a TCP header with its options */
#define FRAME_EXTENSIONS_MAX 4u /* IPv6 headers before TCP, UDP or ICMP; no sender needs more than two */

enum frame_kind { FRAME_ARP, FRAME_TCP, FRAME_UDP, FRAME_ICMP, FRAME_ICMP6 };

enum {
        FRAME_OK,
        FRAME_E_SHORT,    /* ends within a header */
        FRAME_E_TYPE,     /* neither ARP nor IP, or none of their protocols that we serve */
        FRAME_E_STATION,  /* not to the gateway, or not from the guest: by their Ethernet addresses */
        FRAME_E_LENGTH,   /* lengths that contradict each other */
        FRAME_E_CHECKSUM, /* of the IPv4 header */
        FRAME_E_SOURCE,   /* from an address that is not the guest's own */
        FRAME_E_TARGET,   /* to an address that no connection can have: multicast, broadcast, its own */
        FRAME_E_FRAGMENT,
        FRAME_E_OPTION, /* of TCP, or an IPv6 extension, that breaks its rules; source routes too */
        FRAME_E_NR
};

#define FRAME_TCP_FIN 0x01u
#define FRAME_TCP_SYN 0x02u
#define FRAME_TCP_RST 0x04u
#define FRAME_TCP_ACK 0x10u

struct frame {
        enum frame_kind kind;
        struct address src, dst; /* not of ARP */
        uint16_t src_port, dst_port;
        uint8_t hops;
        /* All point into the frame. */
        const uint8_t *packet; /* the IP packet, or the one of ARP */
        size_t packet_len;
        const uint8_t *body; /* TCP: with its header; UDP: what it carries; ICMP: all of it */
        size_t body_len;
        unsigned tcp_header_len;
        uint8_t tcp_flags;
};

/*
 * frame_parse()
 * UDP from 0.0.0.0 or to a broadcast (DHCP), and ICMPv6 from or to link-local and multicast addresses (neighbours)
 * are fine; everything else goes from the guest's address to a unicast one.
 */
int frame_parse(const uint8_t *bytes, size_t n, const struct lan *lan, struct frame *ret);
/* "spoofed source" …, for counters. */
const char *frame_strerror(int error);
