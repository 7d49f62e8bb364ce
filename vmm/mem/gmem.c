/*
 * Guest memory: check, then copy.
 * Input:  addresses and lengths of the guest, hostile.
 * Runs:   any thread.
 * Limits: GMEM_REGIONS_MAX regions.
 *
 * Built without link-time optimisation, the copies never inlined: nothing may merge a copy with a
 * second look at the guest's bytes.
 */
#include "vmm/mem/gmem.h"

#include <errno.h>
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/base/endian.h"
#include "vmm/base/err.h"
#include "vmm/mem/gmem_priv.h"

#define BITS_PER_WORD 64u

uint8_t *gmem_resolve(struct gmem *mem, gpa_t at, uint64_t len, struct gmem_region **ret_region)
{
        for (unsigned i = 0; i < mem->nr_regions; i++) {
                struct gmem_region *r = &mem->regions[i];
                uint64_t off = at.v - r->base;

                /* Subtractions only: nothing here can wrap past the check. */
                if (at.v < r->base || off > r->size || len > r->size - off)
                        continue;
                if (ret_region)
                        *ret_region = r;
                return r->hva + off;
        }
        return NULL;
}

void gmem_log_write(struct gmem *mem, gpa_t at, uint64_t len)
{
        struct gmem_region *r = NULL;
        uint64_t first, last;

        if (!mem->is_logging || !len || !gmem_resolve(mem, at, len, &r) || !r->dirty)
                return;
        first = (at.v - r->base) / GMEM_PAGE_BYTES;
        last = (at.v - r->base + len - 1) / GMEM_PAGE_BYTES;
        for (uint64_t page = first; page <= last; page++)
                atomic_fetch_or_explicit(&r->dirty[page / BITS_PER_WORD], 1ull << page % BITS_PER_WORD,
                                         memory_order_relaxed);
}

bool gmem_log_take(struct gmem *mem, gpa_t page)
{
        struct gmem_region *r = NULL;
        uint64_t i, bit;

        if (!gmem_resolve(mem, page, GMEM_PAGE_BYTES, &r) || !r->dirty)
                return false;
        i = (page.v - r->base) / GMEM_PAGE_BYTES;
        bit = 1ull << i % BITS_PER_WORD;
        return atomic_fetch_and_explicit(&r->dirty[i / BITS_PER_WORD], ~bit, memory_order_relaxed) & bit;
}

noinline int gmem_read(struct gmem *mem, gpa_t at, void *dst, size_t n)
{
        const uint8_t *p = gmem_resolve(mem, at, n, NULL);

        if (!p)
                return GMEM_FAULT;
        memcpy(dst, p, n);
        return 0;
}

noinline int gmem_write(struct gmem *mem, gpa_t at, const void *src, size_t n)
{
        uint8_t *p = gmem_resolve(mem, at, n, NULL);

        if (!p)
                return GMEM_FAULT;
        memcpy(p, src, n);
        gmem_log_write(mem, at, n);
        return 0;
}

int gmem_fill(struct gmem *mem, gpa_t at, uint8_t value, uint64_t n)
{
        uint8_t *p = gmem_resolve(mem, at, n, NULL);

        if (!p)
                return GMEM_FAULT;
        memset(p, value, n);
        gmem_log_write(mem, at, n);
        return 0;
}

/* SAFETY: resolve() has checked the two bytes; regions are page aligned, so that an even guest address
 * is an even host address. */
static _Atomic uint16_t *index_at(struct gmem *mem, gpa_t at)
{
        return at.v % 2 ? NULL : (_Atomic uint16_t *)(void *)gmem_resolve(mem, at, 2, NULL);
}

noinline int gmem_load_le16_acquire(struct gmem *mem, gpa_t at, uint16_t *ret)
{
        _Atomic uint16_t *p = index_at(mem, at);

        if (!p)
                return GMEM_FAULT;
        *ret = le16toh(atomic_load_explicit(p, memory_order_acquire));
        return 0;
}

noinline int gmem_store_le16_release(struct gmem *mem, gpa_t at, uint16_t v)
{
        _Atomic uint16_t *p = index_at(mem, at);

        if (!p)
                return GMEM_FAULT;
        atomic_store_explicit(p, htole16(v), memory_order_release);
        gmem_log_write(mem, at, 2);
        return 0;
}

int gmem_buf(struct gmem *mem, gpa_t at, size_t len, struct gbuf *ret)
{
        uint8_t *p = gmem_resolve(mem, at, len, NULL);

        if (!p)
                return GMEM_FAULT;
        *ret = (struct gbuf){ .mem = mem, .at = at, .hva = p, .len = len };
        return 0;
}

unsigned gmem_nr_slots(const struct gmem *mem)
{
        return mem->nr_regions;
}

struct gmem_slot gmem_slot(const struct gmem *mem, unsigned i)
{
        const struct gmem_region *r = &mem->regions[i];

        ASSERT(i < mem->nr_regions);
        return (struct gmem_slot){ .at = GPA(r->base), .size = r->size, .user_addr = (uintptr_t)r->hva };
}

uint64_t gmem_size(const struct gmem *mem)
{
        uint64_t sum = 0;

        for (unsigned i = 0; i < mem->nr_regions; i++)
                sum += mem->regions[i].size;
        return sum;
}
