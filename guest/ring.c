/*
 * Rings: records of output behind each other in a circle.
 * Input:  output of commands (hostile), never looked at.
 * Runs:   the agent's only thread.
 * Limits: RING_SIZE bytes a ring.
 *
 * A record is a head of four bytes, its stream and length, and its bytes, filled up to a multiple of four:
 * so a head never lies across the end of the circle. Bytes may.
 */
#include "guest/ring.h"

#include <string.h>
#include <sys/mman.h>

#define HEAD   4u
#define STREAM 0x80000000u /* bit of a head: standard error */

static size_t padded(size_t len)
{
        return (len + 3) & ~(size_t)3;
}

static uint32_t head_at(const struct ring *r, uint64_t at)
{
        uint32_t head;

        memcpy(&head, r->bytes + at % RING_SIZE, sizeof(head));
        return head;
}

bool ring_new(struct ring *r)
{
        void *bytes = mmap(NULL, RING_SIZE + RING_LABEL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                           -1, 0);

        if (bytes == MAP_FAILED)
                return false;
        *r = (struct ring){ .bytes = bytes, .label = (char *)bytes + RING_SIZE };
        return true;
}

void ring_free(struct ring *r)
{
        if (r->bytes)
                munmap(r->bytes, RING_SIZE + RING_LABEL);
        *r = (struct ring){ 0 };
}

struct ring_place ring_oldest(const struct ring *r)
{
        return (struct ring_place){ r->tail, r->tail_bytes };
}

struct ring_place ring_newest(const struct ring *r)
{
        return (struct ring_place){ r->head, r->head_bytes };
}

uint8_t *ring_room(struct ring *r, uint64_t hold, size_t *ret_len)
{
        while (RING_SIZE - (r->head - r->tail) < HEAD + RING_CHUNK && r->tail < r->head && r->tail < hold) {
                size_t len = head_at(r, r->tail) & ~STREAM;

                r->tail += HEAD + padded(len);
                r->tail_bytes += len;
        }

        size_t room = (size_t)(RING_SIZE - (r->head - r->tail));
        size_t start = (r->head + HEAD) % RING_SIZE;

        if (room <= HEAD)
                return NULL;
        room -= HEAD;
        room = room < RING_CHUNK ? room : RING_CHUNK;
        *ret_len = room < RING_SIZE - start ? room : RING_SIZE - start;
        return r->bytes + start;
}

void ring_add(struct ring *r, enum ring_stream stream, size_t len)
{
        uint32_t head = (uint32_t)len | (stream == RING_STDERR ? STREAM : 0);

        memcpy(r->bytes + r->head % RING_SIZE, &head, sizeof(head));
        r->head += HEAD + padded(len);
        r->head_bytes += len;
}

uint64_t ring_skip(const struct ring *r, struct ring_place *place)
{
        uint64_t lost = place->at < r->tail ? r->tail_bytes - place->bytes : 0;

        if (place->at < r->tail)
                *place = ring_oldest(r);
        return lost;
}

static void copy_out(const struct ring *r, uint64_t at, uint8_t *to, size_t len)
{
        size_t start = at % RING_SIZE, first = len < RING_SIZE - start ? len : RING_SIZE - start;

        memcpy(to, r->bytes + start, first);
        memcpy(to + first, r->bytes, len - first);
}

size_t ring_read(const struct ring *r, struct ring_place *place, uint8_t *to, size_t size,
                 enum ring_stream *ret_stream)
{
        size_t n = 0;
        uint32_t stream = 0;

        while (place->at < r->head) {
                uint32_t head = head_at(r, place->at);
                size_t len = head & ~STREAM;

                if (n && ((head & STREAM) != stream || len > size - n))
                        break;
                stream = head & STREAM;
                copy_out(r, place->at + HEAD, to + n, len);
                n += len;
                place->at += HEAD + padded(len);
                place->bytes += len;
        }
        *ret_stream = stream ? RING_STDERR : RING_STDOUT;
        return n;
}
