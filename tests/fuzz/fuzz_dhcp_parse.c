/*
 * DHCP messages of a guest.
 */
#include "net/dhcp_parse.h"

#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct dhcp_request req;
        int r = dhcp_parse(data, size, &req);

        ASSERT(r >= DHCP_OK && r <= DHCP_E_OPTION);
        ASSERT(r || (size >= DHCP_HEADER_LEN && req.type >= DHCP_DISCOVER && req.type <= DHCP_INFORM));
        return 0;
}
