#pragma once
/*
 * A client of the agent's engine for tests: sends frames, reads frames.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/protocol_request.h"
#include "tests/unit/guest/engine.h"
#include "tests/unit/run.h"

struct talk {
        int fd;
        struct protocol_frame frame; /* the last one that was read */
        uint8_t bytes[PROTOCOL_DATA_MAX + 1];
        struct protocol_error error; /* of the last ERROR */
};

static inline void talk_send(struct talk *t, const void *bytes, size_t len)
{
        ck_assert_int_eq(send(t->fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void talk_frame(struct talk *t, enum protocol_type type, uint32_t id, const void *payload,
                              size_t len)
{
        struct protocol_frame frame = { .type = type, .id = id, .len = (uint32_t)len };
        uint8_t head[PROTOCOL_HEADER_SIZE];

        talk_send(t, head, protocol_put_header(head, &frame));
        if (len)
                talk_send(t, payload, len);
}

/* Return: false at the end of the connection. */
static inline bool talk_next(struct talk *t)
{
        uint8_t head[PROTOCOL_HEADER_SIZE];

        if (recv(t->fd, head, sizeof(head), MSG_WAITALL) != sizeof(head))
                return false;
        ck_assert_int_eq(protocol_parse_header(head, sizeof(head), PROTOCOL_FROM_AGENT, &t->frame), 0);
        ck_assert(!t->frame.len || recv(t->fd, t->bytes, t->frame.len, MSG_WAITALL) == (ssize_t)t->frame.len);
        t->bytes[t->frame.len] = 0;
        if (t->frame.type == PROTOCOL_ERROR)
                ck_assert_int_eq(protocol_parse_error(t->bytes, t->frame.len, &t->error), 0);
        return true;
}

static inline void talk_expect(struct talk *t, enum protocol_type type, uint32_t id)
{
        ck_assert_msg(talk_next(t), "the connection was closed instead of frame %#x", (unsigned)type);
        ck_assert_msg(t->frame.type == type, "frame %#x instead of %#x: %s", (unsigned)t->frame.type,
                      (unsigned)type, (const char *)t->bytes + 8);
        ck_assert_uint_eq(t->frame.id, id);
}

static inline void talk_expect_error(struct talk *t, uint32_t id, uint32_t code)
{
        talk_expect(t, PROTOCOL_ERROR, id);
        ck_assert_msg(t->error.code == code, "error %u instead of %u: %s", t->error.code, code,
                      (const char *)t->bytes + 8);
}

static inline void talk_open(struct talk *t, const struct engine *e)
{
        uint8_t hello[PROTOCOL_SMALL_MAX];

        t->fd = engine_connect(e);
        talk_send(t, hello, protocol_put_hello(hello, 0));
        talk_expect(t, PROTOCOL_WELCOME, 0);
}
