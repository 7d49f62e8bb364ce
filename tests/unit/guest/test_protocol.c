/*
 * The agent's frames: what is right both ways, and tables of what is not.
 */
#include "guest/protocol.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"

#define BIG (PROTOCOL_HEADER_SIZE + PROTOCOL_EXEC_MAX + 64)

static void put32(uint8_t *p, uint32_t v)
{
        for (int i = 0; i < 4; i++)
                p[i] = (uint8_t)(v >> 8 * i);
}

static void header(uint8_t *p, uint32_t len, uint32_t type_and_flags, uint32_t id, uint32_t reserved)
{
        put32(p, len);
        put32(p + 4, type_and_flags);
        put32(p + 8, id);
        put32(p + 12, reserved);
}

START_TEST(test_headers)
{
        static const struct {
                const char *what;
                enum protocol_side from;
                uint32_t len, type_and_flags, id, reserved;
                int expect;
        } rows[] = {
                { "HELLO", PROTOCOL_FROM_CLIENT, 16, 0x01, 0, 0, PROTOCOL_OK },
                { "HELLO of the agent", PROTOCOL_FROM_AGENT, 16, 0x01, 0, 0, PROTOCOL_E_TYPE },
                { "HELLO with an id", PROTOCOL_FROM_CLIENT, 16, 0x01, 1, 0, PROTOCOL_E_ID },
                { "HELLO of 15", PROTOCOL_FROM_CLIENT, 15, 0x01, 0, 0, PROTOCOL_E_LENGTH },
                { "HELLO of 17", PROTOCOL_FROM_CLIENT, 17, 0x01, 0, 0, PROTOCOL_E_LENGTH },
                { "HELLO with a flag", PROTOCOL_FROM_CLIENT, 16, 0x10001, 0, 0, PROTOCOL_E_FLAGS },
                { "HELLO, reserved set", PROTOCOL_FROM_CLIENT, 16, 0x01, 0, 1, PROTOCOL_E_RESERVED },
                { "type 0", PROTOCOL_FROM_CLIENT, 0, 0x00, 1, 0, PROTOCOL_E_TYPE },
                { "type 0x11", PROTOCOL_FROM_CLIENT, 0, 0x11, 1, 0, PROTOCOL_E_TYPE },
                { "type 0xffff", PROTOCOL_FROM_AGENT, 0, 0xffff, 1, 0, PROTOCOL_E_TYPE },
                { "EXEC, longest", PROTOCOL_FROM_CLIENT, 262144, 0x02, 1, 0, PROTOCOL_OK },
                { "EXEC, longer", PROTOCOL_FROM_CLIENT, 262145, 0x02, 1, 0, PROTOCOL_E_LENGTH },
                { "EXEC, shortest", PROTOCOL_FROM_CLIENT, 27, 0x02, 1, 0, PROTOCOL_OK },
                { "EXEC, shorter", PROTOCOL_FROM_CLIENT, 26, 0x02, 1, 0, PROTOCOL_E_LENGTH },
                { "EXEC without id", PROTOCOL_FROM_CLIENT, 28, 0x02, 0, 0, PROTOCOL_E_ID },
                { "STDIN, longest", PROTOCOL_FROM_CLIENT, 65536, 0x03, 1, 0, PROTOCOL_OK },
                { "STDIN, longer", PROTOCOL_FROM_CLIENT, 65537, 0x03, 1, 0, PROTOCOL_E_LENGTH },
                { "STDIN, end", PROTOCOL_FROM_CLIENT, 0, 0x10003, 1, 0, PROTOCOL_OK },
                { "STDIN, other flag", PROTOCOL_FROM_CLIENT, 0, 0x20003, 1, 0, PROTOCOL_E_FLAGS },
                { "PING", PROTOCOL_FROM_CLIENT, 0, 0x05, 0xffffffff, 0, PROTOCOL_OK },
                { "PING with a payload", PROTOCOL_FROM_CLIENT, 1, 0x05, 1, 0, PROTOCOL_E_LENGTH },
                { "STDOUT, longest", PROTOCOL_FROM_AGENT, 65536, 0x82, 1, 0, PROTOCOL_OK },
                { "STDOUT, longer", PROTOCOL_FROM_AGENT, 65537, 0x82, 1, 0, PROTOCOL_E_LENGTH },
                { "STDOUT, empty", PROTOCOL_FROM_AGENT, 0, 0x82, 1, 0, PROTOCOL_E_LENGTH },
                { "STDOUT of the client", PROTOCOL_FROM_CLIENT, 1, 0x82, 1, 0, PROTOCOL_E_TYPE },
                { "ERROR of the connection", PROTOCOL_FROM_AGENT, 8, 0x85, 0, 0, PROTOCOL_OK },
                { "ERROR of a request", PROTOCOL_FROM_AGENT, 1032, 0x85, 9, 0, PROTOCOL_OK },
                { "ERROR, longer", PROTOCOL_FROM_AGENT, 1033, 0x85, 9, 0, PROTOCOL_E_LENGTH },
                { "ERROR, shorter", PROTOCOL_FROM_AGENT, 7, 0x85, 9, 0, PROTOCOL_E_LENGTH },
                { "EXIT, grown", PROTOCOL_FROM_AGENT, 512, 0x84, 9, 0, PROTOCOL_OK },
                { "EXIT, too grown", PROTOCOL_FROM_AGENT, 513, 0x84, 9, 0, PROTOCOL_E_LENGTH },
                { "EXIT, shorter", PROTOCOL_FROM_AGENT, 39, 0x84, 9, 0, PROTOCOL_E_LENGTH },
                { "all ones", PROTOCOL_FROM_AGENT, ~0u, ~0u, ~0u, ~0u, PROTOCOL_E_TYPE },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct protocol_frame frame;
                uint8_t bytes[16];

                header(bytes, rows[i].len, rows[i].type_and_flags, rows[i].id, rows[i].reserved);
                ck_assert_msg(protocol_parse_header(bytes, 16, rows[i].from, &frame) == rows[i].expect, "%s",
                              rows[i].what);
                for (size_t n = 0; n < 16; n++)
                        ck_assert_int_eq(protocol_parse_header(bytes, n, rows[i].from, &frame),
                                         PROTOCOL_E_MORE);
        }
}
END_TEST

static uint8_t *frame_of(const struct protocol_exec_request *req, size_t *ret_size)
{
        uint8_t *frame;

        ck_assert_int_eq(protocol_build_exec(NULL, req, ret_size), 0);
        frame = malloc(*ret_size); /* as long as it says and no longer: sanitizers see what is beyond */
        ck_assert_int_eq(protocol_build_exec(frame, req, ret_size), 0);
        return frame;
}

static int parse_frame(const uint8_t *bytes, size_t len, struct protocol_exec *ret)
{
        struct protocol_frame frame;

        ck_assert_int_eq(protocol_parse_header(bytes, len, PROTOCOL_FROM_CLIENT, &frame), 0);
        ck_assert_uint_eq(frame.len, len - PROTOCOL_HEADER_SIZE);
        return protocol_parse_exec(bytes + PROTOCOL_HEADER_SIZE, frame.len, ret);
}

START_TEST(test_exec)
{
        const char *args[] = { "sh", "-c", "", "echo hi", NULL }, *env[] = { "A=1", "B=", NULL };
        const struct protocol_exec_request req = { .id = 7,
                                                   .flags = PROTOCOL_EXEC_STDIN,
                                                   .container = 3,
                                                   .cwd = "/tmp",
                                                   .user = "bob:wheel",
                                                   .args = args,
                                                   .env = env };
        const char *list[5];
        struct protocol_exec exec;
        size_t size;
        uint8_t *frame = frame_of(&req, &size);

        ck_assert_int_eq(parse_frame(frame, size, &exec), 0);
        ck_assert_uint_eq(exec.flags, PROTOCOL_EXEC_STDIN);
        ck_assert_uint_eq(exec.container, 3);
        ck_assert_str_eq(exec.cwd, "/tmp");
        ck_assert_str_eq(exec.user, "bob:wheel");
        ck_assert_uint_eq(exec.nr_args, 4);
        protocol_strings(exec.args, exec.nr_args, list);
        for (size_t i = 0; i < 4; i++)
                ck_assert_str_eq(list[i], args[i]);
        ck_assert_ptr_null(list[4]);
        protocol_strings(exec.env, exec.nr_env, list);
        ck_assert_str_eq(list[1], "B=");
        ck_assert_ptr_null(list[2]);
        for (size_t n = 0; n < size - PROTOCOL_HEADER_SIZE; n++) /* cut anywhere, it is not whole */
                ck_assert_int_ne(protocol_parse_exec(frame + PROTOCOL_HEADER_SIZE, n, &exec), 0);
        free(frame);
}
END_TEST

/* Payload of EXEC by hand: six numbers and the bytes behind them. */
START_TEST(test_exec_hostile)
{
        static const struct {
                const char *what;
                uint32_t n[6];
                const char *bytes;
                size_t len;
                int expect;
        } rows[] = {
                { "right", { 0, 0, 1, 0, 0, 0 }, "\0\0true\0", 7, PROTOCOL_OK },
                { "all flags", { 63, 0, 1, 0, 0, 0 }, "\0\0true\0", 7, PROTOCOL_OK },
                { "unknown flag", { 64, 0, 1, 0, 0, 0 }, "\0\0true\0", 7, PROTOCOL_E_FLAGS },
                { "reserved", { 0, 0, 1, 0, 0, 1 }, "\0\0true\0", 7, PROTOCOL_E_RESERVED },
                { "no argument", { 0, 0, 0, 0, 0, 0 }, "\0\0true\0", 7, PROTOCOL_E_COUNT },
                { "args at the limit, not there",
                  { 0, 0, 4096, 0, 0, 0 },
                  "\0\0true\0",
                  7,
                  PROTOCOL_E_STRING },
                { "args beyond the limit", { 0, 0, 4097, 0, 0, 0 }, "\0\0true\0", 7, PROTOCOL_E_COUNT },
                { "args without end", { 0, 0, ~0u, 0, 0, 0 }, "\0\0true\0", 7, PROTOCOL_E_COUNT },
                { "env at the limit, not there",
                  { 0, 0, 1, 4096, 0, 0 },
                  "\0\0true\0",
                  7,
                  PROTOCOL_E_STRING },
                { "env beyond the limit", { 0, 0, 1, 4097, 0, 0 }, "\0\0true\0", 7, PROTOCOL_E_COUNT },
                { "one string too many", { 0, 0, 1, 0, 0, 0 }, "\0\0true\0x\0", 9, PROTOCOL_E_STRING },
                { "last string not ended", { 0, 0, 1, 0, 0, 0 }, "\0\0true", 6, PROTOCOL_E_STRING },
                { "variable without =", { 0, 0, 1, 1, 0, 0 }, "\0\0true\0A\0", 9, PROTOCOL_E_STRING },
                { "variable without name", { 0, 0, 1, 1, 0, 0 }, "\0\0true\0=\0", 9, PROTOCOL_E_STRING },
                { "options beyond the end", { 0, 0, 1, 0, 8, 0 }, "\0\0true\0", 7, PROTOCOL_E_OPTION },
                { "options of all memory", { 0, 0, 1, 0, ~0u, 0 }, "\0\0true\0", 7, PROTOCOL_E_OPTION },
                { "option cut in its head", { 0, 0, 1, 0, 3, 0 }, "\0\x80\0\0\0t\0", 7, PROTOCOL_E_OPTION },
                { "option cut in its body",
                  { 0, 0, 1, 0, 5, 0 },
                  "\0\x80\2\0x\0\0t\0",
                  9,
                  PROTOCOL_E_OPTION },
                { "option that must be known",
                  { 0, 0, 1, 0, 4, 0 },
                  "\4\0\0\0\0\0t\0",
                  8,
                  PROTOCOL_E_OPTION },
                { "option to skip", { 0, 0, 1, 0, 5, 0 }, "\1\x80\1\0x\0\0t\0", 9, PROTOCOL_OK },
                { "an empty name", { 0, 0, 1, 0, 0, 0 }, "\0\0\0", 3, PROTOCOL_OK },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct protocol_exec exec;
                uint8_t *p = malloc(24 + rows[i].len);

                for (size_t k = 0; k < 6; k++)
                        put32(p + 4 * k, rows[i].n[k]);
                memcpy(p + 24, rows[i].bytes, rows[i].len);

                int r = protocol_parse_exec(p, 24 + rows[i].len, &exec);

                ck_assert_msg(r == rows[i].expect, "%s: %s", rows[i].what, protocol_strerror(r));
                free(p);
        }
}
END_TEST

#define TTY(rows)         "\1\0\4\0" rows "\0\120\0"
#define TIMEOUT(ms)       "\3\0\4\0" ms "\0\0\0"
#define RLIMIT(what, pad) "\2\0\30\0" what "\0\0\0" pad "\0\0\0"
#define U64(low)          low "\0\0\0\0\0\0\0"

/* One record or two of options, and "t" as the only argument. */
START_TEST(test_options_hostile)
{
        static const struct {
                const char *what, *bytes;
                size_t len;
                int expect;
        } rows[] = {
                { "terminal", TTY("\30"), 8, PROTOCOL_OK },
                { "terminal of no size", TTY("\0"), 8, PROTOCOL_OK },
                { "terminal twice", TTY("\30") TTY("\30"), 16, PROTOCOL_E_OPTION },
                { "terminal, short", "\1\0\3\0\0\0\0", 7, PROTOCOL_E_OPTION },
                { "terminal, long", "\1\0\5\0\0\0\0\0\0", 9, PROTOCOL_E_OPTION },
                { "time", TIMEOUT("\1"), 8, PROTOCOL_OK },
                { "no time", TIMEOUT("\0"), 8, PROTOCOL_E_VALUE },
                { "time twice", TIMEOUT("\1") TIMEOUT("\1"), 16, PROTOCOL_E_OPTION },
                { "time, short", "\3\0\3\0\1\1\1", 7, PROTOCOL_E_OPTION },
                { "time, long", "\3\0\5\0\1\1\1\1\1", 9, PROTOCOL_E_OPTION },
                { "limit", RLIMIT("\17", "\0") U64("\1") U64("\1"), 28, PROTOCOL_OK },
                { "limit of nothing", RLIMIT("\20", "\0") U64("\1") U64("\1"), 28, PROTOCOL_E_VALUE },
                { "limit, soft above hard", RLIMIT("\7", "\0") U64("\2") U64("\1"), 28, PROTOCOL_E_VALUE },
                { "limit, reserved", RLIMIT("\7", "\1") U64("\1") U64("\1"), 28, PROTOCOL_E_RESERVED },
                { "limit, short", "\2\0\4\0\7\0\0\0", 8, PROTOCOL_E_OPTION },
                { "terminal and time", TTY("\30") TIMEOUT("\1"), 16, PROTOCOL_OK },
                { "type 0", "\0\0\0\0", 4, PROTOCOL_E_OPTION },
                { "type 0, to skip", "\0\200\0\0", 4, PROTOCOL_OK },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct protocol_exec exec;
                uint8_t *p = calloc(1, 24 + rows[i].len + 4);

                put32(p + 8, 1);
                put32(p + 16, (uint32_t)rows[i].len);
                memcpy(p + 24, rows[i].bytes, rows[i].len);
                memcpy(p + 24 + rows[i].len, "\0\0t", 4);

                int r = protocol_parse_exec(p, 24 + rows[i].len + 4, &exec);

                ck_assert_msg(r == rows[i].expect, "%s: %s", rows[i].what, protocol_strerror(r));
                free(p);
        }
}
END_TEST

START_TEST(test_options)
{
        static struct protocol_rlimit limits[PROTOCOL_RLIMITS_MAX + 1];
        const char *args[] = { "true", NULL };
        struct protocol_exec_request req = { .id = 7,
                                             .flags = PROTOCOL_EXEC_DETACH | PROTOCOL_EXEC_MAIN,
                                             .args = args,
                                             .has_tty = true,
                                             .rows = 24,
                                             .cols = 65535,
                                             .timeout_ms = ~0u,
                                             .nr_rlimits = PROTOCOL_RLIMITS_MAX,
                                             .rlimits = limits };
        struct protocol_exec exec;
        size_t size;

        for (uint32_t i = 0; i < PROTOCOL_RLIMITS_MAX; i++)
                limits[i] = (struct protocol_rlimit){ i, i, ~0ull };

        uint8_t *frame = frame_of(&req, &size);

        ck_assert_int_eq(parse_frame(frame, size, &exec), 0);
        ck_assert_uint_eq(exec.flags, req.flags);
        ck_assert(exec.has_tty && exec.rows == 24 && exec.cols == 65535);
        ck_assert_uint_eq(exec.timeout_ms, ~0u);
        ck_assert_uint_eq(exec.nr_rlimits, PROTOCOL_RLIMITS_MAX);
        ck_assert_uint_eq(exec.rlimits[15].resource, 15);
        ck_assert_uint_eq(exec.rlimits[15].soft, 15);
        ck_assert_uint_eq(exec.rlimits[15].hard, ~0ull);
        ck_assert_str_eq(exec.args, "true");
        for (size_t n = 0; n < size - PROTOCOL_HEADER_SIZE; n++)
                ck_assert_int_ne(protocol_parse_exec(frame + PROTOCOL_HEADER_SIZE, n, &exec), 0);
        free(frame);

        req.nr_rlimits++; /* one too many is refused here, and by the agent */
        ck_assert_int_eq(protocol_build_exec(NULL, &req, &size), PROTOCOL_E_OPTION);
        req.nr_rlimits = 1;
        limits[0].hard = 0;
        limits[0].soft = 1;
        ck_assert_int_eq(protocol_build_exec(NULL, &req, &size), PROTOCOL_E_VALUE);
        limits[0] = (struct protocol_rlimit){ PROTOCOL_RLIMITS_MAX, 0, 0 };
        ck_assert_int_eq(protocol_build_exec(NULL, &req, &size), PROTOCOL_E_VALUE);
        req.nr_rlimits = 0;
        req.flags = 1u << 6;
        ck_assert_int_eq(protocol_build_exec(NULL, &req, &size), PROTOCOL_E_FLAGS);
}
END_TEST

START_TEST(test_too_many_limits)
{
        const size_t options = (PROTOCOL_RLIMITS_MAX + 1) * 28, len = 24 + options + 4;
        struct protocol_exec exec;
        uint8_t *p = calloc(1, len);

        put32(p + 8, 1);
        put32(p + 16, (uint32_t)options);
        for (uint32_t i = 0; i <= PROTOCOL_RLIMITS_MAX; i++)
                put32(p + 24 + 28 * i, 24u << 16 | PROTOCOL_OPTION_RLIMIT);
        memcpy(p + 24 + options, "\0\0t", 4);
        ck_assert_int_eq(protocol_parse_exec(p, len, &exec), PROTOCOL_E_OPTION);
        free(p);
}
END_TEST

/* A string of @n letters. */
static char *letters(size_t n)
{
        char *s = malloc(n + 1);

        memset(s, 'x', n);
        s[n] = 0;
        return s;
}

static int build(const char *cwd, const char *user, const char *const *args, const char *const *env)
{
        static uint8_t frame[BIG];
        const struct protocol_exec_request req = {
                .id = 1, .cwd = cwd, .user = user, .args = args, .env = env
        };
        struct protocol_exec exec;
        size_t size;
        int r = protocol_build_exec(frame, &req, &size);

        if (!r)
                ck_assert_int_eq(parse_frame(frame, size, &exec), 0);
        return r;
}

START_TEST(test_exec_limits)
{
        const char *one[] = { "x", NULL }, *none[] = { NULL }, *bad[] = { "X", NULL };
        char *longest;

        ck_assert_int_eq(build(NULL, NULL, none, NULL), PROTOCOL_E_COUNT);
        ck_assert_int_eq(build(NULL, NULL, one, bad), PROTOCOL_E_STRING);
        ck_assert_int_eq(build(longest = letters(PROTOCOL_CWD_MAX), NULL, one, NULL), 0);
        free(longest);
        ck_assert_int_eq(build(longest = letters(PROTOCOL_CWD_MAX + 1), NULL, one, NULL), PROTOCOL_E_STRING);
        free(longest);
        ck_assert_int_eq(build(NULL, longest = letters(PROTOCOL_USER_MAX), one, NULL), 0);
        free(longest);
        ck_assert_int_eq(build(NULL, longest = letters(PROTOCOL_USER_MAX + 1), one, NULL), PROTOCOL_E_STRING);
        free(longest);

        /* 24 fixed bytes, two empty strings and the NUL of the only argument */
        one[0] = longest = letters(PROTOCOL_EXEC_MAX - 24 - 3);
        ck_assert_int_eq(build(NULL, NULL, one, NULL), 0);
        free(longest);
        one[0] = longest = letters(PROTOCOL_EXEC_MAX - 24 - 2);
        ck_assert_int_eq(build(NULL, NULL, one, NULL), PROTOCOL_E_LENGTH);
        ck_assert_int_eq(build(NULL, NULL, one, one), PROTOCOL_E_STRING);
        free(longest);
        one[0] = longest = letters(4 * PROTOCOL_EXEC_MAX);
        ck_assert_int_eq(build(NULL, NULL, one, NULL), PROTOCOL_E_LENGTH);
        free(longest);
}
END_TEST

START_TEST(test_exec_counts)
{
        static const char *many[PROTOCOL_ARGS_MAX + 2];
        const char *one[] = { "x", NULL };

        for (size_t i = 0; i < PROTOCOL_ARGS_MAX; i++)
                many[i] = "A=1";
        ck_assert_int_eq(build(NULL, NULL, many, many), 0);
        many[PROTOCOL_ARGS_MAX] = "A=1";
        ck_assert_int_eq(build(NULL, NULL, many, NULL), PROTOCOL_E_COUNT);
        ck_assert_int_eq(build(NULL, NULL, one, many), PROTOCOL_E_COUNT);
}
END_TEST

START_TEST(test_hello)
{
        static const struct {
                const char *what;
                uint32_t versions, reserved;
                int expect;
        } rows[] = {
                { "1 to 1", 0x00010001, 0, PROTOCOL_OK },
                { "1 to all", 0xffff0001, 0, PROTOCOL_OK },
                { "0 to 1", 0x00010000, 0, PROTOCOL_E_VALUE },
                { "2 to 1", 0x00010002, 0, PROTOCOL_E_VALUE },
                { "nothing", 0, 0, PROTOCOL_E_VALUE },
                { "reserved", 0x00010001, 1, PROTOCOL_E_RESERVED },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct protocol_hello hello;
                uint8_t p[16] = { 0 };

                put32(p, rows[i].versions);
                put32(p + 4, rows[i].reserved);
                ck_assert_msg(protocol_parse_hello(p, 16, &hello) == rows[i].expect, "%s", rows[i].what);
                ck_assert_int_eq(protocol_parse_hello(p, 15, &hello), PROTOCOL_E_LENGTH);
        }
}
END_TEST

START_TEST(test_welcome)
{
        struct protocol_welcome w = { .version = 1,
                                      .state = PROTOCOL_STATE_NO_ROOT,
                                      .stdin_window = 65536,
                                      .capabilities = 3,
                                      .boot_id = { 9, 8, 7 },
                                      .release = "0.1.0",
                                      .message = "no disk" },
                                got;
        uint8_t frame[PROTOCOL_SMALL_MAX];
        size_t len = protocol_put_welcome(frame, &w) - PROTOCOL_HEADER_SIZE;
        uint8_t *p = frame + PROTOCOL_HEADER_SIZE;

        ck_assert_int_eq(protocol_parse_welcome(p, len, &got), 0);
        ck_assert_str_eq(got.release, w.release);
        ck_assert_str_eq(got.message, w.message);
        ck_assert_mem_eq(got.boot_id, w.boot_id, 16);
        ck_assert_uint_eq(got.stdin_window, 65536);
        ck_assert_int_eq(protocol_parse_welcome(p, len + 4, &got), 0); /* a later agent says more */
        for (size_t n = 0; n < len; n++)
                ck_assert_int_ne(protocol_parse_welcome(p, n, &got), 0);
        p[2] = PROTOCOL_STATE_NR;
        ck_assert_int_eq(protocol_parse_welcome(p, len, &got), PROTOCOL_E_VALUE);
        p[2] = 0;
        p[0] = 2;
        ck_assert_int_eq(protocol_parse_welcome(p, len, &got), PROTOCOL_E_VERSION);
}
END_TEST

START_TEST(test_welcome_limits)
{
        uint8_t p[32 + 64 + 1025 + 8];
        struct protocol_welcome got;

        memset(p, 0, sizeof(p));
        p[0] = 1;
        memset(p + 32, 'r', 63);
        memset(p + 32 + 64, 'm', 1024);
        ck_assert_int_eq(protocol_parse_welcome(p, 32 + 64 + 1025, &got), 0);
        memset(p + 32 + 64, 'm', 1025);
        ck_assert_int_eq(protocol_parse_welcome(p, sizeof(p), &got), PROTOCOL_E_STRING);
        memset(p + 32, 'r', 64);
        ck_assert_int_eq(protocol_parse_welcome(p, sizeof(p), &got), PROTOCOL_E_STRING);
}
END_TEST

START_TEST(test_exit)
{
        static const struct {
                const char *what;
                uint32_t kind, value;
                int expect;
        } rows[] = {
                { "0", PROTOCOL_EXITED, 0, PROTOCOL_OK },
                { "255", PROTOCOL_EXITED, 255, PROTOCOL_OK },
                { "256", PROTOCOL_EXITED, 256, PROTOCOL_E_VALUE },
                { "signal 0", PROTOCOL_SIGNALLED, 0, PROTOCOL_E_VALUE },
                { "signal 64", PROTOCOL_SIGNALLED, 64, PROTOCOL_OK },
                { "signal 65", PROTOCOL_SIGNALLED, 65, PROTOCOL_E_VALUE },
                { "kind 2", PROTOCOL_KIND_NR, 1, PROTOCOL_E_VALUE },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct protocol_exit e = { .kind = rows[i].kind,
                                           .value = rows[i].value,
                                           .utime_us = 1ull << 40,
                                           .stime_us = 5,
                                           .maxrss_kib = 77,
                                           .flags = PROTOCOL_EXIT_OOM,
                                           .elapsed_us = 8,
                                           .read_bytes = 1ull << 50,
                                           .write_bytes = 9 },
                                     got;
                uint8_t frame[PROTOCOL_SMALL_MAX];
                size_t len = protocol_put_exit(frame, 3, &e) - PROTOCOL_HEADER_SIZE;

                ck_assert_msg(protocol_parse_exit(frame + 16, len, &got) == rows[i].expect, "%s",
                              rows[i].what);
                ck_assert_int_eq(protocol_parse_exit(frame + 16, 39, &got), PROTOCOL_E_LENGTH);
                if (rows[i].expect)
                        continue;
                ck_assert_uint_eq(got.flags, PROTOCOL_EXIT_OOM);
                ck_assert_uint_eq(got.elapsed_us, 8);
                ck_assert_uint_eq(got.read_bytes, 1ull << 50);
                ck_assert_uint_eq(got.write_bytes, 9);
                ck_assert_int_eq(protocol_parse_exit(frame + 16, 40, &got), 0); /* of an older agent */
                ck_assert_uint_eq(got.elapsed_us, 0);
                ck_assert_uint_eq(got.utime_us, e.utime_us);
                ck_assert_uint_eq(got.maxrss_kib, 77);
        }
}
END_TEST

START_TEST(test_error)
{
        uint8_t frame[PROTOCOL_SMALL_MAX];
        struct protocol_error got;
        char *text = letters(2 * PROTOCOL_TEXT_MAX);
        size_t len = protocol_put_error(frame, 4, PROTOCOL_FAULT_CWD, 2, text) - PROTOCOL_HEADER_SIZE;

        ck_assert_uint_eq(len, 8 + PROTOCOL_TEXT_MAX); /* cut */
        ck_assert_int_eq(protocol_parse_error(frame + 16, len, &got), 0);
        ck_assert_uint_eq(got.code, PROTOCOL_FAULT_CWD);
        ck_assert_uint_eq(got.host_errno, 2);
        ck_assert_uint_eq(got.text_len, PROTOCOL_TEXT_MAX);
        ck_assert_int_eq(protocol_parse_error(frame + 16, len + 1, &got), PROTOCOL_E_LENGTH);
        ck_assert_int_eq(protocol_parse_error(frame + 16, 7, &got), PROTOCOL_E_LENGTH);
        put32(frame + 16, 0);
        ck_assert_int_eq(protocol_parse_error(frame + 16, len, &got), PROTOCOL_E_VALUE);
        free(text);
        for (uint32_t code = 1; code < PROTOCOL_FAULT_NR; code++)
                ck_assert_ptr_nonnull(protocol_fault_name(code));
        ck_assert_str_eq(protocol_fault_name(PROTOCOL_FAULT_NR), "unknown");
        ck_assert_str_eq(protocol_fault_name(0), "unknown");
        ck_assert_str_eq(protocol_strerror(-1), "unknown error");
}
END_TEST

START_TEST(test_shutdown_and_window)
{
        struct protocol_shutdown got;
        uint8_t frame[PROTOCOL_SMALL_MAX];
        uint32_t window;

        ck_assert_uint_eq(protocol_put_shutdown(frame, 1, PROTOCOL_REBOOT, PROTOCOL_GRACE_MAX_MS), 24);
        ck_assert_int_eq(protocol_parse_shutdown(frame + 16, 8, &got), 0);
        ck_assert_uint_eq(got.how, PROTOCOL_REBOOT);
        ck_assert_int_eq(protocol_parse_shutdown(frame + 16, 9, &got), PROTOCOL_E_LENGTH);
        protocol_put_shutdown(frame, 1, PROTOCOL_REBOOT, PROTOCOL_GRACE_MAX_MS + 1);
        ck_assert_int_eq(protocol_parse_shutdown(frame + 16, 8, &got), PROTOCOL_E_VALUE);
        protocol_put_shutdown(frame, 1, PROTOCOL_HOW_NR, 0);
        ck_assert_int_eq(protocol_parse_shutdown(frame + 16, 8, &got), PROTOCOL_E_VALUE);

        protocol_put_window(frame, 1, PROTOCOL_DATA_MAX);
        ck_assert_int_eq(protocol_parse_window(frame + 16, 4, &window), 0);
        ck_assert_uint_eq(window, PROTOCOL_DATA_MAX);
        protocol_put_window(frame, 1, PROTOCOL_DATA_MAX + 1);
        ck_assert_int_eq(protocol_parse_window(frame + 16, 4, &window), PROTOCOL_E_VALUE);
        protocol_put_window(frame, 1, 0);
        ck_assert_int_eq(protocol_parse_window(frame + 16, 4, &window), PROTOCOL_E_VALUE);
        ck_assert_int_eq(protocol_parse_window(frame + 16, 3, &window), PROTOCOL_E_LENGTH);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_headers,        test_exec,
                test_exec_hostile,   test_options_hostile,
                test_options,        test_too_many_limits,
                test_exec_limits,    test_exec_counts,
                test_hello,          test_welcome,
                test_welcome_limits, test_exit,
                test_error,          test_shutdown_and_window,
        };

        return run_tests("protocol", tests, array_size(tests));
}
