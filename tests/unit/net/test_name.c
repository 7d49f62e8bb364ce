/*
 * Names of hosts.
 */
#include <string.h>

#include "net/name.h"
#include "tests/unit/run.h"

START_TEST(test_read)
{
        static const struct {
                const char *text;
                int result;
                const char *name;
        } rows[] = {
                { "example.com", NAME_OK, "example.com" },
                { "eXample.COM.", NAME_OK, "example.com" },
                { "com", NAME_OK, "com" },
                { "_a-b.c_d", NAME_OK, "_a-b.c_d" },
                { "1.2.3.4.in-addr.arpa", NAME_OK, "1.2.3.4.in-addr.arpa" },
                { "xn--exmple-cua.com", NAME_OK, "xn--exmple-cua.com" },
                { "1.0xg", NAME_OK, "1.0xg" },
                { "", NAME_E_EMPTY, NULL },
                { ".", NAME_E_EMPTY, NULL },
                { "..", NAME_E_LABEL, NULL },
                { ".com", NAME_E_LABEL, NULL },
                { "a..b", NAME_E_LABEL, NULL },
                { "example.com..", NAME_E_LABEL, NULL },
                { "a b", NAME_E_BYTE, NULL },
                { "a/b", NAME_E_BYTE, NULL },
                { "*.com", NAME_E_BYTE, NULL },
                { "::1", NAME_E_BYTE, NULL },
                { "a\x7f", NAME_E_BYTE, NULL },
                { "ex\xc3\xa4mple.com", NAME_E_IDN, NULL },
                { "1.2.3.4", NAME_E_NUMBER, NULL },
                { "1.2.3.4.", NAME_E_NUMBER, NULL },
                { "16909060", NAME_E_NUMBER, NULL },
                { "example.08", NAME_E_NUMBER, NULL },
                { "0x7f000001", NAME_E_NUMBER, NULL },
                { "1.0XAB", NAME_E_NUMBER, NULL },
                { "1.0x", NAME_E_NUMBER, NULL },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                name_t name = "before";
                int r = name_read(rows[i].text, strlen(rows[i].text), name);

                ck_assert_msg(r == rows[i].result, "%s: %d", rows[i].text, r);
                ck_assert_str_eq(name, rows[i].name ? rows[i].name : "before");
        }
}
END_TEST

START_TEST(test_limits)
{
        char text[300];
        name_t name;

        for (size_t i = 0; i < sizeof(text); i++)
                text[i] = i % 64 == 63 ? '.' : 'x';
        ck_assert_int_eq(name_read(text, NAME_LEN_MAX, name), NAME_OK);
        ck_assert_uint_eq(strlen(name), NAME_LEN_MAX);
        ck_assert_int_eq(name_read(text, NAME_LEN_MAX + 1, name), NAME_E_LONG);
        text[NAME_LEN_MAX] = '.';
        ck_assert_int_eq(name_read(text, NAME_LEN_MAX + 1, name), NAME_OK);
        memset(text, 'x', NAME_LABEL_MAX + 1);
        ck_assert_int_eq(name_read(text, NAME_LABEL_MAX, name), NAME_OK);
        ck_assert_int_eq(name_read(text, NAME_LABEL_MAX + 1, name), NAME_E_LABEL);
        ck_assert_int_eq(name_read("a\0b", 3, name), NAME_E_BYTE);
        ck_assert_int_eq(name_read("ab\0", 3, name), NAME_E_BYTE);
}
END_TEST

START_TEST(test_below)
{
        ck_assert(name_is_below("a.example.com", "example.com"));
        ck_assert(name_is_below("a.b.example.com", "example.com"));
        ck_assert(!name_is_below("example.com", "example.com"));
        ck_assert(!name_is_below("anexample.com", "example.com"));
        ck_assert(!name_is_below("com", "example.com"));
        ck_assert(!name_is_below("example.com.org", "example.com"));
        for (int e = 0; e <= NAME_E_NR; e++)
                ck_assert_str_ne(name_strerror(e), "");
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_read, test_limits, test_below };

        return run_tests("name", tests, array_size(tests));
}
