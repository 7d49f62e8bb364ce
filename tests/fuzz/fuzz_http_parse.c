/*
 * The first bytes of a connection as HTTP: what is decided of some of them holds for all.
 */
#include <string.h>

#include "net/address.h"
#include "net/http_parse.h"
#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        name_t name, part_name, again;
        enum http whole = http_parse(data, size, name);
        size_t step = size / 64 + 1;
        struct address a;

        ASSERT(whole <= HTTP_NOT_HTTP && (whole != HTTP_MORE || size < HTTP_HEAD_MAX));
        ASSERT(whole != HTTP_NAME || address_from_text(name, &a) ||
               name_read(name, strlen(name), again) == NAME_OK);
        for (size_t n = 0; n < size; n += step) {
                enum http part = http_parse(data, n, part_name);

                ASSERT(part == HTTP_MORE || part == whole);
                ASSERT(part != HTTP_NAME || !strcmp(part_name, name));
        }
        return 0;
}
