/*
 * The wire: frames in pieces, limits of their lengths, what waits when nobody reads.
 */
#include "net/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/bytes.h"
#include "net/frame_parse.h"
#include "tests/unit/run.h"

struct end {
        struct loop *loop;
        struct stream *stream;
        int peer;
        unsigned frames, rooms, ends;
        size_t last_len;
        uint8_t last_byte;
        int error;
};

static void on_frame(void *owner, const uint8_t *bytes, size_t n)
{
        struct end *e = owner;

        e->frames++;
        e->last_len = n;
        e->last_byte = n ? bytes[n - 1] : 0;
}

static void on_room(void *owner)
{
        struct end *e = owner;

        e->rooms++;
}

static void on_end(void *owner, int error)
{
        struct end *e = owner;

        e->ends++;
        e->error = error;
}

static int on_stop(struct loop_timer *timer)
{
        (void)timer;
        return -ECANCELED;
}

/* What there is to do now, a few rounds of it. */
static void turn(struct end *e)
{
        struct loop_timer stop = { .call = on_stop };

        loop_timer_set(e->loop, &stop, 20000000);
        ck_assert_int_eq(loop_run(e->loop), -ECANCELED);
}

static void set_up(struct end *e)
{
        static const struct stream_ops ops = { .on_frame = on_frame, .on_room = on_room, .on_end = on_end };
        int ends[2];

        *e = (struct end){ 0 };
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
        ck_assert(!loop_new(&e->loop));
        ck_assert(!stream_new(e->loop, ends[0], &ops, e, &e->stream));
        e->peer = ends[1];
}

static void tear_down(struct end *e)
{
        stream_free(e->stream);
        loop_free(e->loop);
        fd_closep(&e->peer);
}

static void put(struct end *e, size_t len, size_t cut)
{
        static uint8_t bytes[100000];
        size_t all = 4 + STREAM_VNET_LEN + len, first = cut < all ? cut : all;

        memset(bytes, 7, sizeof(bytes));
        memset(bytes, 0, 4 + STREAM_VNET_LEN);
        bytes_put32(bytes, (uint32_t)(STREAM_VNET_LEN + len));
        ck_assert_int_eq(send(e->peer, bytes, first, 0), (ssize_t)first);
        if (first == all)
                return;
        turn(e);
        ck_assert_int_eq(send(e->peer, bytes + first, all - first, 0), (ssize_t)(all - first));
}

START_TEST(test_frames_in)
{
        struct end e;

        set_up(&e);
        for (size_t cut = 1; cut < 30; cut += 4) {
                put(&e, 60, cut);
                turn(&e);
                ck_assert_uint_eq(e.last_len, 60);
                ck_assert_uint_eq(e.last_byte, 7);
        }
        ck_assert_uint_eq(e.frames, 8);
        put(&e, 0, SIZE_MAX);
        put(&e, FRAME_MAX, SIZE_MAX);
        put(&e, 1, SIZE_MAX);
        turn(&e);
        ck_assert_uint_eq(e.frames, 11);
        ck_assert_uint_eq(e.last_len, 1);
        ck_assert_uint_eq(e.ends, 0);
        put(&e, FRAME_MAX + 1, SIZE_MAX);
        turn(&e);
        ck_assert_uint_eq(e.frames, 11);
        ck_assert_uint_eq(e.ends, 1);
        ck_assert_int_eq(e.error, -EPROTO);
        tear_down(&e);
}
END_TEST

START_TEST(test_too_short)
{
        static const uint8_t bytes[15] = { 0, 0, 0, STREAM_VNET_LEN - 1 };
        struct end e;

        set_up(&e);
        ck_assert_int_eq(send(e.peer, bytes, sizeof(bytes), 0), sizeof(bytes));
        turn(&e);
        ck_assert_int_eq(e.error, -EPROTO);
        tear_down(&e);
}
END_TEST

/* Segments to be cut were never offered. */
START_TEST(test_offload)
{
        static const uint8_t bytes[4 + STREAM_VNET_LEN + 4] = { 0, 0, 0, STREAM_VNET_LEN + 4, 1, 1 };
        struct end e;

        set_up(&e);
        ck_assert_int_eq(send(e.peer, bytes, sizeof(bytes), 0), sizeof(bytes));
        put(&e, 60, SIZE_MAX);
        turn(&e);
        ck_assert_uint_eq(e.frames, 1);
        ck_assert_uint_eq(stream_stats(e.stream).refused_in, 1);
        tear_down(&e);
}
END_TEST

START_TEST(test_end)
{
        struct end e;

        set_up(&e);
        fd_closep(&e.peer);
        turn(&e);
        ck_assert_uint_eq(e.ends, 1);
        ck_assert_int_eq(e.error, 0);
        ck_assert(!stream_send(e.stream, NULL, 0, STREAM_SMALL));
        tear_down(&e);
}
END_TEST

static bool send_one(struct end *e, uint32_t number, size_t len, enum stream_kind kind)
{
        static uint8_t bytes[FRAME_MAX + 1];
        const struct iovec parts[2] = { { &number, 4 }, { bytes, len - 4 } };

        return stream_send(e->stream, parts, 2, kind);
}

/* Nobody reads: bulk is refused first, answers later; then all that was taken comes, whole and in order. */
START_TEST(test_full)
{
        static const size_t sizes[] = { 60, 9000, FRAME_MAX, 200 };
        unsigned bulk = 0, small = 0, got = 0;
        static uint8_t bytes[FRAME_MAX + 16];
        struct end e;

        set_up(&e);
        ck_assert(!send_one(&e, 0, FRAME_MAX + 1, STREAM_BULK));
        while (send_one(&e, bulk, sizes[bulk % 4], STREAM_BULK))
                bulk++;
        while (send_one(&e, bulk + small, sizes[small % 2], STREAM_SMALL))
                small++;
        ck_assert_uint_gt(bulk, 20);
        ck_assert_uint_gt(small, 20);
        ck_assert_uint_eq(stream_stats(e.stream).dropped_out, 1);
        turn(&e);
        ck_assert_uint_eq(e.rooms, 0);
        while (got < bulk + small) {
                uint32_t number;
                size_t len;

                if (recv(e.peer, bytes, 16, MSG_DONTWAIT | MSG_PEEK) < 16) {
                        turn(&e);
                        continue;
                }
                ck_assert_int_eq(recv(e.peer, bytes, 16, MSG_WAITALL), 16);
                len = bytes_get32(bytes) - STREAM_VNET_LEN;
                ck_assert_uint_eq(bytes[4], 2);
                for (size_t at = 0; at < len;) {
                        ssize_t n = recv(e.peer, bytes + at, len - at, MSG_DONTWAIT);

                        if (n > 0)
                                at += (size_t)n;
                        else
                                turn(&e);
                }
                memcpy(&number, bytes, 4);
                ck_assert_uint_eq(number, got);
                ck_assert_uint_eq(len, got < bulk ? sizes[got % 4] : sizes[(got - bulk) % 2]);
                got++;
        }
        turn(&e);
        ck_assert_uint_eq(e.rooms, 1);
        ck_assert(send_one(&e, 0, 60, STREAM_BULK));
        tear_down(&e);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_frames_in, test_too_short, test_offload, test_end, test_full };

        return run_tests("stream", tests, array_size(tests));
}
