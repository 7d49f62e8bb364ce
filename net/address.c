/*
 * IP addresses as values: text and families.
 * Input:  text of a person, addresses of a guest.
 * Runs:   any thread; pure.
 * Limits: none.
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/addresses.h"
#include "vmm/base/assert.h"

struct address address_ip4(const uint8_t bytes[4])
{
        struct address a = { .family = ADDRESS_IP4 };

        memcpy(a.bytes, bytes, 4);
        return a;
}

struct address address_ip6(const uint8_t bytes[16])
{
        struct address a = { .family = ADDRESS_IP6 };

        memcpy(a.bytes, bytes, 16);
        return a;
}

bool address_from_text(const char *text, struct address *ret)
{
        struct address a = { .family = ADDRESS_IP4 };

        if (inet_pton(AF_INET, text, a.bytes) != 1) {
                a.family = ADDRESS_IP6;
                if (inet_pton(AF_INET6, text, a.bytes) != 1)
                        return false;
        }
        *ret = a;
        return true;
}

void address_to_text(const struct address *a, char ret[ADDRESS_TEXT_MAX])
{
        int family = a->family == ADDRESS_IP4 ? AF_INET : AF_INET6;

        ASSERT(inet_ntop(family, a->bytes, ret, ADDRESS_TEXT_MAX));
}

bool address_equal(const struct address *a, const struct address *b)
{
        return a->family == b->family && !memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

bool address_in(const struct address *a, const struct address *base, unsigned prefix)
{
        unsigned whole = prefix / 8, rest = prefix % 8;

        if (a->family != base->family || memcmp(a->bytes, base->bytes, whole) != 0)
                return false;
        return !rest || !((a->bytes[whole] ^ base->bytes[whole]) >> (8 - rest));
}

bool address_is_gateway(const struct address *a)
{
        static const char *const own[] = { ADDRESSES_GATEWAY_IP4, ADDRESSES_GATEWAY_IP6,
                                           ADDRESSES_GATEWAY_LL_IP6 };

        for (unsigned i = 0; i < sizeof(own) / sizeof(*own); i++) {
                struct address g;

                if (address_from_text(own[i], &g) && address_equal(a, &g))
                        return true;
        }
        return false;
}
