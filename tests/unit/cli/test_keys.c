/*
 * Detach keys.
 */
#include "cli/keys.h"

#include <string.h>

#include "tests/unit/run.h"

START_TEST(test_parse)
{
        static const char *const refused[] = {
                ",",
                "a,",
                ",a",
                "ctrl-",
                "ctrl-A",
                "ctrl-1",
                "ab",
                "a b",
                "ctrl-p ctrl-q",
                "\xc3\xa9",
                "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a",
        };
        struct keys keys;

        ck_assert(keys_parse("", &keys) && !keys.nr);
        ck_assert(keys_parse("ctrl-p,ctrl-q", &keys) && keys.nr == 2);
        ck_assert_mem_eq(keys.sequence, "\x10\x11", 2);
        ck_assert(keys_parse("x,ctrl-@,ctrl-],ctrl-_,Z,0", &keys) && keys.nr == 6);
        ck_assert_mem_eq(keys.sequence, "x\0\x1d\x1fZ0", 6);
        ck_assert(keys_parse("a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", &keys) && keys.nr == KEYS_MAX);
        for (size_t i = 0; i < array_size(refused); i++)
                ck_assert_msg(!keys_parse(refused[i], &keys), "%s", refused[i]);
}
END_TEST

/* Typed in one go, and byte by byte. */
START_TEST(test_filter)
{
        static const struct {
                const char *keys, *typed, *passed;
                bool detached;
                size_t held;
        } rows[] = {
                { "a,b", "xay", "xay", false, 0 },       { "a,b", "xa", "x", false, 1 },
                { "a,b", "xabz", "x", true, 2 },         { "a,b", "aab", "a", true, 2 },
                { "a,a,b", "aaab", "a", true, 3 },       { "a,b,a,c", "ababac", "ab", true, 4 },
                { "a,b,a,c", "abax", "abax", false, 0 }, { "", "abc", "abc", false, 0 },
                { "x", "abx", "ab", true, 1 },
        };

        for (size_t i = 0; i < array_size(rows) * 2; i++) {
                size_t row = i / 2, n = strlen(rows[row].typed), step = i % 2 ? 1 : n, len = 0;
                uint8_t buf[64], passed[64];
                bool detached = false;
                struct keys keys;

                ck_assert(keys_parse(rows[row].keys, &keys));
                for (size_t at = 0; at < n && !detached; at += step) {
                        memcpy(buf + KEYS_MAX, rows[row].typed + at, step);

                        size_t got = keys_filter(&keys, buf + KEYS_MAX, step, buf, &detached);

                        memcpy(passed + len, buf, got);
                        len += got;
                }
                ck_assert_msg(detached == rows[row].detached && len == strlen(rows[row].passed) &&
                                      keys.held == rows[row].held,
                              "%zu", i);
                ck_assert_mem_eq(passed, rows[row].passed, len);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_parse, test_filter };

        return run_tests("keys", tests, array_size(tests));
}
