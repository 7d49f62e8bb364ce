/*
 * A guest kernel of any kind: look, then hand to the parser of that kind.
 * Input:  a kernel file, hostile.
 * Runs:   main thread, before any vCPU.
 * Limits: looks at KERNEL_HEAD_BYTES to decide.
 */
#include "vmm/boot/kernel.h"

#include <string.h>

#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/boot/bzimage.h"
#include "vmm/boot/elf.h"
#include "vmm/boot/file.h"

/* Bytes that tell a format, and where. The first row that fits wins. */
struct magic {
        size_t offset;
        size_t len;
        const char *bytes;
        int error; /* 0: a kind we take */
        enum kernel_kind kind;
};

static const struct magic magics[] = {
        { 0, 4, "\177ELF", 0, KERNEL_ELF },
        { 0x202, 4, "HdrS", 0, KERNEL_BZIMAGE },
        { 0x38, 4, "ARM\x64", KERNEL_E_ARM64, 0 },
        { 0, 2, "\x1f\x8b", KERNEL_E_PACKED, 0 },         /* gzip */
        { 0, 4, "\x28\xb5\x2f\xfd", KERNEL_E_PACKED, 0 }, /* zstd */
        { 0, 4, "\x04\x22\x4d\x18", KERNEL_E_PACKED, 0 }, /* lz4 */
        { 0, 4, "\x02\x21\x4c\x18", KERNEL_E_PACKED, 0 }, /* lz4, the kernel's form */
        { 0, 6, "\3757zXZ\0", KERNEL_E_PACKED, 0 },       /* xz */
        { 0, 3, "BZh", KERNEL_E_PACKED, 0 },              /* bzip2 */
        { 0, 2, "MZ", KERNEL_E_EFI, 0 },
};

int kernel_sniff(const uint8_t *head, size_t len, enum kernel_kind *ret)
{
        for (size_t i = 0; i < array_size(magics); i++) {
                const struct magic *m = &magics[i];

                if (m->offset + m->len > len || memcmp(head + m->offset, m->bytes, m->len) != 0)
                        continue;
                if (!m->error)
                        *ret = m->kind;
                return m->error;
        }
        return KERNEL_E_UNKNOWN;
}

static int from_file_error(int r)
{
        return r == FILE_E_KIND ? KERNEL_E_NOT_FILE : r == FILE_E_SHORT ? KERNEL_E_CHANGED : r;
}

int kernel_load(struct gmem *mem, int fd, uint64_t ram_end, struct kernel *ret)
{
        uint8_t head[KERNEL_HEAD_BYTES] __attribute__((uninitialized, aligned(8)));
        struct kernel_file file = { .fd = fd, .head = head };
        enum kernel_kind kind = KERNEL_ELF;
        int r = file_size(fd, &file.size);

        if (!r && !file.size)
                return KERNEL_E_EMPTY;
        file.head_len = num_min(file.size, sizeof(head));
        if (!r)
                r = file_read(fd, head, file.head_len, 0);
        if (r)
                return from_file_error(err_trace(r));
        r = kernel_sniff(head, file.head_len, &kind);
        if (r)
                return r;
        if (kind == KERNEL_ELF)
                return elf_load(mem, &file, ram_end, ret);
        return bzimage_load(mem, &file, ram_end, ret);
}

const char *kernel_strerror(int code)
{
        if (code >= BZIMAGE_E_TRUNCATED)
                return bzimage_strerror(code);
        if (code >= ELF_E_TRUNCATED)
                return elf_strerror(code);
        switch ((enum kernel_error)code) {
        case KERNEL_E_EMPTY:
                return "is empty";
        case KERNEL_E_NOT_FILE:
                return "is not a regular file";
        case KERNEL_E_PACKED:
                return "is compressed as a whole: unpack it first (a bzImage or an ELF vmlinux is taken)";
        case KERNEL_E_ARM64:
                return "is a kernel for aarch64, and this machine is x86-64";
        case KERNEL_E_EFI:
                return "is an EFI program, not a bzImage or an ELF vmlinux";
        case KERNEL_E_UNKNOWN:
                return "is not a kernel: neither a bzImage nor an ELF vmlinux";
        case KERNEL_E_CHANGED:
                return "became shorter while it was read";
        }
        return "is not usable as a kernel";
}
