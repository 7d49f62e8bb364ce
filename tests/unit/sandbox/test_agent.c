/*
 * The agent's client: fed with what an agent says, and with what none would.
 */
#include "sandbox/agent.h"

#include <string.h>

#include "tests/unit/run.h"

static struct agent *a;
static struct agent_event event;

static int exec_with(uint32_t flags)
{
        const char *args[] = { "cat", NULL };
        const struct protocol_exec_request req = { .flags = flags, .args = args };

        return agent_exec(a, &req);
}

static void begin(void)
{
        ck_assert_int_eq(agent_new(&a), 0);
        ck_assert_int_eq(exec_with(PROTOCOL_EXEC_STDIN), 0);
}

static int feed(const void *bytes, size_t len)
{
        size_t room;
        uint8_t *to = agent_room(a, &room);

        ck_assert_uint_ge(room, len);
        memcpy(to, bytes, len);
        agent_fed(a, len);
        return agent_next(a, &event);
}

static int feed_frame(enum protocol_type type, uint32_t id, const void *payload, uint32_t len)
{
        const struct protocol_frame frame = { .type = type, .id = id, .len = len };
        uint8_t bytes[PROTOCOL_HEADER_SIZE + 4096];

        protocol_put_header(bytes, &frame);
        memcpy(bytes + PROTOCOL_HEADER_SIZE, payload, len);
        return feed(bytes, PROTOCOL_HEADER_SIZE + len);
}

static int feed_welcome(uint32_t window)
{
        const struct protocol_welcome w = {
                .version = 1, .stdin_window = window, .release = "1", .message = ""
        };
        uint8_t bytes[PROTOCOL_SMALL_MAX];

        return feed(bytes, protocol_put_welcome(bytes, &w));
}

static int feed_exit(uint32_t id)
{
        const struct protocol_exit e = { .value = 3 };
        uint8_t bytes[PROTOCOL_SMALL_MAX];

        return feed(bytes, protocol_put_exit(bytes, id, &e));
}

static int feed_window(uint32_t id, uint32_t n)
{
        uint8_t bytes[PROTOCOL_SMALL_MAX];

        return feed(bytes, protocol_put_window(bytes, id, n));
}

/* Connected and welcomed. */
static void begin_talk(void)
{
        begin();
        ck_assert_int_eq(feed("OK 1\n", 5), 0);
        ck_assert_int_eq(feed_welcome(1000), 0);
        ck_assert_int_eq(event.kind, AGENT_WELCOME);
}

/* All that may be said without waiting is said at once. */
START_TEST(test_first_bytes)
{
        struct protocol_frame frame;
        size_t len;

        begin();
        const uint8_t *out = agent_out(a, &len);

        ck_assert_mem_eq(out, "CONNECT 1024\n", 13);
        ck_assert_int_eq(protocol_parse_header(out + 13, len - 13, PROTOCOL_FROM_CLIENT, &frame), 0);
        ck_assert_int_eq(frame.type, PROTOCOL_HELLO);
        out += 13 + PROTOCOL_HEADER_SIZE + frame.len;
        ck_assert_int_eq(protocol_parse_header(out, len, PROTOCOL_FROM_CLIENT, &frame), 0);
        ck_assert_int_eq(frame.type, PROTOCOL_EXEC);
        agent_sent(a, len);
        agent_out(a, &len);
        ck_assert_uint_eq(len, 0);
        ck_assert_uint_eq(agent_stdin_room(a), 0); /* nobody has told the window */
        agent_free(a);
}
END_TEST

START_TEST(test_a_command)
{
        begin_talk();
        ck_assert(agent_is_connected(a));
        ck_assert_int_eq(feed_frame(PROTOCOL_STDOUT, 1, "out", 3), 0);
        ck_assert_int_eq(event.kind, AGENT_STDOUT);
        ck_assert_mem_eq(event.bytes, "out", 3);
        ck_assert_int_eq(feed_frame(PROTOCOL_STDERR, 1, "e", 1), 0);
        ck_assert_int_eq(event.kind, AGENT_STDERR);
        ck_assert_int_eq(feed_exit(1), 0);
        ck_assert_int_eq(event.kind, AGENT_EXIT);
        ck_assert_uint_eq(event.exit.value, 3);
        ck_assert_uint_eq(agent_stdin_room(a), 0);
        ck_assert_int_eq(exec_with(PROTOCOL_EXEC_STDIN),
                         0); /* the same connection again, with a whole window */
        ck_assert_uint_eq(agent_stdin_room(a), 1000);
        ck_assert_int_eq(feed_exit(1), AGENT_E_ORDER);
        agent_free(a);
}
END_TEST

START_TEST(test_window)
{
        static const char bytes[1000];
        size_t len;

        begin_talk();
        ck_assert_uint_eq(agent_stdin_room(a), 1000);
        ck_assert_int_eq(agent_stdin(a, bytes, 1000, false), 0);
        ck_assert_uint_eq(agent_stdin_room(a), 0);
        ck_assert_int_eq(feed_window(1, 400), 0);
        ck_assert_uint_eq(agent_stdin_room(a), 400);
        ck_assert_int_eq(agent_stdin(a, bytes, 0, true), 0);
        ck_assert_uint_eq(agent_stdin_room(a), 0);
        agent_out(a, &len);
        agent_sent(a, len);
        ck_assert_int_eq(agent_stdin(a, bytes, 10, false), 0); /* after the end: nothing is sent */
        agent_out(a, &len);
        ck_assert_uint_eq(len, 0);
        ck_assert_int_eq(feed_window(1, 601), PROTOCOL_E_VALUE);
        agent_free(a);
}
END_TEST

START_TEST(test_bytes_in_pieces)
{
        uint8_t frame[PROTOCOL_SMALL_MAX];
        const struct protocol_welcome w = { .version = 1, .stdin_window = 5, .release = "r", .message = "m" };
        size_t len = protocol_put_welcome(frame, &w);

        begin();
        for (const char *c = "OK 123\n"; *c; c++) {
                ck_assert(!agent_is_connected(a));
                ck_assert_int_eq(feed(c, 1), 0);
        }
        for (size_t i = 0; i < len; i++) {
                ck_assert_int_eq(event.kind, AGENT_NOTHING);
                ck_assert_int_eq(feed(frame + i, 1), 0);
        }
        ck_assert_int_eq(event.kind, AGENT_WELCOME);
        ck_assert_str_eq(event.welcome.message, "m");
        agent_free(a);
}
END_TEST

START_TEST(test_not_an_agent)
{
        static const char *const lines[] = { "HTTP/1.1 200\r\n", "NO", "\n",
                                             "OK 0123456789012345678901234567890" };

        for (size_t i = 0; i < array_size(lines); i++) {
                begin();
                ck_assert_msg(feed(lines[i], strlen(lines[i])) == AGENT_E_NOT_VSOCK, "%s", lines[i]);
                ck_assert_ptr_nonnull(agent_strerror(AGENT_E_NOT_VSOCK));
                agent_free(a);
        }
        begin();
        ck_assert_int_eq(feed("OK 1\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 21), PROTOCOL_E_TYPE);
        agent_free(a);
}
END_TEST

START_TEST(test_out_of_order)
{
        begin();
        ck_assert_int_eq(feed("OK 1\n", 5), 0);
        ck_assert_int_eq(feed_frame(PROTOCOL_STDOUT, 1, "x", 1), AGENT_E_ORDER);
        agent_free(a);

        begin_talk();
        ck_assert_int_eq(feed_welcome(1), AGENT_E_ORDER);
        agent_free(a);

        begin_talk();
        ck_assert_int_eq(feed_frame(PROTOCOL_STDOUT, 2, "x", 1), AGENT_E_ORDER);
        agent_free(a);

        begin();
        ck_assert_int_eq(feed("OK 1\n", 5), 0);
        ck_assert_int_eq(feed_welcome((1u << 20) + 1), PROTOCOL_E_VALUE);
        agent_free(a);
}
END_TEST

START_TEST(test_errors)
{
        uint8_t frame[PROTOCOL_SMALL_MAX];

        begin_talk();
        ck_assert_int_eq(feed(frame, protocol_put_error(frame, 1, PROTOCOL_FAULT_NOT_FOUND, 2, "no")), 0);
        ck_assert_int_eq(event.kind, AGENT_ERROR);
        ck_assert_uint_eq(event.error.code, PROTOCOL_FAULT_NOT_FOUND);
        ck_assert_int_eq(feed_exit(1), AGENT_E_ORDER);
        agent_free(a);

        begin(); /* turned away before a WELCOME */
        ck_assert_int_eq(feed("OK 1\n", 5), 0);
        ck_assert_int_eq(feed(frame, protocol_put_error(frame, 0, PROTOCOL_FAULT_CROWDED, 0, "full")), 0);
        ck_assert_int_eq(event.kind, AGENT_ERROR);
        ck_assert_uint_eq(event.id, 0);
        agent_free(a);
}
END_TEST

START_TEST(test_limits)
{
        const char *none[] = { NULL };
        const struct protocol_exec_request req = { .args = none };

        ck_assert_int_eq(agent_new(&a), 0);
        ck_assert_int_eq(agent_exec(a, &req), PROTOCOL_E_COUNT);
        ck_assert_int_eq(agent_shutdown(a, PROTOCOL_POWER_OFF, 5), 0);
        agent_free(a);
        agent_free(NULL);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_first_bytes,  test_a_command,    test_window, test_bytes_in_pieces,
                test_not_an_agent, test_out_of_order, test_errors, test_limits,
        };

        return run_tests("agent", tests, array_size(tests));
}
