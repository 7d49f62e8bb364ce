#pragma once
/*
 * What firmware tables have in common: fields filled in late, and sums of bytes that must be 0.
 */
#include <stddef.h>
#include <stdint.h>

static inline void tables_set_u16(uint8_t *at, uint16_t v)
{
        at[0] = (uint8_t)v;
        at[1] = (uint8_t)(v >> 8);
}

static inline void tables_set_u32(uint8_t *at, uint32_t v)
{
        tables_set_u16(at, (uint16_t)v);
        tables_set_u16(at + 2, (uint16_t)(v >> 16));
}

static inline uint8_t tables_sum(const uint8_t *table, size_t len)
{
        uint8_t sum = 0;

        for (size_t i = 0; i < len; i++)
                sum = (uint8_t)(sum + table[i]);
        return sum;
}

/* @at: offset of the checksum byte. */
static inline void tables_set_checksum(uint8_t *table, size_t len, size_t at)
{
        table[at] = 0;
        table[at] = (uint8_t)-tables_sum(table, len);
}
