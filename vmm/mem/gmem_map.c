/*
 * Guest memory: where it comes from.
 * Input:  sizes from the checked configuration, file offsets from a checked ELF header.
 * Runs:   main thread, before any vCPU.
 * Limits: GMEM_REGIONS_MAX regions.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/mem/gmem.h"
#include "vmm/mem/gmem_priv.h"

#define HUGE_PAGE_BYTES (2ull << 20)
#define BITS_PER_WORD   64u

int gmem_new(struct gmem **ret)
{
        struct gmem *mem = calloc(1, sizeof(*mem));

        if (!mem)
                return err_new(-ENOMEM);
        *ret = mem;
        return 0;
}

void gmem_free(struct gmem *mem)
{
        if (!mem)
                return;
        for (unsigned i = 0; i < mem->nr_regions; i++) {
                (void)!munmap(mem->regions[i].reserved, mem->regions[i].reserved_size);
                free(mem->regions[i].dirty);
        }
        free(mem);
}

/*
 * Address space is reserved with room for a guard page below and above, and the RAM laid into it on a
 * 2 MiB border. Host and guest agree modulo 2 MiB: that is what huge entries in the nested page table
 * need.
 */
int gmem_add_ram(struct gmem *mem, gpa_t at, uint64_t size)
{
        struct gmem_region *r = &mem->regions[mem->nr_regions];
        size_t reserved_size;
        uint8_t *p;
        void *reserved;

        ASSERT(mem->nr_regions < GMEM_REGIONS_MAX);
        ASSERT(size && num_is_aligned(size, GMEM_PAGE_BYTES) && num_is_aligned(at.v, HUGE_PAGE_BYTES));
        reserved_size = size + HUGE_PAGE_BYTES + 2 * GMEM_PAGE_BYTES;
        reserved = mmap(NULL, reserved_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (reserved == MAP_FAILED)
                return err_new(-errno);
        /* SAFETY: the rounded address lies within what was just reserved. */
        p = (uint8_t *)reserved;
        p += num_align_up((uintptr_t)p + GMEM_PAGE_BYTES, HUGE_PAGE_BYTES) - (uintptr_t)p;
        if (mprotect(p, size, PROT_READ | PROT_WRITE) < 0) {
                int r_mprotect = err_new(-errno);

                (void)!munmap(reserved, reserved_size);
                return r_mprotect;
        }
        /* A kernel without huge pages is slower, not wrong. */
        (void)!madvise(p, size, MADV_HUGEPAGE);
        (void)!madvise(p, size, MADV_DONTDUMP);
        *r = (struct gmem_region){
                .base = at.v,
                .size = size,
                .hva = p,
                .reserved = reserved,
                .reserved_size = reserved_size,
                .file_from = size,
                .file_to = size,
        };
        mem->nr_regions++;
        return 0;
}

static void remember_view(struct gmem_region *r, uint64_t from, uint64_t to)
{
        bool is_first = r->file_from == r->size;

        r->file_from = num_min(r->file_from, from);
        r->file_to = is_first ? to : num_max(r->file_to, to);
}

int gmem_map_file(struct gmem *mem, gpa_t at, uint64_t len, int fd, uint64_t offset)
{
        uint64_t whole = num_align_up(len, GMEM_PAGE_BYTES);
        struct gmem_region *r = NULL;
        uint8_t *p = gmem_resolve(mem, at, whole, &r);

        if (!p || !num_is_aligned(at.v, GMEM_PAGE_BYTES) || !num_is_aligned(offset, GMEM_PAGE_BYTES))
                return GMEM_FAULT;
        if (mmap(p, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, fd,
                 (off_t)offset) == MAP_FAILED)
                return err_new(-errno);
        (void)!madvise(p, whole, MADV_DONTDUMP);
        remember_view(r, at.v - r->base, at.v - r->base + whole);
        return 0;
}

int gmem_log_start(struct gmem *mem)
{
        for (unsigned i = 0; i < mem->nr_regions; i++) {
                struct gmem_region *r = &mem->regions[i];
                size_t words = (size_t)(r->size / GMEM_PAGE_BYTES + BITS_PER_WORD - 1) / BITS_PER_WORD;

                if (r->dirty)
                        continue;
                r->dirty = calloc(words, sizeof(*r->dirty));
                if (!r->dirty)
                        return err_new(-ENOMEM);
        }
        mem->is_logging = true;
        return 0;
}
