#pragma once
/*
 * Bytes on their way through: a ring of STACK_WINDOW bytes, which has memory only while there is something in it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/compiler.h"

#define RING_SIZE (256u << 10) /* STACK_WINDOW; a power of two */

struct ring {
        uint8_t *bytes; /* NULL: empty, and without memory */
        size_t at, len; /* the first one, and how many */
};

/* Return: the place for the next bytes, and *n how many fit in one piece (0: full); NULL: out of memory */
uint8_t *ring_room(struct ring *r, size_t *n);
static inline void ring_put(struct ring *r, size_t n)
{
        r->len += n;
}
/* Return: those from the @skip'th on, and *n how many lie in one piece */
const uint8_t *ring_data(const struct ring *r, size_t skip, size_t *n);
/* They are done with. */
void ring_drop(struct ring *r, size_t n);
void ring_fini(struct ring *r);
/* ring_append() - all of them. Return: false: out of room or memory; nothing was put. */
bool must_check ring_append(struct ring *r, const uint8_t *bytes, size_t n);
