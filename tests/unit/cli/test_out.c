/*
 * What commands print.
 */
#include "cli/out.h"

#include <string.h>

#include "tests/unit/run.h"

static char *text;
static size_t len;
static FILE *to;

static void begin(void)
{
        to = open_memstream(&text, &len);
}

static void expect(const char *what)
{
        fclose(to);
        ck_assert_str_eq(text, what);
        free(text);
}

START_TEST(test_table)
{
        static const struct out_column columns[] = { { "NAME", false }, { "SIZE", true }, { "WHAT", false } };
        cleanup(out_table_freep) struct out_table *t = NULL;

        ck_assert_int_eq(out_table_new(columns, array_size(columns), &t), 0);
        out_cell(t, "a long name");
        out_cell(t, "%d", 7);
        out_cell(t, "x");
        out_cell(t, "\xc3\xa9\033");
        out_cell(t, "123456");
        out_cell(t, "y z");
        begin();
        ck_assert_int_eq(out_table_print(t, to), 0);
        expect("NAME           SIZE  WHAT\n"
               "a long name       7  x\n"
               "\xc3\xa9?           123456  y z\n");
}
END_TEST

START_TEST(test_many_rows)
{
        static const struct out_column columns[] = { { "N", true } };
        cleanup(out_table_freep) struct out_table *t = NULL;

        ck_assert_int_eq(out_table_new(columns, 1, &t), 0);
        for (int i = 0; i < 1000; i++)
                ck_assert_int_eq(out_cell(t, "%d", i), 0);
        begin();
        ck_assert_int_eq(out_table_print(t, to), 0);
        fclose(to);
        ck_assert_uint_eq(len, 1001 * 4);
        free(text);
}
END_TEST

START_TEST(test_json)
{
        struct out_json j;

        begin();
        j = (struct out_json){ .to = to };
        out_json_open(&j, NULL, '{');
        out_json_text(&j, "a", "q\"\\\n\xc3\xa9\xff\033\xe2\x80\xae");
        out_json_text(&j, "none", NULL);
        out_json_open(&j, "list", '[');
        out_json_number(&j, NULL, UINT64_MAX);
        out_json_open(&j, NULL, '{');
        out_json_close(&j, '}');
        out_json_open(&j, NULL, '[');
        out_json_close(&j, ']');
        out_json_close(&j, ']');
        out_json_bool(&j, "yes", true);
        out_json_close(&j, '}');
        out_json_open(&j, NULL, '[');
        out_json_close(&j, ']');
        expect("{\"a\":\"q\\\"\\\\\\u000a\xc3\xa9\\ufffd\\u001b\xe2\x80\xae\",\"none\":null,"
               "\"list\":[18446744073709551615,{},[]],\"yes\":true}[]");
}
END_TEST

START_TEST(test_json_indented)
{
        struct out_json j;

        begin();
        j = (struct out_json){ .to = to, .indented = true };
        out_json_open(&j, NULL, '[');
        out_json_open(&j, NULL, '{');
        out_json_text(&j, "a", "b");
        out_json_open(&j, "none", '[');
        out_json_close(&j, ']');
        out_json_open(&j, "list", '[');
        out_json_number(&j, NULL, 1);
        out_json_number(&j, NULL, 2);
        out_json_close(&j, ']');
        out_json_close(&j, '}');
        out_json_close(&j, ']');
        expect("[\n    {\n        \"a\": \"b\",\n        \"none\": [],\n        \"list\": [\n            1,\n"
               "            2\n        ]\n    }\n]");
}
END_TEST

START_TEST(test_words)
{
        static const struct {
                uint64_t bytes;
                const char *word;
        } sizes[] = {
                { 0, "0 B" },           { 1023, "1023 B" },        { 1024, "1.0 KiB" },
                { 1536, "1.5 KiB" },    { 102399, "99.9 KiB" },    { 102400, "100 KiB" },
                { 1 << 20, "1.0 MiB" }, { 5ull << 30, "5.0 GiB" }, { UINT64_MAX, "15.9 EiB" },
        };
        static const struct {
                uint64_t s;
                const char *word;
        } times[] = {
                { 0, "0 seconds" },      { 1, "1 second" },   { 119, "119 seconds" }, { 120, "2 minutes" },
                { 7199, "119 minutes" }, { 7200, "2 hours" }, { 200000, "2 days" },
        };
        char word[OUT_WORD];

        for (size_t i = 0; i < array_size(sizes); i++)
                ck_assert_str_eq(out_size(word, sizes[i].bytes), sizes[i].word);
        for (size_t i = 0; i < array_size(times); i++)
                ck_assert_str_eq(out_duration(word, times[i].s * 1000000000), times[i].word);
        ck_assert_str_eq(out_time(word, 1000000000ull * 1000000000), "2001-09-09T01:46:40Z");
        ck_assert_uint_lt(strlen(out_time(word, UINT64_MAX)), OUT_WORD);
        begin();
        ck_assert(!out_has_colours(stdin));
        expect("");
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_table, test_many_rows, test_json, test_json_indented,
                                       test_words };

        return run_tests("out", tests, array_size(tests));
}
