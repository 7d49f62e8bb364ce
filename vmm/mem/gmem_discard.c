/*
 * Guest memory: back to the host.
 * Input:  addresses and lengths of the guest, hostile.
 * Runs:   loop thread, while the guest runs.
 * Limits: the caller's: freeing takes about 0.1 µs a page, less for huge ones.
 *
 * On huge pages. A whole one is freed as such, and the next touch brings a new one: reports come in pieces of 2 MiB
 * and more. A part of one is only taken out of the page table, which is split for good; its memory is free when the
 * rest went as well, or when the host runs short; and a host that collapses small pages into huge ones (khugepaged)
 * may fill the hole again. Therefore the callers merge what they can.
 *
 * syscalls: loop: madvise
 */
#include <errno.h>
#include <sys/mman.h>

#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/mem/gmem.h"
#include "vmm/mem/gmem_priv.h"

static int discard(struct gmem *mem, struct gmem_region *r, uint64_t from, uint64_t to, uint64_t *bytes)
{
        if (from >= to)
                return 0;
        if (madvise(r->hva + from, to - from, MADV_DONTNEED) < 0)
                return err_new(-errno);
        gmem_log_write(mem, GPA(r->base + from), to - from);
        *bytes += to - from;
        return 0;
}

int gmem_discard(struct gmem *mem, gpa_t at, uint64_t len, uint64_t *ret_bytes)
{
        struct gmem_region *r = NULL;
        uint64_t from, to;
        int result;

        *ret_bytes = 0;
        if (!num_is_aligned(at.v | len, GMEM_PAGE_BYTES) || !gmem_resolve(mem, at, len, &r))
                return GMEM_FAULT;
        from = at.v - r->base;
        to = from + len;
        /* A view of a file would show the file again, which is not zero. */
        result = discard(mem, r, from, num_min(to, r->file_from), ret_bytes);
        if (!result)
                result = discard(mem, r, num_max(from, r->file_to), to, ret_bytes);
        return result;
}
