#pragma once
/*
 * Checked arithmetic: each returns false, and leaves *ret alone, when the result does not fit.
 */
#include <stdbool.h>
#include <stdint.h>

static inline bool num_add(uint64_t a, uint64_t b, uint64_t *ret)
{
        uint64_t sum;

        if (__builtin_add_overflow(a, b, &sum))
                return false;
        *ret = sum;
        return true;
}

static inline bool num_mul(uint64_t a, uint64_t b, uint64_t *ret)
{
        uint64_t product;

        if (__builtin_mul_overflow(a, b, &product))
                return false;
        *ret = product;
        return true;
}

/* @align: a power of two. */
static inline uint64_t num_align_down(uint64_t v, uint64_t align)
{
        return v & ~(align - 1);
}

/* @align: a power of two; @v + @align must not wrap. */
static inline uint64_t num_align_up(uint64_t v, uint64_t align)
{
        return (v + align - 1) & ~(align - 1);
}

static inline bool num_is_aligned(uint64_t v, uint64_t align)
{
        return !(v & (align - 1));
}

static inline uint64_t num_min(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static inline uint64_t num_max(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}
