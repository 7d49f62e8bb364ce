#pragma once
/*
 * Reading a file that belongs to somebody else: regular, of a known size, maybe cut short meanwhile.
 */
#include <stddef.h>
#include <stdint.h>

#include "vmm/mem/gmem.h"

enum file_error {
        FILE_E_KIND = 1, /* not a regular file */
        FILE_E_SHORT,    /* ended before the asked bytes */
};

/* All return 0, a file_error or a negative errno. */
int must_check file_size(int fd, uint64_t *ret);
int must_check file_read(int fd, void *dst, size_t n, uint64_t offset);
/* Into guest memory that the caller knows to be there. */
int must_check file_read_guest(int fd, struct gmem *mem, gpa_t at, uint64_t n, uint64_t offset);
