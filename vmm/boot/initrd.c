/*
 * The initial RAM disk.
 * Input:  a file, which the guest's kernel parses, not we.
 * Runs:   main thread, before any vCPU.
 * Limits: what is free beside the kernel.
 *
 * It is copied, not mapped. The kernel unpacks it once and then uses the memory for something else: a
 * mapped page would cost a fault to read it and another, with a copy, to use it again, where the copy
 * goes into huge pages that are RAM like any other. 6 MiB cost 10 million instructions copied, 36 mapped.
 */
#include "vmm/boot/initrd.h"

#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/boot/file.h"

/* Small ones live in [1 MiB, 2 MiB), in the huge page that the boot structures are in. */
#define SMALL_END 0x200000ull

static bool hits_kernel(uint64_t at, uint64_t room, const struct kernel *kernel)
{
        return at < kernel->end && kernel->start < at + room;
}

int initrd_place(uint64_t size, const struct kernel *kernel, uint64_t ram_end, gpa_t *ret)
{
        uint64_t top = num_align_down(num_min(ram_end, kernel->initrd_max + 1), GMEM_PAGE_BYTES);
        uint64_t room, at;

        if (!size || size > top)
                return INITRD_E_MEMORY;
        room = num_align_up(size, GMEM_PAGE_BYTES);
        at = KERNEL_START_MIN;
        if (at + room > num_min(top, SMALL_END) || hits_kernel(at, room, kernel)) {
                at = room <= top ? top - room : 0;
                if (hits_kernel(at, room, kernel))
                        at = room <= kernel->start ? num_align_down(kernel->start - room, GMEM_PAGE_BYTES)
                                                   : 0;
                if (at < KERNEL_START_MIN)
                        return INITRD_E_MEMORY;
        }
        *ret = GPA(at);
        return 0;
}

static int from_file_error(int r)
{
        return r == FILE_E_KIND ? INITRD_E_NOT_FILE : r == FILE_E_SHORT ? INITRD_E_CHANGED : r;
}

int initrd_load(struct gmem *mem, int fd, const struct kernel *kernel, uint64_t ram_end, struct initrd *ret)
{
        struct initrd initrd = { 0 };
        int r = file_size(fd, &initrd.size);

        if (r)
                return from_file_error(err_trace(r));
        if (!initrd.size)
                return INITRD_E_EMPTY;
        r = initrd_place(initrd.size, kernel, ram_end, &initrd.at);
        if (r)
                return r;
        r = file_read_guest(fd, mem, initrd.at, initrd.size, 0);
        if (r)
                return from_file_error(err_trace(r));
        *ret = initrd;
        return 0;
}

const char *initrd_strerror(int code)
{
        switch ((enum initrd_error)code) {
        case INITRD_E_EMPTY:
                return "is empty";
        case INITRD_E_NOT_FILE:
                return "is not a regular file";
        case INITRD_E_MEMORY:
                return "does not fit in the memory of the machine beside the kernel: give it more";
        case INITRD_E_CHANGED:
                return "became shorter while it was read";
        }
        return "is not usable as an initrd";
}
