#pragma once
/*
 * Who is who on the wire between guest and gateway. Set once at the start.
 */
#include "net/address.h"

struct lan {
        uint8_t guest_mac[6];
        uint8_t gateway_mac[6];
        struct address guest_ip4, gateway_ip4;
        struct address guest_ip6, gateway_ip6, gateway_ll_ip6;
        unsigned prefix_ip4, prefix_ip6;
};

/* lan_init() - what net/addresses.h says */
void lan_init(struct lan *ret);
/* "02:76:6d:6c:74:02", of one station. */
bool lan_read_mac(const char *text, uint8_t ret[6]);
/* The gateway's own, as opposed to those of the world behind it. */
bool lan_is_gateway(const struct lan *lan, const struct address *a);
/*
 * lan_is_guest() - may the guest send from it? IPv4: its own. IPv6: its network, of which it may have chosen other
 * addresses, but for the gateway's.
 */
bool lan_is_guest(const struct lan *lan, const struct address *a);
