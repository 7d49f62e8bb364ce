/*
 * What is read from files and monitors: settings, log records, answers.
 */
#include <stdio.h>
#include <string.h>

#include "sandbox/limits.h"
#include "sandbox/logs_parse.h"
#include "sandbox/monitor.h"
#include "sandbox/settings_parse.h"
#include "tests/unit/run.h"

START_TEST(test_settings)
{
        static const char text[] =
                "# mine\n[limits] # all\nsandboxes = 20\nmemory = \"16G\"\n disk='1T'\r\n\n[ defaults ]\n"
                "image = \"a \\\"b\\\" \\\\\"\ncpus = '1.5'";
        struct settings s;
        unsigned line;

        ck_assert_int_eq(settings_parse(text, strlen(text), &s, &line), SETTINGS_OK);
        ck_assert_uint_eq(s.max_sandboxes, 20);
        ck_assert_uint_eq(s.max_memory_bytes, 16ull << 30);
        ck_assert_uint_eq(s.max_disk_bytes, 1ull << 40);
        ck_assert_str_eq(s.image, "a \"b\" \\");
        ck_assert_str_eq(s.cpus, "1.5");
        ck_assert_str_eq(s.kernel, "");
}
END_TEST

START_TEST(test_settings_refused)
{
        static const struct {
                const char *text;
                int error;
                unsigned line;
        } rows[] = {
                { "sandboxes = 1", SETTINGS_E_KEY, 1 },
                { "\n[other]", SETTINGS_E_TABLE, 2 },
                { "[limits]\n[defaults]\n[limits]", SETTINGS_E_TWICE, 3 },
                { "[limits]\ndisk = 1\ndisk = 1", SETTINGS_E_TWICE, 3 },
                { "[limits]\nsandboxes = 0", SETTINGS_E_VALUE, 2 },
                { "[limits]\nsandboxes = \"1\"", SETTINGS_E_VALUE, 2 },
                { "[limits]\nmemory = \"much\"", SETTINGS_E_VALUE, 2 },
                { "[limits]\nimage = \"x\"", SETTINGS_E_KEY, 2 },
                { "[defaults]\nimage = x", SETTINGS_E_VALUE, 2 },
                { "[defaults]\nimage = \"\"", SETTINGS_E_VALUE, 2 },
                { "[defaults]\nimage = \"x", SETTINGS_E_SYNTAX, 2 },
                { "[defaults]\nimage = \"x\" y", SETTINGS_E_SYNTAX, 2 },
                { "[defaults]\nimage = [\"x\"]", SETTINGS_E_SYNTAX, 2 },
                { "[defaults", SETTINGS_E_SYNTAX, 1 },
                { "[]", SETTINGS_E_SYNTAX, 1 },
                { "words", SETTINGS_E_SYNTAX, 1 },
                { "# \x01", SETTINGS_E_SYNTAX, 1 },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct settings s;
                unsigned line;
                int r = settings_parse(rows[i].text, strlen(rows[i].text), &s, &line);

                ck_assert_msg(r == rows[i].error && line == rows[i].line, "%s: %d in line %u", rows[i].text,
                              r, line);
        }
}
END_TEST

START_TEST(test_settings_longest)
{
        char text[400];
        struct settings s;
        unsigned line;

        snprintf(text, sizeof(text), "[defaults]\nimage=\"%0255d\"", 1);
        ck_assert_int_eq(settings_parse(text, strlen(text), &s, &line), SETTINGS_OK);
        snprintf(text, sizeof(text), "[defaults]\nimage=\"%0256d\"", 1);
        ck_assert_int_eq(settings_parse(text, strlen(text), &s, &line), SETTINGS_E_LONG);
}
END_TEST

START_TEST(test_cpus)
{
        static const struct {
                const char *text;
                uint64_t milli; /* 0: refused */
        } rows[] = {
                { "1", 1000 },
                { "1.5", 1500 },
                { "0.25", 250 },
                { "2.125", 2125 },
                { "255", 255000 },
                { "0.01", 10 },
                { "0.009", 0 },
                { "256", 0 },
                { "255.001", 0 },
                { "", 0 },
                { "x", 0 },
                { ".5", 0 },
                { "1.5.1", 0 },
                { "-1", 0 },
                { "1e3", 0 },
                { "1.2345", 0 },
                { "99999999999999999999", 0 },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                uint64_t milli = 0;
                bool ok = limits_parse_cpus(rows[i].text, &milli);

                ck_assert_msg(ok == !!rows[i].milli && milli == rows[i].milli, "%s: %d %lu", rows[i].text, ok,
                              (unsigned long)milli);
        }
}
END_TEST

START_TEST(test_weights)
{
        ck_assert_uint_eq(limits_weight(1024), 100);
        ck_assert_uint_eq(limits_weight(2), 1);
        ck_assert_uint_eq(limits_weight(512), 50);
        ck_assert_uint_eq(limits_weight(262144), 10000);
}
END_TEST

START_TEST(test_answers)
{
        static const struct {
                const char *bytes;
                enum monitor_reply reply;
                const char *text;
        } rows[] = {
                { "OK 2\n{}", MONITOR_OK, "{}" },
                { "OK 0\n", MONITOR_OK, "" },
                { "OK 3\n{}", MONITOR_MORE, NULL },
                { "OK 2", MONITOR_MORE, NULL },
                { "", MONITOR_MORE, NULL },
                { "ERR no\n", MONITOR_REFUSED, "no" },
                { "OK\n", MONITOR_BAD, NULL },
                { "OK x\n", MONITOR_BAD, NULL },
                { "OK 262145\n", MONITOR_BAD, NULL },
                { "OK 262144\n", MONITOR_MORE, NULL },
                { "HTTP/1.1 200\n", MONITOR_BAD, NULL },
                { "OK 18446744073709551617\n", MONITOR_BAD, NULL },
                { "\n", MONITOR_BAD, NULL },
        };
        char long_line[MONITOR_LINE_MAX];
        const char *at;
        size_t len;

        for (size_t i = 0; i < array_size(rows); i++) {
                enum monitor_reply r = monitor_parse(rows[i].bytes, strlen(rows[i].bytes), &at, &len);

                ck_assert_msg(r == rows[i].reply, "%s: %d", rows[i].bytes, (int)r);
                if (rows[i].text)
                        ck_assert(len == strlen(rows[i].text) && !memcmp(at, rows[i].text, len));
        }
        memset(long_line, 'E', sizeof(long_line));
        ck_assert_int_eq(monitor_parse(long_line, sizeof(long_line) - 1, &at, &len), MONITOR_MORE);
        ck_assert_int_eq(monitor_parse(long_line, sizeof(long_line), &at, &len), MONITOR_BAD);
}
END_TEST

START_TEST(test_log_records)
{
        uint8_t bytes[LOGS_HEADER_SIZE + 4] = { 1, 0, 0, 0, 0, 0, 0,   0,   2,   0,
                                                0, 0, 4, 0, 0, 0, 'w', 'o', 'r', 'd' };
        struct logs_record r;

        ck_assert_int_eq(logs_parse(bytes, sizeof(bytes), &r), LOGS_OK);
        ck_assert(r.kind == LOGS_STDERR && r.time_ns == 1 && r.len == 4 && r.size == sizeof(bytes));
        for (size_t n = 0; n < sizeof(bytes); n++)
                ck_assert_int_eq(logs_parse(bytes, n, &r), LOGS_E_MORE);
        bytes[8] = 3;
        ck_assert_int_eq(logs_parse(bytes, sizeof(bytes), &r), LOGS_E_BAD);
        bytes[8] = 1, bytes[11] = 1;
        ck_assert_int_eq(logs_parse(bytes, sizeof(bytes), &r), LOGS_E_BAD);
        bytes[11] = 0, bytes[12] = 0;
        ck_assert_int_eq(logs_parse(bytes, sizeof(bytes), &r), LOGS_E_BAD);
        bytes[14] = 0x10; /* LOGS_RECORD_MAX */
        ck_assert_int_eq(logs_parse(bytes, sizeof(bytes), &r), LOGS_E_MORE);
        bytes[12] = 1;
        ck_assert_int_eq(logs_parse(bytes, sizeof(bytes), &r), LOGS_E_BAD);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_settings, test_settings_refused, test_settings_longest, test_cpus,
                                       test_weights,  test_answers,          test_log_records };

        return run_tests("parsers", tests, array_size(tests));
}
