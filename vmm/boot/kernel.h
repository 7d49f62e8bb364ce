#pragma once
/*
 * A guest kernel of any kind we take: looks what the file is, and brings it into guest memory.
 *
 * The file is hostile: everything in it is checked before a byte of guest memory is touched. Mistakes
 * of the file are the positive codes of this module, of elf.h or of bzimage.h; kernel_strerror() words
 * all of them. Negative: the host's trouble. Thread: main, before any vCPU.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/mem/gmem.h"

enum kernel_kind { KERNEL_ELF, KERNEL_BZIMAGE };

enum kernel_error {
        KERNEL_E_EMPTY = 1, /* a file of no bytes */
        KERNEL_E_NOT_FILE,  /* a directory, a pipe, a device */
        KERNEL_E_PACKED,    /* compressed as a whole */
        KERNEL_E_ARM64,     /* an aarch64 Image */
        KERNEL_E_EFI,       /* a program for EFI firmware that is no bzImage */
        KERNEL_E_UNKNOWN,   /* nothing we have heard of */
        KERNEL_E_CHANGED,   /* shorter than it was a moment ago */
};

/* Nothing of a kernel may lie below: boot structures of ours do. */
#define KERNEL_START_MIN 0x100000ull

/* The setup header of the Linux/x86 boot protocol: at this offset in a bzImage and in the zero page. */
#define KERNEL_SETUP_OFFSET 0x1f1u
#define KERNEL_SETUP_MAX    0x7bu

struct kernel {
        enum kernel_kind kind;
        bool native;         /* built for this monitor: needs no ACPI */
        gpa_t entry;         /* 64-bit mode, zero page in rsi */
        gpa_t pvh_entry;     /* 32-bit entry by Xen's PVH note; 0: none */
        uint64_t start;      /* what it occupies in RAM, bss and room to unpack included: */
        uint64_t end;        /* [start, end) */
        uint64_t initrd_max; /* the highest address that a byte of the initrd may have */
        size_t cmdline_max;  /* longest command line, without its NUL */
        size_t setup_len;    /* of the setup header; 0: none (ELF) */
        uint8_t setup[KERNEL_SETUP_MAX];
};

/* A kernel's file and its first bytes, for elf.h and bzimage.h. */
struct kernel_file {
        int fd; /* borrowed */
        uint64_t size;
        const uint8_t *head;
        size_t head_len; /* KERNEL_HEAD_BYTES, or all of a smaller file */
};
#define KERNEL_HEAD_BYTES 4096u

/*
 * kernel_load() - bring the kernel of a file into guest memory
 * @fd: a regular file, borrowed; it must not be cut short while the guest runs
 * @ram_end: RAM is [0, ram_end) and maybe more above 4 GiB, where no kernel goes
 *
 * Return: 0; a positive code; a negative errno.
 */
int must_check kernel_load(struct gmem *mem, int fd, uint64_t ram_end, struct kernel *ret);

/* What a positive code means, fit to follow "PATH: ". */
const char *kernel_strerror(int code);

/*
 * kernel_sniff() - what the first bytes of a file promise. Pure.
 * Return: 0, or a kernel_error.
 */
int must_check kernel_sniff(const uint8_t *head, size_t len, enum kernel_kind *ret);
