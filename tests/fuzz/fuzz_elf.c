/*
 * ELF headers and notes. The first byte says which; headers then begin with the file's size, so that a
 * small input may promise large segments.
 */
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/boot/elf.h"

#define RAM_END 0x8000000ull

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_image(const struct elf_image *e, uint64_t file_size)
{
        uint64_t at = KERNEL_START_MIN;
        bool entered = false;

        ASSERT(e->nr_segments && e->nr_segments <= ELF_SEGMENTS_MAX);
        for (unsigned i = 0; i < e->nr_segments; i++) {
                const struct elf_segment *s = &e->segments[i];

                ASSERT(s->at >= at && s->memsz && s->filesz <= s->memsz);
                ASSERT(s->at < RAM_END && s->memsz <= RAM_END - s->at);
                ASSERT(s->offset <= file_size && s->filesz <= file_size - s->offset);
                entered |= e->entry >= s->at && e->entry - s->at < s->filesz;
                at = s->at + s->memsz;
        }
        ASSERT(entered && e->start == e->segments[0].at && e->end == at);
        ASSERT(e->notes_len <= ELF_NOTES_MAX && e->notes_offset <= file_size);
        ASSERT(e->notes_len <= file_size - e->notes_offset);
}

static void headers(const uint8_t *data, size_t size)
{
        struct elf_image e;
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
        r = elf_parse(data, head, file_size, RAM_END, &e);
        ASSERT(r == 0 || (r >= ELF_E_TRUNCATED && r <= ELF_E_ENTRY));
        if (!r)
                check_image(&e, file_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct elf_notes notes;

        if (size && data[0] & 1)
                elf_parse_notes(data + 1, size - 1, &notes);
        else if (size)
                headers(data + 1, size - 1);
        return 0;
}
