#pragma once
/*
 * Little-endian wire values. Each is a struct, so that a wire value cannot be used as a number by
 * mistake: le32_get() and le32_of() are the only ways in and out.
 */
#include <endian.h>
#include <stdint.h>

typedef struct {
        uint16_t raw;
} le16_t;
typedef struct {
        uint32_t raw;
} le32_t;
typedef struct {
        uint64_t raw;
} le64_t;

static inline uint16_t le16_get(le16_t v)
{
        return le16toh(v.raw);
}

static inline uint32_t le32_get(le32_t v)
{
        return le32toh(v.raw);
}

static inline uint64_t le64_get(le64_t v)
{
        return le64toh(v.raw);
}

static inline le16_t le16_of(uint16_t v)
{
        return (le16_t){ htole16(v) };
}

static inline le32_t le32_of(uint32_t v)
{
        return (le32_t){ htole32(v) };
}

static inline le64_t le64_of(uint64_t v)
{
        return (le64_t){ htole64(v) };
}
