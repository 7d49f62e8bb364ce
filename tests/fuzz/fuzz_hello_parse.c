/*
 * The first bytes of a connection as TLS: what is decided of some of them holds for all.
 */
#include <string.h>

#include "net/hello_parse.h"
#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        name_t name, part_name, again;
        enum hello whole = hello_parse(data, size, name);
        size_t step = size / 64 + 1;

        ASSERT(whole <= HELLO_NOT_TLS && (whole != HELLO_MORE || size < HELLO_MAX));
        ASSERT(whole != HELLO_NAME || name_read(name, strlen(name), again) == NAME_OK);
        ASSERT(whole == HELLO_NAME || whole == HELLO_ENCRYPTED || !*name);
        for (size_t n = 0; n < size; n += step) {
                enum hello part = hello_parse(data, n, part_name);

                ASSERT(part == HELLO_MORE || (part == whole && !strcmp(part_name, name)));
        }
        return 0;
}
