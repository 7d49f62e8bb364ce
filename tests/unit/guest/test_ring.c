/*
 * Rings: readers in several places, records across the end, what is given up and what is held.
 */
#include "guest/ring.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"

static struct ring ring;
static uint64_t written; /* bytes, each its number's remainder: what comes out can be told */

/* Writes up to @len bytes as one record. Return: bytes, 0 = there is no room. */
static size_t put(enum ring_stream stream, size_t len, uint64_t hold)
{
        size_t room;
        uint8_t *to = ring_room(&ring, hold, &room);

        if (!to)
                return 0;
        ck_assert_uint_gt(room, 0);
        ck_assert_uint_le(room, RING_CHUNK);
        len = len < room ? len : room;
        for (size_t i = 0; i < len; i++)
                to[i] = (uint8_t)((written + i) % 251);
        written += len;
        ring_add(&ring, stream, len);
        return len;
}

/* Reads all that follows. Return: bytes. */
static uint64_t drain(struct ring_place *place)
{
        static uint8_t bytes[RING_CHUNK];
        enum ring_stream stream;
        uint64_t sum = 0;
        size_t n;

        for (;;) {
                uint64_t from = place->bytes;

                n = ring_read(&ring, place, bytes, sizeof(bytes), &stream);
                if (!n)
                        return sum;
                ck_assert_uint_eq(place->bytes, from + n);
                for (size_t i = 0; i < n; i++) {
                        if (bytes[i] != (from + i) % 251)
                                ck_abort_msg("byte %zu is wrong", (size_t)from + i);
                }
                sum += n;
        }
}

START_TEST(test_order)
{
        static uint8_t bytes[RING_CHUNK];
        struct ring_place place = { 0 };
        enum ring_stream stream;

        ck_assert(ring_new(&ring));
        ck_assert_uint_eq(put(RING_STDOUT, 5, UINT64_MAX), 5);
        ck_assert_uint_eq(put(RING_STDOUT, 3, UINT64_MAX), 3);
        ck_assert_uint_eq(put(RING_STDERR, 1, UINT64_MAX), 1);
        ck_assert_uint_eq(put(RING_STDOUT, 2, UINT64_MAX), 2);
        /* neighbours of one stream come together, streams stay in order */
        ck_assert_uint_eq(ring_read(&ring, &place, bytes, sizeof(bytes), &stream), 8);
        ck_assert_int_eq(stream, RING_STDOUT);
        ck_assert_uint_eq(ring_read(&ring, &place, bytes, sizeof(bytes), &stream), 1);
        ck_assert_int_eq(stream, RING_STDERR);
        ck_assert_uint_eq(ring_read(&ring, &place, bytes, sizeof(bytes), &stream), 2);
        ck_assert_int_eq(stream, RING_STDOUT);
        ck_assert_uint_eq(ring_read(&ring, &place, bytes, sizeof(bytes), &stream), 0);
        ck_assert_uint_eq(place.at, ring_newest(&ring).at);
        ring_free(&ring);
}
END_TEST

START_TEST(test_hold)
{
        struct ring_place slow = { 0 }, fast = { 0 };
        uint64_t before;

        ck_assert(ring_new(&ring));
        written = 0;
        while (put(RING_STDOUT, RING_CHUNK, slow.at)) /* it is full when a reader wants all of it */
                drain(&fast);
        ck_assert_uint_gt(written, RING_KEEPS);
        ck_assert_uint_le(written, RING_SIZE);
        before = written;
        ck_assert_uint_eq(put(RING_STDOUT, 1, slow.at), 0);
        ck_assert_uint_eq(drain(&slow), written);
        ck_assert_uint_gt(put(RING_STDOUT, RING_CHUNK, slow.at), 0);
        ck_assert_uint_gt(written, before);
        ck_assert_uint_eq(ring_skip(&ring, &slow), 0);
        ring_free(&ring);
}
END_TEST

START_TEST(test_loss)
{
        struct ring_place lossy = { 0 }, late;
        uint64_t lost, got = 0, told = 0;

        ck_assert(ring_new(&ring));
        written = 0;
        srand(1);
        for (int i = 0; i < 5000; i++) { /* records of all lengths, readers at all places */
                ck_assert_uint_gt(put(rand() % 2 ? RING_STDOUT : RING_STDERR,
                                      1 + (size_t)rand() % (rand() % 10 ? 100 : RING_CHUNK), UINT64_MAX),
                                  0);
                if (rand() % 40)
                        continue;
                lost = ring_skip(&ring, &lossy);
                told += lost;
                got += drain(&lossy);
                ck_assert_uint_eq(got + told, written);
        }
        ck_assert_uint_gt(told, 0);
        late = ring_oldest(&ring);
        ck_assert_uint_eq(ring_skip(&ring, &late), 0);
        got = drain(&late);
        ck_assert_uint_gt(got, RING_KEEPS / 2);
        ck_assert_uint_eq(late.bytes, written);
        ring_free(&ring);
}
END_TEST

/* The smallest records cost most: still nothing is lost for who holds, and the end of the circle is met. */
START_TEST(test_small_records)
{
        struct ring_place place = { 0 };
        uint64_t got = 0;

        ck_assert(ring_new(&ring));
        written = 0;
        for (int i = 0; i < 300000; i++) {
                if (!put(RING_STDOUT, 1, place.at)) {
                        got += drain(&place);
                        ck_assert_uint_eq(put(RING_STDOUT, 1, place.at), 1);
                }
        }
        ck_assert_uint_eq(got + drain(&place), 300000);
        ring_free(&ring);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_order, test_hold, test_loss, test_small_records };

        return run_tests("ring", tests, array_size(tests));
}
