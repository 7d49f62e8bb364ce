#pragma once
/*
 * bzImage kernels: the Linux/x86 boot protocol, 64-bit entry (Documentation/arch/x86/boot.rst).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/kernel.h"

enum bzimage_error {
        BZIMAGE_E_TRUNCATED = 64, /* the file ends before what its header promises */
        BZIMAGE_E_MAGIC,          /* no setup header */
        BZIMAGE_E_VERSION,        /* boot protocol before 2.12, or a header shorter than that */
        BZIMAGE_E_ZIMAGE,         /* loads low: a zImage */
        BZIMAGE_E_32BIT,          /* no 64-bit entry */
        BZIMAGE_E_LOW,            /* wants to be below KERNEL_START_MIN */
        BZIMAGE_E_MEMORY,         /* does not fit in guest memory */
        BZIMAGE_E_SIZES,          /* needs less room than its own bytes, or bad alignment */
};

struct bzimage {
        uint64_t payload_offset; /* the protected-mode part, in the file */
        uint64_t payload_len;
        uint64_t at;        /* where to load it */
        uint64_t init_size; /* room it needs from there on */
        uint64_t entry;     /* 64-bit */
        uint64_t initrd_max;
        uint64_t version_offset; /* of the version text, in the file; 0: none */
        size_t cmdline_max;
        size_t setup_len;
        uint8_t setup[KERNEL_SETUP_MAX];
};

/*
 * bzimage_parse() - check the setup header. Pure.
 * @head: the first bytes of the file, all of it or KERNEL_HEAD_BYTES
 * @ram_end: see kernel_load()
 *
 * Return: 0 or a bzimage_error.
 */
int must_check bzimage_parse(const uint8_t *head, size_t len, uint64_t file_size, uint64_t ram_end,
                             struct bzimage *ret);

/* bzimage_is_native() - does a version text ("6.12.1-vmlet (…) …", need not end in NUL) name our kernel? */
bool bzimage_is_native(const char *version, size_t len);

/* Return: as kernel_load(). */
int must_check bzimage_load(struct gmem *mem, const struct kernel_file *file, uint64_t ram_end,
                            struct kernel *ret);

const char *bzimage_strerror(int code);
