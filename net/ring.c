/*
 * Rings of bytes.
 * Input:  bytes that are passed on unread.
 * Runs:   loop thread.
 * Limits: RING_SIZE bytes each; SPARE_MAX of them are kept for the next one.
 */
#include "net/ring.h"

#include <stdlib.h>
#include <string.h>

#include "vmm/base/assert.h"

/* A connection in motion fills and empties its ring all the time: its memory is not given back each time. */
#define SPARE_MAX 16u

static uint8_t *spare[SPARE_MAX];
static unsigned nr_spare;

static bool prepare(struct ring *r)
{
        if (!r->bytes)
                r->bytes = nr_spare ? spare[--nr_spare] : malloc(RING_SIZE);
        return r->bytes;
}

void ring_fini(struct ring *r)
{
        if (r->bytes && nr_spare < SPARE_MAX)
                spare[nr_spare++] = r->bytes;
        else
                free(r->bytes);
        *r = (struct ring){ 0 };
}

uint8_t *ring_room(struct ring *r, size_t *n)
{
        size_t end = (r->at + r->len) & (RING_SIZE - 1), room = RING_SIZE - r->len;

        if (!prepare(r))
                return NULL;
        *n = room < RING_SIZE - end ? room : RING_SIZE - end;
        return r->bytes + end;
}

const uint8_t *ring_data(const struct ring *r, size_t skip, size_t *n)
{
        size_t at = (r->at + skip) & (RING_SIZE - 1), left = r->len - skip;

        *n = left < RING_SIZE - at ? left : RING_SIZE - at;
        return r->bytes + at;
}

void ring_drop(struct ring *r, size_t n)
{
        ASSERT(n <= r->len);
        r->at = (r->at + n) & (RING_SIZE - 1);
        r->len -= n;
        if (!r->len)
                ring_fini(r);
}

bool ring_append(struct ring *r, const uint8_t *bytes, size_t n)
{
        if (n > RING_SIZE - r->len)
                return false;
        while (n) {
                size_t part;
                uint8_t *to = ring_room(r, &part);

                if (!to)
                        return false;
                if (part > n)
                        part = n;
                memcpy(to, bytes, part);
                ring_put(r, part);
                bytes += part;
                n -= part;
        }
        return true;
}
