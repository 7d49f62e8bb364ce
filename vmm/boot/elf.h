#pragma once
/*
 * ELF kernels (vmlinux), by libelf. elf.c is the only file that includes libelf.
 *
 * elf_parse() and elf_parse_notes() are pure but for what libelf allocates and frees within the call.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/boot/kernel.h"

/* ELF header and program headers must lie in the first bytes of the file: every linker puts them there. */
#define ELF_HEAD_MAX     4096u
#define ELF_SEGMENTS_MAX 16u
/* A kernel's notes are some 500 bytes; beyond this they are not looked at. */
#define ELF_NOTES_MAX 4096u

enum elf_error {
        ELF_E_TRUNCATED = 32, /* the file ends before what its headers promise */
        ELF_E_CLASS,          /* not a 64-bit little-endian ELF file */
        ELF_E_MACHINE,        /* for another processor */
        ELF_E_TYPE,           /* no executable: an object file, a library, a core */
        ELF_E_HEADERS,        /* malformed headers, or not where ELF_HEAD_MAX allows */
        ELF_E_SEGMENTS,       /* none to load, or more than ELF_SEGMENTS_MAX */
        ELF_E_SIZES,          /* a segment with more bytes in the file than in memory, or wrapping */
        ELF_E_LOW,            /* a segment below KERNEL_START_MIN */
        ELF_E_MEMORY,         /* a segment beyond guest memory */
        ELF_E_OVERLAP,        /* two segments at one place */
        ELF_E_ENTRY,          /* the entry lies in no segment */
};

struct elf_segment {
        uint64_t at;     /* guest physical */
        uint64_t offset; /* in the file */
        uint64_t filesz;
        uint64_t memsz; /* >= filesz; the difference is zero */
        bool writable;
};

struct elf_image {
        unsigned nr_segments;
        struct elf_segment segments[ELF_SEGMENTS_MAX]; /* by rising address, disjoint */
        uint64_t entry;
        uint64_t notes_offset; /* in the file */
        uint64_t notes_len;    /* 0: none */
        uint64_t start, end;   /* of all segments in memory */
};

struct elf_notes {
        bool native;        /* CONFIG_BUILD_SALT="vmlet" */
        uint64_t pvh_entry; /* 0: none */
};

/*
 * elf_parse() - check the headers
 * @head: the first bytes of the file, all of it or ELF_HEAD_MAX
 * @file_size: of the file; @ram_end: see kernel_load()
 *
 * Return: 0 or an elf_error.
 */
int must_check elf_parse(const uint8_t *head, size_t len, uint64_t file_size, uint64_t ram_end,
                         struct elf_image *ret);

/* Malformed notes end the walk; what was found before counts. */
void elf_parse_notes(const uint8_t *notes, size_t len, struct elf_notes *ret);

/* Return: as kernel_load(). */
int must_check elf_load(struct gmem *mem, const struct kernel_file *file, uint64_t ram_end,
                        struct kernel *ret);

const char *elf_strerror(int code);
