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

/* Bytes of input, as many as that. */
static void give(size_t n, bool end)
{
        size_t room = 0;
        uint8_t *to = agent_input(a, &room);

        ck_assert_ptr_nonnull(to);
        ck_assert_uint_le(n, room);
        memset(to, 'i', n);
        agent_input_done(a, n, end);
}

/* What is queued, taken off. Return: how much. */
static size_t take_out(void)
{
        size_t len;

        agent_out(a, &len);
        agent_sent(a, len);
        return len;
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
        ck_assert_uint_eq(agent_input_room(a), 0); /* nobody has told the window */
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
        ck_assert_uint_eq(agent_input_room(a), 0);
        take_out(); /* the same connection again, with a whole window */
        ck_assert_int_eq(exec_with(PROTOCOL_EXEC_STDIN), 0);
        ck_assert_uint_eq(agent_input_room(a), 1000);
        ck_assert_int_eq(feed_exit(1), AGENT_E_ORDER);
        agent_free(a);
}
END_TEST

START_TEST(test_window)
{
        begin_talk();
        take_out();
        ck_assert_uint_eq(agent_input_room(a), 1000);
        give(1000, false);
        ck_assert_uint_eq(agent_input_room(a), 0);
        ck_assert_int_eq(feed_window(1, 400), 0);
        ck_assert_uint_eq(agent_input_room(a), 400);
        give(0, true);
        ck_assert_uint_eq(agent_input_room(a), 0);
        ck_assert_uint_eq(take_out(), 1000 + 2 * PROTOCOL_HEADER_SIZE);
        give(0, false); /* after the end: nothing is sent */
        ck_assert_uint_eq(take_out(), 0);
        ck_assert_int_eq(feed_window(1, 601), PROTOCOL_E_VALUE);
        agent_free(a);
}
END_TEST

/* What the socket does not take stays bounded, whatever the window says. */
START_TEST(test_unsent)
{
        begin();
        take_out();
        ck_assert_int_eq(feed("OK 1\n", 5), 0);
        ck_assert_int_eq(feed_welcome(1 << 20), 0);
        take_out();
        ck_assert_uint_eq(agent_input_room(a), PROTOCOL_DATA_MAX);
        give(PROTOCOL_DATA_MAX, false);
        ck_assert_uint_eq(agent_input_room(a), 0);
        take_out();
        ck_assert_uint_eq(agent_input_room(a), PROTOCOL_DATA_MAX);
        agent_free(a);
}
END_TEST

/* Until somebody answers CONNECT, all of it may have to be said again. */
START_TEST(test_restart)
{
        size_t first, again;

        begin();
        first = take_out();
        feed("OK", 2);
        agent_restart(a);
        agent_out(a, &again);
        ck_assert_uint_eq(first, again);
        ck_assert_int_eq(feed("OK 1\n", 5), 0);
        ck_assert(agent_is_connected(a) && !agent_is_greeted(a) && agent_is_waiting(a));
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

/* Its buffer is small until there is more than fits. */
START_TEST(test_large_frames)
{
        static uint8_t bytes[PROTOCOL_HEADER_SIZE + PROTOCOL_DATA_MAX];
        const struct protocol_frame frame = { .type = PROTOCOL_STDOUT, .id = 1, .len = PROTOCOL_DATA_MAX };

        memset(bytes, 'x', sizeof(bytes));
        protocol_put_header(bytes, &frame);
        begin_talk();
        for (unsigned i = 0; i < 2; i++) {
                for (size_t done = 0, room; done < sizeof(bytes); done += room) {
                        uint8_t *to = agent_room(a, &room);

                        ck_assert_uint_gt(room, 0);
                        room = room < sizeof(bytes) - done ? room : sizeof(bytes) - done;
                        memcpy(to, bytes + done, room);
                        agent_fed(a, room);
                        ck_assert_int_eq(agent_next(a, &event), 0);
                }
                ck_assert_int_eq(event.kind, AGENT_STDOUT);
                ck_assert_uint_eq(event.len, PROTOCOL_DATA_MAX);
                ck_assert(!memcmp(event.bytes, bytes + PROTOCOL_HEADER_SIZE, event.len));
                ck_assert_int_eq(agent_next(a, &event), 0);
                ck_assert_int_eq(event.kind, AGENT_NOTHING);
        }
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

static int ask_ping(void)
{
        return agent_plain(a, PROTOCOL_PING, 0);
}

static int ask_processes(void)
{
        return agent_plain(a, PROTOCOL_PROCESSES, PROTOCOL_LIST_ALL);
}

static int ask_metrics(void)
{
        return agent_plain(a, PROTOCOL_METRICS, 0);
}

static int ask_file(enum protocol_file_op op)
{
        const struct protocol_file req = { .op = op, .path = "/x", .to = "/y" };

        return agent_file(a, &req);
}

static int ask_stat(void)
{
        return ask_file(PROTOCOL_FILE_STAT);
}

static int ask_pack(void)
{
        return ask_file(PROTOCOL_FILE_PACK);
}

static int ask_watch(void)
{
        return ask_file(PROTOCOL_FILE_WATCH);
}

static int ask_connect(void)
{
        return agent_connect(a, &(struct protocol_connect){ .port = 80, .address = "" });
}

static int ask_attach(void)
{
        return agent_attach(a, &(struct protocol_attach){ .proc = 7 });
}

static int ask_background(void)
{
        return exec_with(PROTOCOL_EXEC_DETACH);
}

static int ask_exec(void)
{
        return exec_with(0);
}

/* To each request, each frame: what does not answer it is refused, and what does gives its event. */
START_TEST(test_answers)
{
        static const struct {
                int (*ask)(void);
                enum protocol_type good[4];
        } rows[] = {
                { ask_ping, { PROTOCOL_DONE } },
                { ask_processes, { PROTOCOL_PROCESS, PROTOCOL_DONE } },
                { ask_metrics, { PROTOCOL_REPORT } },
                { ask_stat, { 0 } }, /* a STATUS of no bytes is none */
                { ask_pack, { PROTOCOL_DATA, PROTOCOL_DONE } },
                { ask_watch, { 0 } },
                { ask_connect, { PROTOCOL_DONE } },
                { ask_attach, { PROTOCOL_STARTED } },
                { ask_background, { PROTOCOL_STARTED } },
                { ask_exec, { PROTOCOL_STDOUT, PROTOCOL_STDERR, PROTOCOL_EXIT } },
        };
        static const struct {
                enum protocol_type type;
                uint32_t len;
        } frames[] = {
                { PROTOCOL_STDOUT, 1 },  { PROTOCOL_STDERR, 1 },   { PROTOCOL_EXIT, 64 },
                { PROTOCOL_DONE, 0 },    { PROTOCOL_STARTED, 16 }, { PROTOCOL_LOST, 8 },
                { PROTOCOL_PROCESS, 0 }, { PROTOCOL_DATA, 1 },     { PROTOCOL_ENTRIES, 0 },
                { PROTOCOL_REPORT, 0 },
        };
        static const uint8_t payload[64] = { 1 };

        for (size_t i = 0; i < array_size(rows); i++) {
                for (size_t k = 0; k < array_size(frames); k++) {
                        bool good = false;

                        for (size_t n = 0; n < 4; n++)
                                good = good || rows[i].good[n] == frames[k].type;
                        ck_assert_int_eq(agent_new(&a), 0);
                        ck_assert_int_eq(rows[i].ask(), 0);
                        ck_assert_int_eq(feed("OK 1\n", 5), 0);
                        ck_assert_int_eq(feed_welcome(1000), 0);

                        int r = feed_frame(frames[k].type, 1, payload, frames[k].len);

                        ck_assert_msg(good ? r != AGENT_E_ORDER : r == AGENT_E_ORDER, "%zu %zu: %d", i, k, r);
                        agent_free(a);
                }
        }
}
END_TEST

START_TEST(test_stream)
{
        ck_assert_int_eq(agent_new(&a), 0);
        ck_assert_int_eq(ask_connect(), 0);
        ck_assert_int_eq(feed("OK 1\n", 5), 0);
        ck_assert_int_eq(feed_welcome(1000), 0);
        ck_assert_uint_eq(agent_input_room(a), 0);
        ck_assert_int_eq(agent_plain(a, PROTOCOL_PING, 0), AGENT_E_BUSY); /* no frames any more */
        take_out();
        ck_assert_int_eq(feed_frame(PROTOCOL_DONE, 1, "", 0), 0);
        ck_assert_int_eq(event.kind, AGENT_DONE);
        ck_assert(agent_is_stream(a));
        ck_assert_int_eq(feed("any bytes", 9), 0);
        ck_assert_int_eq(event.kind, AGENT_STREAM);
        ck_assert_uint_eq(event.len, 9);
        give(100, false);
        ck_assert_uint_eq(take_out(), 100);
        agent_free(a);
}
END_TEST

/* Short requests beside a command: each with its own answer, and not too many. */
START_TEST(test_small_requests)
{
        const struct protocol_signal signal = { .signal = 15 };

        begin_talk();
        for (uint32_t i = 0; i < AGENT_SMALL_MAX; i++) {
                ck_assert_int_eq(agent_signal(a, &signal), 0);
                ck_assert_uint_eq(agent_id(a), 2 + i);
        }
        ck_assert_int_eq(agent_signal(a, &signal), AGENT_E_BUSY);
        ck_assert_int_eq(ask_exec(), AGENT_E_BUSY);
        ck_assert(agent_is_waiting(a));
        ck_assert_int_eq(feed_frame(PROTOCOL_DONE, 3, "", 0), 0);
        ck_assert_int_eq(event.of, PROTOCOL_SIGNAL);
        ck_assert_int_eq(agent_resize(a, &(struct protocol_resize){ .rows = 24, .cols = 80 }), 0);
        ck_assert_int_eq(feed_frame(PROTOCOL_DONE, 3, "", 0), AGENT_E_ORDER);
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
                test_first_bytes,     test_a_command,    test_window,  test_unsent, test_restart,
                test_bytes_in_pieces, test_large_frames, test_answers, test_stream, test_small_requests,
                test_not_an_agent,    test_out_of_order, test_errors,  test_limits,
        };

        return run_tests("agent", tests, array_size(tests));
}
