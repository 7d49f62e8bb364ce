/*
 * What clients of the control socket send: lines, one after the other.
 */
#include <stdlib.h>
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/control_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *bytes, size_t used, int r, const struct control_request *req)
{
        ASSERT(used && used <= CONTROL_LINE_MAX && bytes[used - 1] == '\n');
        ASSERT(!memchr(bytes, '\n', used - 1));
        if (r)
                return;
        ASSERT(req->word <= CONTROL_SUBSCRIBE);
        ASSERT(!req->prometheus || req->word == CONTROL_METRICS);
        ASSERT(!req->has_grace || (req->word == CONTROL_STOP && req->grace_ms <= 3600000));
        ASSERT(!memchr(bytes, 0, used));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        while (size) {
                /* A copy as long as what is there: a read beyond it is seen. */
                char *copy = malloc(size);
                struct control_request req;
                size_t used = 0;
                int r;

                memcpy(copy, data, size);
                r = control_parse(copy, size, &used, &req);
                if (r == CONTROL_E_MORE)
                        ASSERT(size < CONTROL_LINE_MAX && !memchr(copy, '\n', size));
                else if (r == CONTROL_E_LONG)
                        ASSERT(size >= CONTROL_LINE_MAX && !memchr(copy, '\n', CONTROL_LINE_MAX));
                else
                        check(copy, used, r, &req);
                free(copy);
                if (r == CONTROL_E_MORE || r == CONTROL_E_LONG)
                        break;
                data += used;
                size -= used;
        }
        return 0;
}
