#pragma once
/*
 * A bounded byte buffer: typed put and get, little endian. Whoever runs over the end makes the buffer
 * `bad`; further puts do nothing, further gets return 0. So a caller checks once, at the end.
 *
 * The storage is the caller's. Used for snapshots of devices and for what crosses a process border.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
        uint8_t *data;
        size_t size; /* of data */
        size_t at;   /* next byte to put or get */
        bool bad;
};

static inline struct buf buf_of(void *data, size_t size)
{
        return (struct buf){ .data = data, .size = size };
}

void buf_put(struct buf *b, const void *src, size_t n);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);

void buf_get(struct buf *b, void *dst, size_t n);
uint8_t buf_get_u8(struct buf *b);
uint16_t buf_get_u16(struct buf *b);
uint32_t buf_get_u32(struct buf *b);
uint64_t buf_get_u64(struct buf *b);

static inline size_t buf_left(const struct buf *b)
{
        return b->bad ? 0 : b->size - b->at;
}
