/*
 * Who is who on the wire between guest and gateway.
 * Input:  our constants; an address of a person.
 * Runs:   any thread; pure.
 * Limits: one guest.
 */
#include "net/lan.h"

#include <string.h>

#include "net/addresses.h"
#include "vmm/base/assert.h"

#define HEX(c) ((c) >= '0' && (c) <= '9' ? (c) - '0' : (c) >= 'a' && (c) <= 'f' ? (c) - 'a' + 10 : -1)

bool lan_read_mac(const char *text, uint8_t ret[6])
{
        uint8_t mac[6];

        if (strlen(text) != 17)
                return false;
        for (unsigned i = 0; i < 6; i++) {
                const char *at = text + (size_t)3 * i;
                int high = HEX(at[0] | 0x20), low = HEX(at[1] | 0x20);

                if (high < 0 || low < 0 || (i < 5 && at[2] != ':'))
                        return false;
                mac[i] = (uint8_t)(high << 4 | low);
        }
        if (mac[0] & 1)
                return false;
        memcpy(ret, mac, sizeof(mac));
        return true;
}

void lan_init(struct lan *ret)
{
        *ret = (struct lan){ .prefix_ip4 = ADDRESSES_PREFIX_IP4, .prefix_ip6 = ADDRESSES_PREFIX_IP6 };
        ASSERT(lan_read_mac(ADDRESSES_GUEST_MAC, ret->guest_mac));
        ASSERT(lan_read_mac(ADDRESSES_GATEWAY_MAC, ret->gateway_mac));
        ASSERT(address_from_text(ADDRESSES_GUEST_IP4, &ret->guest_ip4));
        ASSERT(address_from_text(ADDRESSES_GATEWAY_IP4, &ret->gateway_ip4));
        ASSERT(address_from_text(ADDRESSES_GUEST_IP6, &ret->guest_ip6));
        ASSERT(address_from_text(ADDRESSES_GATEWAY_IP6, &ret->gateway_ip6));
        ASSERT(address_from_text(ADDRESSES_GATEWAY_LL_IP6, &ret->gateway_ll_ip6));
}

bool lan_is_gateway(const struct lan *lan, const struct address *a)
{
        return address_equal(a, &lan->gateway_ip4) || address_equal(a, &lan->gateway_ip6) ||
               address_equal(a, &lan->gateway_ll_ip6);
}

bool lan_is_guest(const struct lan *lan, const struct address *a)
{
        if (a->family == ADDRESS_IP4)
                return address_equal(a, &lan->guest_ip4);
        return address_in(a, &lan->guest_ip6, lan->prefix_ip6) && !lan_is_gateway(lan, a);
}
