#pragma once
/*
 * The network that a sandbox sees: one guest, one gateway, which is also its resolver and stands for the host.
 * The guest's agent is told these and asks nobody; other guests get them by DHCP and router advertisements.
 */

#define ADDRESSES_GUEST_IP4   "10.0.2.15"
#define ADDRESSES_GATEWAY_IP4 "10.0.2.2"
#define ADDRESSES_PREFIX_IP4  24

#define ADDRESSES_GUEST_IP6      "fd00:0:0:2::15"
#define ADDRESSES_GATEWAY_IP6    "fd00:0:0:2::2"
#define ADDRESSES_GATEWAY_LL_IP6 "fe80::2"
#define ADDRESSES_PREFIX_IP6     64

#define ADDRESSES_GUEST_MAC   "02:76:6d:6c:74:02"
#define ADDRESSES_GATEWAY_MAC "02:76:6d:6c:74:01"

/* A frame holds what one send(2) of the guest's TCP makes: nothing is cut into segments behind the gateway. */
#define ADDRESSES_MTU_GATEWAY 65520u
/* The host's network behind a tap decides; this is what all carry. */
#define ADDRESSES_MTU_TAP 1500u
