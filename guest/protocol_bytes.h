/*
 * What the files of the protocol share: integers in bytes, strings in payloads.
 *
 * All integers are little endian, at any alignment. Private to guest/protocol*.c.
 */
#pragma once

#include <string.h>

#include "guest/protocol.h"

static inline uint16_t get16(const uint8_t *p)
{
        return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get32(const uint8_t *p)
{
        return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static inline uint64_t get64(const uint8_t *p)
{
        return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

static inline void put16(uint8_t *p, uint32_t v)
{
        p[0] = (uint8_t)v;
        p[1] = (uint8_t)(v >> 8);
}

static inline void put32(uint8_t *p, uint32_t v)
{
        put16(p, v & 0xffff);
        put16(p + 2, v >> 16);
}

static inline void put64(uint8_t *p, uint64_t v)
{
        put32(p, (uint32_t)v);
        put32(p + 4, (uint32_t)(v >> 32));
}

/* Takes one NUL-terminated string of at most @max characters off the front of [*p, end). */
static inline const char *take_string(const uint8_t **p, const uint8_t *end, size_t max)
{
        size_t room = (size_t)(end - *p), look = room < max + 1 ? room : max + 1;
        const uint8_t *start = *p, *nul = look ? memchr(start, 0, look) : NULL;

        if (!nul)
                return NULL;
        *p = nul + 1;
        return (const char *)start;
}

/* Copies at most @max characters, without a NUL. Return: what comes behind them. */
static inline uint8_t *put_text(uint8_t *p, const char *text, size_t max)
{
        size_t len = strnlen(text, max);

        memcpy(p, text, len);
        return p + len;
}

static inline size_t finish(uint8_t *out, enum protocol_type type, uint32_t id, size_t len)
{
        struct protocol_frame frame = { .type = type, .id = id, .len = (uint32_t)len };

        return protocol_put_header(out, &frame) + len;
}
