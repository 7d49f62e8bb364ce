/*
 * The setup header of a bzImage, and its version text. The first byte says which; a header then begins
 * with the file's size, so that a small input may promise a large payload.
 */
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/boot/bzimage.h"

#define RAM_END 0x8000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void header(const uint8_t *data, size_t size)
{
        struct bzimage b;
        uint64_t file_size;
        size_t head;
        int r;

        if (size < sizeof(file_size))
                return;
        memcpy(&file_size, data, sizeof(file_size));
        data += sizeof(file_size);
        size -= sizeof(file_size);
        head = size < KERNEL_HEAD_BYTES ? size : KERNEL_HEAD_BYTES;
        if (file_size < head)
                file_size = head;
        r = bzimage_parse(data, head, file_size, RAM_END, &b);
        ASSERT(r == 0 || (r >= BZIMAGE_E_TRUNCATED && r <= BZIMAGE_E_SIZES));
        if (r)
                return;
        ASSERT(b.payload_offset < file_size && b.payload_len <= file_size - b.payload_offset);
        ASSERT(b.at >= KERNEL_START_MIN && b.at < RAM_END && b.init_size <= RAM_END - b.at);
        ASSERT(b.payload_len && b.payload_len <= b.init_size);
        ASSERT(b.entry > b.at && b.entry < b.at + b.payload_len);
        ASSERT(b.setup_len <= KERNEL_SETUP_MAX && b.setup_len <= head - KERNEL_SETUP_OFFSET);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size && data[0] & 1)
                (void)bzimage_is_native((const char *)data + 1, size - 1);
        else if (size)
                header(data + 1, size - 1);
        return 0;
}
