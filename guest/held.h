/*
 * Bytes that had to wait: what a socket or a pipe did not take yet, or a frame that is not whole.
 *
 * Rare, so the room is the kernel's own (mmap) for as long as it is needed, and none is kept for idle
 * connections.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct held {
        uint8_t *bytes; /* NULL = nothing is held */
        size_t start, end, size;
};

/* held_reserve() - make room for @size bytes in all; what is held stays. Return: false without memory. */
bool held_reserve(struct held *h, size_t size);

/* held_add() - append; there must be room, or nothing held yet. Return: false without memory. */
bool held_add(struct held *h, const void *bytes, size_t len);

/*
 * held_write() - write as much to @fd as it takes. Return: 1 nothing is left, 0 the rest waits, -1 @fd is
 * broken.
 */
int held_write(struct held *h, int fd, size_t *ret_written);

void held_free(struct held *h);
