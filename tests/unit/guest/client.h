#pragma once
/*
 * A client of the engine that may do anything, one connection at a time: c is the one that is spoken to.
 */
#include <check.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/protocol_request.h"
#include "tests/unit/guest/engine.h"

#define MAYBE_UNUSED __attribute__((unused))

static struct engine engine;

struct client {
        int fd;
        struct protocol_frame frame; /* the last one */
        uint8_t bytes[PROTOCOL_DATA_MAX + 1];
        char out[4096], err[4096]; /* of the last command */
        struct protocol_started started;
        uint64_t lost;
        struct protocol_exit exit;
        struct protocol_error error;
        bool failed; /* error is set, not exit */
};

static struct client c;

MAYBE_UNUSED static void send_all(const void *bytes, size_t len)
{
        ck_assert_int_eq(send(c.fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Reads exactly @len bytes. Return: false at the end of the stream. */
MAYBE_UNUSED static bool receive_all(void *to, size_t len)
{
        for (size_t at = 0; at < len;) {
                ssize_t n = recv(c.fd, (char *)to + at, len - at, 0);

                if (n <= 0)
                        return false;
                at += (size_t)n;
        }
        return true;
}

MAYBE_UNUSED static bool next_frame(void)
{
        uint8_t head[PROTOCOL_HEADER_SIZE];

        if (!receive_all(head, sizeof(head)))
                return false;
        ck_assert_int_eq(protocol_parse_header(head, sizeof(head), PROTOCOL_FROM_AGENT, &c.frame), 0);
        ck_assert(receive_all(c.bytes, c.frame.len));
        return true;
}

MAYBE_UNUSED static void expect_frame(enum protocol_type type, uint32_t id)
{
        ck_assert_msg(next_frame(), "the connection was closed instead of frame %#x", (unsigned)type);
        ck_assert_msg(c.frame.type == type, "frame %#x instead of %#x: %.*s", (unsigned)c.frame.type,
                      (unsigned)type, (int)c.frame.len, (const char *)c.bytes + 8);
        ck_assert_uint_eq(c.frame.id, id);
}

/* The connection ends with an ERROR of @code. */
MAYBE_UNUSED static void expect_refusal(uint32_t code)
{
        expect_frame(PROTOCOL_ERROR, 0);
        ck_assert_int_eq(protocol_parse_error(c.bytes, c.frame.len, &c.error), 0);
        ck_assert_uint_eq(c.error.code, code);
        ck_assert(!next_frame());
}

MAYBE_UNUSED static void send_hello(void)
{
        uint8_t frame[PROTOCOL_SMALL_MAX];

        send_all(frame, protocol_put_hello(frame, 0));
}

MAYBE_UNUSED static void open_client(void)
{
        c.fd = engine_connect(&engine);
        send_hello();
        expect_frame(PROTOCOL_WELCOME, 0);
}

MAYBE_UNUSED static void begin(void)
{
        engine_start(&engine, NULL);
        open_client();
}

MAYBE_UNUSED static void end(void)
{
        close(c.fd);
        engine_stop(&engine);
}

MAYBE_UNUSED static void send_exec(uint32_t id, uint32_t flags, const struct protocol_exec_request *more,
                                   const char *script)
{
        static uint8_t frame[PROTOCOL_HEADER_SIZE + PROTOCOL_EXEC_MAX];
        const char *args[] = { "sh", "-c", script, NULL };
        struct protocol_exec_request req = more ? *more : (struct protocol_exec_request){ 0 };
        size_t size;

        req.id = id;
        req.flags = flags;
        if (script)
                req.args = args;
        ck_assert_int_eq(protocol_build_exec(frame, &req, &size), 0);
        send_all(frame, size);
}

MAYBE_UNUSED static void send_stdin(uint32_t id, const void *bytes, uint32_t len, bool last)
{
        struct protocol_frame frame = {
                .type = PROTOCOL_STDIN, .id = id, .len = len, .flags = last ? PROTOCOL_STDIN_END : 0
        };
        uint8_t head[PROTOCOL_HEADER_SIZE];

        protocol_put_header(head, &frame);
        send_all(head, sizeof(head));
        if (len)
                send_all(bytes, len);
}

MAYBE_UNUSED static void append(char *to, size_t size)
{
        size_t have = strlen(to), n = c.frame.len < size - have - 1 ? c.frame.len : size - have - 1;

        memcpy(to + have, c.bytes, n);
        to[have + n] = 0;
}

/* Reads frames of one command up to its last. */
MAYBE_UNUSED static void finish(uint32_t id)
{
        c.out[0] = c.err[0] = 0;
        c.lost = 0;
        for (;;) {
                ck_assert(next_frame());
                ck_assert_uint_eq(c.frame.id, id);
                if (c.frame.type == PROTOCOL_STDOUT)
                        append(c.out, sizeof(c.out));
                if (c.frame.type == PROTOCOL_STDERR)
                        append(c.err, sizeof(c.err));
                if (c.frame.type == PROTOCOL_STARTED)
                        ck_assert_int_eq(protocol_parse_started(c.bytes, c.frame.len, &c.started), 0);
                if (c.frame.type == PROTOCOL_LOST) {
                        uint64_t lost = 0;

                        ck_assert_int_eq(protocol_parse_u64(c.bytes, c.frame.len, &lost), 0);
                        c.lost += lost;
                }
                c.failed = c.frame.type == PROTOCOL_ERROR;
                if (c.failed)
                        ck_assert_int_eq(protocol_parse_error(c.bytes, c.frame.len, &c.error), 0);
                if (c.frame.type == PROTOCOL_EXIT)
                        ck_assert_int_eq(protocol_parse_exit(c.bytes, c.frame.len, &c.exit), 0);
                if (c.failed || c.frame.type == PROTOCOL_EXIT)
                        return;
        }
}

MAYBE_UNUSED static void run(const char *script)
{
        send_exec(5, 0, NULL, script);
        finish(5);
        ck_assert_msg(!c.failed, "%.*s", (int)c.error.text_len, c.error.text);
}
