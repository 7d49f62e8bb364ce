/*
 * A bounded byte buffer with typed access.
 * Input:  sizes of the caller, bytes of anybody.
 * Runs:   any thread; a buffer belongs to one.
 * Limits: the storage that the caller gave.
 */
#include "vmm/base/buf.h"

#include <string.h>

#include "vmm/base/endian.h"

static uint8_t *claim(struct buf *b, size_t n)
{
        uint8_t *p = b->data + b->at;

        if (b->bad || n > b->size - b->at) {
                b->bad = true;
                return NULL;
        }
        b->at += n;
        return p;
}

void buf_put(struct buf *b, const void *src, size_t n)
{
        uint8_t *p = claim(b, n);

        if (p && n)
                memcpy(p, src, n);
}

void buf_get(struct buf *b, void *dst, size_t n)
{
        const uint8_t *p = claim(b, n);

        if (p && n)
                memcpy(dst, p, n);
        else if (n)
                memset(dst, 0, n);
}

void buf_put_u8(struct buf *b, uint8_t v)
{
        buf_put(b, &v, sizeof(v));
}

void buf_put_u16(struct buf *b, uint16_t v)
{
        le16_t wire = le16_of(v);

        buf_put(b, &wire, sizeof(wire));
}

void buf_put_u32(struct buf *b, uint32_t v)
{
        le32_t wire = le32_of(v);

        buf_put(b, &wire, sizeof(wire));
}

void buf_put_u64(struct buf *b, uint64_t v)
{
        le64_t wire = le64_of(v);

        buf_put(b, &wire, sizeof(wire));
}

uint8_t buf_get_u8(struct buf *b)
{
        uint8_t v;

        buf_get(b, &v, sizeof(v));
        return v;
}

uint16_t buf_get_u16(struct buf *b)
{
        le16_t wire;

        buf_get(b, &wire, sizeof(wire));
        return le16_get(wire);
}

uint32_t buf_get_u32(struct buf *b)
{
        le32_t wire;

        buf_get(b, &wire, sizeof(wire));
        return le32_get(wire);
}

uint64_t buf_get_u64(struct buf *b)
{
        le64_t wire;

        buf_get(b, &wire, sizeof(wire));
        return le64_get(wire);
}
