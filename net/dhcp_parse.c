/*
 * DHCP messages of the guest.
 * Input:  bytes of the guest (hostile).
 * Runs:   loop thread; pure.
 * Limits: DHCP_OPTIONS_MAX options.
 */
#include "net/dhcp_parse.h"

#include <string.h>

#define OPTION_PAD       0u
#define OPTION_REQUESTED 50u
#define OPTION_TYPE      53u
#define OPTION_SERVER    54u
#define OPTION_END       255u

static int take_option(struct dhcp_request *r, unsigned kind, const uint8_t *at, size_t len)
{
        switch (kind) {
        case OPTION_TYPE:
                if (len != 1 || *at < DHCP_DISCOVER || *at > DHCP_INFORM)
                        return DHCP_E_OPTION;
                r->type = *at;
                break;
        case OPTION_REQUESTED:
        case OPTION_SERVER:
                if (len != 4)
                        return DHCP_E_OPTION;
                memcpy(kind == OPTION_SERVER ? r->server : r->wanted, at, 4);
                break;
        default:
                break;
        }
        return DHCP_OK;
}

static int parse_options(const uint8_t *at, size_t n, struct dhcp_request *r)
{
        for (unsigned i = 0; n && *at != OPTION_END; i++) {
                size_t len;
                int result;

                if (*at == OPTION_PAD) {
                        at++;
                        n--;
                        i--;
                        continue;
                }
                if (i == DHCP_OPTIONS_MAX || n < 2 || at[1] > n - 2)
                        return DHCP_E_OPTION;
                len = at[1];
                result = take_option(r, at[0], at + 2, len);
                if (result)
                        return result;
                at += 2 + len;
                n -= 2 + len;
        }
        return r->type ? DHCP_OK : DHCP_E_OPTION;
}

int dhcp_parse(const uint8_t *bytes, size_t n, struct dhcp_request *ret)
{
        static const uint8_t magic[4] = { 99, 130, 83, 99 };

        *ret = (struct dhcp_request){ 0 };
        if (n < DHCP_HEADER_LEN)
                return DHCP_E_SHORT;
        /* A request from Ethernet. */
        if (bytes[0] != 1 || bytes[1] != 1 || bytes[2] != 6 || memcmp(bytes + 236, magic, sizeof(magic)))
                return DHCP_E_KIND;
        memcpy(ret->xid, bytes + 4, 4);
        memcpy(ret->flags, bytes + 10, 2);
        memcpy(ret->client, bytes + 12, 4);
        memcpy(ret->mac, bytes + 28, 6);
        return parse_options(bytes + DHCP_HEADER_LEN, n - DHCP_HEADER_LEN, ret);
}
