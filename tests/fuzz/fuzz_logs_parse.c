/*
 * Records of an output file, one behind the other.
 */
#include "sandbox/logs_parse.h"
#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct logs_record r;
        size_t at = 0;

        while (!logs_parse(data + at, size - at, &r)) {
                ASSERT(r.len && r.size == LOGS_HEADER_SIZE + r.len && r.size <= size - at);
                ASSERT(r.bytes == data + at + LOGS_HEADER_SIZE && r.kind <= LOGS_STDERR);
                at += r.size;
        }
        return 0;
}
