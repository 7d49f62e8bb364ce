/*
 * An answer of a control socket.
 */
#include <stdint.h>

#include "sandbox/monitor.h"
#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const char *bytes = (const char *)data, *at = bytes;
        size_t len = 0;
        enum monitor_reply r = monitor_parse(bytes, size, &at, &len);

        if (r == MONITOR_OK || r == MONITOR_REFUSED)
                ASSERT(at >= bytes && len <= size && (size_t)(at - bytes) <= size - len);
        return 0;
}
