#pragma once
/*
 * DHCP (RFC 2131), as far as a network of one guest needs it. Pure.
 */
#include <stddef.h>
#include <stdint.h>

#define DHCP_HEADER_LEN  240u /* with the magic number */
#define DHCP_OPTIONS_MAX 64u

enum dhcp_type {
        DHCP_DISCOVER = 1,
        DHCP_OFFER,
        DHCP_REQUEST,
        DHCP_DECLINE,
        DHCP_ACK,
        DHCP_NAK,
        DHCP_RELEASE,
        DHCP_INFORM
};

enum { DHCP_OK, DHCP_E_SHORT, DHCP_E_KIND, DHCP_E_OPTION };

struct dhcp_request {
        enum dhcp_type type;
        uint8_t xid[4];
        uint8_t flags[2];
        uint8_t mac[6];
        uint8_t client[4]; /* the address it has, or zeroes */
        uint8_t wanted[4]; /* the address it asks for, or zeroes */
        uint8_t server[4]; /* whom it asks, or zeroes */
};

/* Return: DHCP_OK, or a code */
int dhcp_parse(const uint8_t *bytes, size_t n, struct dhcp_request *ret);
