#pragma once
/*
 * The initial RAM disk: where it goes, and bringing it there. Thread: main, before any vCPU.
 */
#include "vmm/boot/kernel.h"

enum initrd_error {
        INITRD_E_EMPTY = 1,
        INITRD_E_NOT_FILE, /* a directory, a pipe, a device */
        INITRD_E_MEMORY,   /* does not fit beside the kernel */
        INITRD_E_CHANGED,  /* shorter than it was a moment ago */
};

struct initrd {
        gpa_t at;
        uint64_t size; /* 0: none */
};

/*
 * initrd_place() - choose an address, page aligned. Pure.
 * @kernel: what must not be covered, and how high the initrd may reach
 *
 * A small one goes right above 1 MiB, into the 2 MiB that the boot structures have touched anyway; any
 * other goes as high as it may, out of the kernel's way.
 * Return: 0 or INITRD_E_MEMORY.
 */
int must_check initrd_place(uint64_t size, const struct kernel *kernel, uint64_t ram_end, gpa_t *ret);

/*
 * initrd_load() - place and copy
 * @fd: a regular file, borrowed
 * Return: 0, an initrd_error or a negative errno.
 */
int must_check initrd_load(struct gmem *mem, int fd, const struct kernel *kernel, uint64_t ram_end,
                           struct initrd *ret);

const char *initrd_strerror(int code);
