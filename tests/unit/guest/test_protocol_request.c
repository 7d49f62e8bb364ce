/*
 * The small requests and their answers: both ways, each limit, cut anywhere.
 */
#include "guest/protocol_request.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"

#define BODY(frame) ((frame) + PROTOCOL_HEADER_SIZE)

static uint8_t frame[PROTOCOL_HEADER_SIZE + PROTOCOL_EXEC_MAX + 64];

static void put32(uint8_t *p, uint32_t v)
{
        for (int i = 0; i < 4; i++)
                p[i] = (uint8_t)(v >> 8 * i);
}

/* The header of what was built is right. Return: length of the payload. */
static size_t check_header(size_t size, enum protocol_type type, uint32_t id)
{
        enum protocol_side from = type < 0x80 ? PROTOCOL_FROM_CLIENT : PROTOCOL_FROM_AGENT;
        struct protocol_frame got;

        ck_assert_int_eq(protocol_parse_header(frame, size, from, &got), 0);
        ck_assert_int_eq(got.type, type);
        ck_assert_uint_eq(got.id, id);
        ck_assert_uint_eq(got.len, size - PROTOCOL_HEADER_SIZE);
        return got.len;
}

START_TEST(test_signal)
{
        static const struct {
                const char *what;
                uint32_t signal, scope;
                int expect;
        } rows[] = {
                { "signal 0", 0, 0, PROTOCOL_E_VALUE }, { "signal 1", 1, 0, PROTOCOL_OK },
                { "signal 64", 64, 2, PROTOCOL_OK },    { "signal 65", 65, 0, PROTOCOL_E_VALUE },
                { "scope 3", 9, 3, PROTOCOL_E_VALUE },
        };
        struct protocol_signal got;

        for (size_t i = 0; i < array_size(rows); i++) {
                struct protocol_signal s = { .proc = 7, .signal = rows[i].signal, .scope = rows[i].scope };
                size_t len = check_header(protocol_put_signal(frame, 5, &s), PROTOCOL_SIGNAL, 5);
                int r = protocol_parse_signal(BODY(frame), len, &got);

                ck_assert_msg(r == rows[i].expect, "%s: %s", rows[i].what, protocol_strerror(r));
                if (r)
                        continue;
                ck_assert_uint_eq(got.proc, 7);
                ck_assert_uint_eq(got.signal, rows[i].signal);
                ck_assert_uint_eq(got.scope, rows[i].scope);
                ck_assert_int_eq(protocol_parse_signal(BODY(frame), 15, &got), PROTOCOL_E_LENGTH);
                ck_assert_int_eq(protocol_parse_signal(BODY(frame), 17, &got), PROTOCOL_E_LENGTH);
                put32(BODY(frame) + 12, 1);
                ck_assert_int_eq(protocol_parse_signal(BODY(frame), 16, &got), PROTOCOL_E_RESERVED);
        }
}
END_TEST

START_TEST(test_resize_and_attach)
{
        struct protocol_resize resize = { .proc = 9, .rows = 65535, .cols = 80 }, got_resize;
        struct protocol_attach attach = { .proc = 9, .flags = 15 }, got_attach;
        size_t len = check_header(protocol_put_resize(frame, 1, &resize), PROTOCOL_RESIZE, 1);

        ck_assert_int_eq(protocol_parse_resize(BODY(frame), len, &got_resize), 0);
        ck_assert_uint_eq(got_resize.proc, 9);
        ck_assert_uint_eq(got_resize.rows, 65535);
        ck_assert_uint_eq(got_resize.cols, 80);
        ck_assert_int_eq(protocol_parse_resize(BODY(frame), len - 1, &got_resize), PROTOCOL_E_LENGTH);

        len = check_header(protocol_put_attach(frame, 1, &attach), PROTOCOL_ATTACH, 1);
        ck_assert_int_eq(protocol_parse_attach(BODY(frame), len, &got_attach), 0);
        ck_assert_uint_eq(got_attach.proc, 9);
        ck_assert_uint_eq(got_attach.flags, 15);
        ck_assert_int_eq(protocol_parse_attach(BODY(frame), len + 1, &got_attach), PROTOCOL_E_LENGTH);
        put32(BODY(frame) + 4, 16);
        ck_assert_int_eq(protocol_parse_attach(BODY(frame), len, &got_attach), PROTOCOL_E_FLAGS);
        put32(BODY(frame), 0);
        put32(BODY(frame) + 4, 0);
        ck_assert_int_eq(protocol_parse_attach(BODY(frame), len, &got_attach), PROTOCOL_E_VALUE);
}
END_TEST

START_TEST(test_started)
{
        struct protocol_started s = { .proc = 1, .pid = 400, .flags = 31 }, got;
        size_t len = check_header(protocol_put_started(frame, 3, &s), PROTOCOL_STARTED, 3);

        ck_assert_int_eq(protocol_parse_started(BODY(frame), len, &got), 0);
        ck_assert_uint_eq(got.proc, 1);
        ck_assert_uint_eq(got.pid, 400);
        ck_assert_uint_eq(got.flags, 31);
        ck_assert_int_eq(protocol_parse_started(BODY(frame), len + 8, &got), 0); /* a later agent */
        ck_assert_int_eq(protocol_parse_started(BODY(frame), len - 1, &got), PROTOCOL_E_LENGTH);
        put32(BODY(frame), 0);
        ck_assert_int_eq(protocol_parse_started(BODY(frame), len, &got), PROTOCOL_E_VALUE);
}
END_TEST

START_TEST(test_connect)
{
        static const struct {
                const char *what;
                uint32_t kind, port;
                const char *address;
                size_t len; /* of the address, with its NUL */
                int expect;
        } rows[] = {
                { "loopback", PROTOCOL_CONNECT_TCP, 1, "", 1, PROTOCOL_OK },
                { "highest port", PROTOCOL_CONNECT_TCP, 65535, "::1", 4, PROTOCOL_OK },
                { "port 0", PROTOCOL_CONNECT_TCP, 0, "::1", 4, PROTOCOL_E_VALUE },
                { "port 65536", PROTOCOL_CONNECT_TCP, 65536, "::1", 4, PROTOCOL_E_VALUE },
                { "path", PROTOCOL_CONNECT_UNIX, 0, "/run/x", 7, PROTOCOL_OK },
                { "abstract", PROTOCOL_CONNECT_UNIX, 0, "@x", 3, PROTOCOL_OK },
                { "no name", PROTOCOL_CONNECT_UNIX, 0, "", 1, PROTOCOL_E_VALUE },
                { "abstract without name", PROTOCOL_CONNECT_UNIX, 0, "@", 2, PROTOCOL_E_VALUE },
                { "path with port", PROTOCOL_CONNECT_UNIX, 1, "/x", 3, PROTOCOL_E_VALUE },
                { "unknown kind", PROTOCOL_CONNECT_NR, 1, "", 1, PROTOCOL_E_VALUE },
                { "not ended", PROTOCOL_CONNECT_TCP, 1, "::1", 3, PROTOCOL_E_STRING },
                { "two strings", PROTOCOL_CONNECT_TCP, 1, "a\0b", 4, PROTOCOL_E_STRING },
                { "no string", PROTOCOL_CONNECT_TCP, 1, "", 0, PROTOCOL_E_LENGTH },
        };
        struct protocol_connect got;

        for (size_t i = 0; i < array_size(rows); i++) {
                put32(frame, rows[i].kind);
                put32(frame + 4, rows[i].port);
                memcpy(frame + 8, rows[i].address, rows[i].len);

                int r = protocol_parse_connect(frame, 8 + rows[i].len, &got);

                ck_assert_msg(r == rows[i].expect, "%s: %s", rows[i].what, protocol_strerror(r));
        }
        memset(frame + 8, 'x', 4096);
        put32(frame, PROTOCOL_CONNECT_UNIX);
        put32(frame + 4, 0);
        frame[8 + 4095] = 0;
        ck_assert_int_eq(protocol_parse_connect(frame, 8 + 4096, &got), 0);
        ck_assert_uint_eq(strlen(got.address), 4095);
        frame[8 + 4095] = 'x';
        frame[8 + 4096] = 0;
        ck_assert_int_eq(protocol_parse_connect(frame, 8 + 4097, &got), PROTOCOL_E_STRING);
}
END_TEST

START_TEST(test_connect_built)
{
        struct protocol_connect c = { .kind = PROTOCOL_CONNECT_TCP, .port = 80, .address = "10.0.0.1" }, got;
        size_t len = check_header(protocol_put_connect(frame, 2, &c), PROTOCOL_CONNECT, 2);
        char longest[PROTOCOL_SMALL_MAX];

        ck_assert_int_eq(protocol_parse_connect(BODY(frame), len, &got), 0);
        ck_assert_str_eq(got.address, "10.0.0.1");
        ck_assert_uint_eq(got.port, 80);
        memset(longest, 'x', sizeof(longest));
        longest[PROTOCOL_SMALL_MAX - PROTOCOL_HEADER_SIZE - 8 - 1] = 0;
        c = (struct protocol_connect){ .kind = PROTOCOL_CONNECT_UNIX, .address = longest };
        len = protocol_put_connect(frame, 2, &c);
        ck_assert_uint_eq(len, PROTOCOL_SMALL_MAX);
        ck_assert_int_eq(protocol_parse_connect(BODY(frame), len - PROTOCOL_HEADER_SIZE, &got), 0);
        longest[PROTOCOL_SMALL_MAX - PROTOCOL_HEADER_SIZE - 8 - 1] = 'x';
        longest[PROTOCOL_SMALL_MAX - PROTOCOL_HEADER_SIZE - 8] = 0;
        ck_assert_uint_eq(protocol_put_connect(frame, 2, &c), 0);
}
END_TEST

START_TEST(test_environment)
{
        const char *items[] = { "A=1", "B=", "C", "D=x=y", NULL }, *list[5];
        struct protocol_environment got;
        size_t size, only;

        ck_assert_int_eq(protocol_build_environment(frame, 4, items, &size), 0);
        ck_assert_int_eq(protocol_build_environment(NULL, 4, items, &only), 0);
        ck_assert_uint_eq(size, only);

        size_t len = check_header(size, PROTOCOL_ENVIRONMENT, 4);

        ck_assert_int_eq(protocol_parse_environment(BODY(frame), len, &got), 0);
        ck_assert_uint_eq(got.nr, 4);
        protocol_strings(got.items, got.nr, list);
        for (size_t i = 0; i < 4; i++)
                ck_assert_str_eq(list[i], items[i]);
        for (size_t n = 0; n < len; n++)
                ck_assert_int_ne(protocol_parse_environment(BODY(frame), n, &got), 0);
        ck_assert_int_ne(protocol_parse_environment(BODY(frame), len + 1, &got), 0);

        const char *none[] = { NULL }, *empty[] = { "", NULL }, *nameless[] = { "=x", NULL };

        ck_assert_int_eq(protocol_build_environment(frame, 4, none, &size), 0);
        ck_assert_int_eq(protocol_parse_environment(BODY(frame), size - PROTOCOL_HEADER_SIZE, &got), 0);
        ck_assert_int_eq(protocol_build_environment(frame, 4, empty, &size), PROTOCOL_E_STRING);
        ck_assert_int_eq(protocol_build_environment(frame, 4, nameless, &size), PROTOCOL_E_STRING);
        memcpy(frame, "\1\0\0\0", 5);
        ck_assert_int_eq(protocol_parse_environment(frame, 5, &got), PROTOCOL_E_STRING);
        memcpy(frame, "\1\0\0\0=", 6);
        ck_assert_int_eq(protocol_parse_environment(frame, 6, &got), PROTOCOL_E_STRING);
}
END_TEST

START_TEST(test_environment_limits)
{
        static const char *many[PROTOCOL_ENV_MAX + 2];
        struct protocol_environment got;
        const char *one[2] = { NULL };
        size_t size;

        for (size_t i = 0; i < PROTOCOL_ENV_MAX; i++)
                many[i] = "A";
        ck_assert_int_eq(protocol_build_environment(frame, 1, many, &size), 0);
        ck_assert_int_eq(protocol_parse_environment(BODY(frame), size - PROTOCOL_HEADER_SIZE, &got), 0);
        many[PROTOCOL_ENV_MAX] = "A";
        ck_assert_int_eq(protocol_build_environment(frame, 1, many, &size), PROTOCOL_E_COUNT);
        put32(BODY(frame), PROTOCOL_ENV_MAX + 1);
        ck_assert_int_eq(protocol_parse_environment(BODY(frame), 4 + 2 * (PROTOCOL_ENV_MAX + 1), &got),
                         PROTOCOL_E_COUNT);

        char *longest = malloc(PROTOCOL_EXEC_MAX);

        memset(longest, 'x', PROTOCOL_EXEC_MAX);
        longest[PROTOCOL_EXEC_MAX - 5] = 0;
        one[0] = longest;
        ck_assert_int_eq(protocol_build_environment(frame, 1, one, &size), 0);
        ck_assert_uint_eq(size, PROTOCOL_HEADER_SIZE + PROTOCOL_EXEC_MAX);
        ck_assert_int_eq(protocol_parse_environment(BODY(frame), PROTOCOL_EXEC_MAX, &got), 0);
        longest[PROTOCOL_EXEC_MAX - 5] = 'x';
        longest[PROTOCOL_EXEC_MAX - 4] = 0;
        ck_assert_int_eq(protocol_build_environment(frame, 1, one, &size), PROTOCOL_E_LENGTH);
        free(longest);
}
END_TEST

START_TEST(test_numbers)
{
        uint8_t p[16] = { 2, 0, 0, 0, 1 };
        uint32_t small;
        uint64_t large;

        ck_assert_int_eq(protocol_parse_u32(p, 4, 2, &small), 0);
        ck_assert_uint_eq(small, 2);
        ck_assert_int_eq(protocol_parse_u32(p, 4, 1, &small), PROTOCOL_E_VALUE);
        ck_assert_int_eq(protocol_parse_u32(p, 3, 2, &small), PROTOCOL_E_LENGTH);
        ck_assert_int_eq(protocol_parse_u64(p, 8, &large), 0);
        ck_assert_uint_eq(large, 0x100000002u);
        ck_assert_int_eq(protocol_parse_u64(p, 7, &large), PROTOCOL_E_LENGTH);
}
END_TEST

START_TEST(test_process)
{
        struct protocol_process p = { .proc = 1,
                                      .pid = 2,
                                      .ppid = 3,
                                      .uid = 4,
                                      .flags = 5,
                                      .state = 'S',
                                      .started_ns = 1ull << 60,
                                      .cpu_us = 1ull << 40,
                                      .memory_bytes = 1ull << 35,
                                      .user = "root",
                                      .command = "sleep 100" },
                                got;
        size_t len = protocol_put_process(frame, &p), size;

        ck_assert_uint_eq(len, 56 + 5 + 10);
        ck_assert_int_eq(protocol_parse_process(frame, len + 100, &got, &size), 0);
        ck_assert_uint_eq(size, len);
        ck_assert_uint_eq(got.proc, 1);
        ck_assert_uint_eq(got.pid, 2);
        ck_assert_uint_eq(got.ppid, 3);
        ck_assert_uint_eq(got.uid, 4);
        ck_assert_uint_eq(got.flags, 5);
        ck_assert_int_eq(got.state, 'S');
        ck_assert_uint_eq(got.started_ns, p.started_ns);
        ck_assert_uint_eq(got.cpu_us, p.cpu_us);
        ck_assert_uint_eq(got.memory_bytes, p.memory_bytes);
        ck_assert_str_eq(got.user, "root");
        ck_assert_str_eq(got.command, "sleep 100");
        for (size_t n = 0; n < len; n++)
                ck_assert_int_eq(protocol_parse_process(frame, n, &got, &size), PROTOCOL_E_LENGTH);
        put32(frame, (uint32_t)len - 1); /* the record ends before its last string does */
        ck_assert_int_eq(protocol_parse_process(frame, len, &got, &size), PROTOCOL_E_STRING);
        put32(frame, 57);
        ck_assert_int_eq(protocol_parse_process(frame, len, &got, &size), PROTOCOL_E_LENGTH);
        put32(frame, ~0u);
        ck_assert_int_eq(protocol_parse_process(frame, len, &got, &size), PROTOCOL_E_LENGTH);
        frame[len] = 'x'; /* grown at its end by a later agent */
        put32(frame, (uint32_t)len + 8);
        ck_assert_int_eq(protocol_parse_process(frame, len + 8, &got, &size), 0);
        ck_assert_uint_eq(size, len + 8);
}
END_TEST

START_TEST(test_process_limits)
{
        char text[2000];
        struct protocol_process p = { .user = text, .command = text }, got;
        size_t size;

        memset(text, 'x', sizeof(text));
        text[sizeof(text) - 1] = 0;

        size_t len = protocol_put_process(frame, &p);

        ck_assert_uint_eq(len, 56 + PROTOCOL_PROCESS_USER_MAX + 1 + PROTOCOL_PROCESS_COMMAND_MAX + 1);
        ck_assert_int_eq(protocol_parse_process(frame, len, &got, &size), 0);
        ck_assert_uint_eq(strlen(got.user), PROTOCOL_PROCESS_USER_MAX);
        ck_assert_uint_eq(strlen(got.command), PROTOCOL_PROCESS_COMMAND_MAX);
        frame[56 + PROTOCOL_PROCESS_USER_MAX] = 'x'; /* one character too many */
        ck_assert_int_eq(protocol_parse_process(frame, len, &got, &size), PROTOCOL_E_STRING);
}
END_TEST

static int parse_metric(const char *s, uint64_t *ret_value)
{
        const char *name;
        size_t name_len, size, len = strlen(s);
        char *exact = malloc(len ? len : 1);

        memcpy(exact, s, len);

        int r = protocol_parse_metric((const uint8_t *)exact, len, &name, &name_len, ret_value, &size);

        if (!r)
                ck_assert(name == exact && name_len < size && size <= len);
        free(exact);
        return r;
}

START_TEST(test_metric)
{
        static const struct {
                const char *line;
                int expect;
                uint64_t value;
        } rows[] = {
                { "a 0\n", PROTOCOL_OK, 0 },
                { "load_1m_milli 12\nnext 3\n", PROTOCOL_OK, 12 },
                { "a 18446744073709551615\n", PROTOCOL_OK, UINT64_MAX },
                { "a 18446744073709551616\n", PROTOCOL_E_VALUE, 0 },
                { "a 99999999999999999999999999\n", PROTOCOL_E_VALUE, 0 },
                { "", PROTOCOL_E_STRING, 0 },
                { "a", PROTOCOL_E_STRING, 0 },
                { "a ", PROTOCOL_E_STRING, 0 },
                { "a 1", PROTOCOL_E_STRING, 0 },
                { "a \n", PROTOCOL_E_STRING, 0 },
                { " 1\n", PROTOCOL_E_STRING, 0 },
                { "a  1\n", PROTOCOL_E_STRING, 0 },
                { "a -1\n", PROTOCOL_E_STRING, 0 },
                { "a\x1b[1m 1\n", PROTOCOL_E_STRING, 0 },
        };
        char line[PROTOCOL_METRIC_LINE_MAX + 2];
        uint64_t value;

        for (size_t i = 0; i < array_size(rows); i++) {
                int r = parse_metric(rows[i].line, &value);

                ck_assert_msg(r == rows[i].expect, "%s: %s", rows[i].line, protocol_strerror(r));
                if (!r)
                        ck_assert_uint_eq(value, rows[i].value);
        }
        memset(line, 'n', PROTOCOL_METRIC_NAME_MAX + 1);
        strcpy(line + PROTOCOL_METRIC_NAME_MAX + 1, " 1\n");
        ck_assert_int_eq(parse_metric(line + 1, &value), PROTOCOL_OK);
        ck_assert_int_eq(parse_metric(line, &value), PROTOCOL_E_STRING);

        size_t len = protocol_put_metric((uint8_t *)line, "memory_total_bytes", UINT64_MAX);

        line[len] = 0;
        ck_assert_str_eq(line, "memory_total_bytes 18446744073709551615\n");
        len = protocol_put_metric((uint8_t *)line, "frozen", 0);
        line[len] = 0;
        ck_assert_str_eq(line, "frozen 0\n");
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_signal,        test_resize_and_attach, test_started, test_connect,
                test_connect_built, test_environment,       test_numbers, test_environment_limits,
                test_process,       test_process_limits,    test_metric,
        };

        return run_tests("protocol_request", tests, array_size(tests));
}
