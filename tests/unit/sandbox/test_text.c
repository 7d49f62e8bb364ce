/*
 * Texts of a guest on a terminal.
 */
#include "sandbox/text.h"

#include <string.h>

#include "tests/unit/run.h"

START_TEST(test_printable)
{
        static const struct {
                const char *text, *shown;
                size_t columns;
        } rows[] = {
                { "plain", "plain", 5 },
                { "", "", 0 },
                { "\033[2J\rgone\n", "?[2J?gone?", 10 },
                { "\x7f\xc2\x80\xc2\x9f", "???", 3 },
                { "\xc3\x80\xc3\xa9", "\xc3\x80\xc3\xa9", 2 }, /* letters whose bytes look like controls */
                { "\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac\xf0\x9f\x98\x80", 2 },
                { "a\xff\xc3", "a??", 3 },              /* no UTF-8, and cut off */
                { "\xc0\xaf\xe0\x80\xaf", "?????", 5 }, /* longer than they need be */
                { "\xed\xa0\x80", "???", 3 },           /* half of a pair */
                { "\xf4\x90\x80\x80", "????", 4 },      /* past the last character */
                { "\xe2\x80\xae"
                  "evil\xe2\x81\xa6",
                  "?evil?", 6 }, /* would be written backwards */
        };
        char to[64];

        for (size_t i = 0; i < array_size(rows); i++) {
                ck_assert_uint_eq(text_printable(rows[i].text, strlen(rows[i].text), to, sizeof(to)),
                                  rows[i].columns);
                ck_assert_str_eq(to, rows[i].shown);
        }
        ck_assert_uint_eq(text_printable("a\0b", 3, to, sizeof(to)), 3);
        ck_assert_str_eq(to, "a?b");
}
END_TEST

START_TEST(test_cut)
{
        char to[5];

        ck_assert_uint_eq(text_printable("abcdef", 6, to, sizeof(to)), 4);
        ck_assert_str_eq(to, "abcd");
        ck_assert_uint_eq(text_printable("abc\xc3\xa9", 5, to, sizeof(to)), 3); /* not in the middle of one */
        ck_assert_str_eq(to, "abc");
        ck_assert_uint_eq(text_printable("x", 1, to, 1), 0);
        ck_assert_str_eq(to, "");
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_printable, test_cut };

        return run_tests("text", tests, array_size(tests));
}
