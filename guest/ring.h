/*
 * Rings: the last output of a command, for readers that come and go.
 *
 * A ring holds records, each of one stream; a reader keeps its own place, counted from the first byte that
 * was ever written, and always between two records. What is oldest makes room for what is new.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RING_KEEPS (256u << 10)              /* bytes that are still there however little is read at a time */
#define RING_CHUNK (32u << 10)               /* of a record */
#define RING_SIZE  (RING_KEEPS + RING_CHUNK) /* the room that the next record needs comes on top */

enum ring_stream { RING_STDOUT, RING_STDERR };

struct ring {
        uint8_t *bytes;                  /* NULL = there is none */
        uint64_t head, tail;             /* of records with their heads */
        uint64_t head_bytes, tail_bytes; /* of what is in them */
        char *label;                     /* RING_LABEL bytes for the owner */
};

/* A reader's place. */
struct ring_place {
        uint64_t at, bytes;
};

#define RING_LABEL 1280u

/* ring_new() - Return: false without memory. */
bool ring_new(struct ring *r);
void ring_free(struct ring *r);

struct ring_place ring_oldest(const struct ring *r);
struct ring_place ring_newest(const struct ring *r);

/*
 * ring_room() - where the bytes of the next record go.
 * @hold: nothing from this place on is given up; UINT64_MAX = all may be.
 * Return: NULL if there is no room, or @ret_len bytes.
 */
uint8_t *ring_room(struct ring *r, uint64_t hold, size_t *ret_len);

/* ring_add() - @len bytes of @stream, not 0, were put where ring_room() said. */
void ring_add(struct ring *r, enum ring_stream stream, size_t len);

/*
 * ring_skip() - move a place that the ring no longer has to the oldest it has. Return: bytes that were lost.
 */
uint64_t ring_skip(const struct ring *r, struct ring_place *place);

/*
 * ring_read() - copy what follows @place in one stream, and move it on.
 * @size: at least RING_CHUNK. Return: bytes, 0 = there is no more.
 */
size_t ring_read(const struct ring *r, struct ring_place *place, uint8_t *to, size_t size,
                 enum ring_stream *ret_stream);
