/*
 * Options of subcommands: what is understood, and what is said about the rest.
 */
#include "cli/cli.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"

struct values {
        bool flag, other;
        const char *text;
        struct cli_list list, named;
        uint64_t time_ns, number, size;
};

static const struct cli_option options[] = {
        { 'f', "flag", CLI_FLAG, NULL, offsetof(struct values, flag), "a flag" },
        { 'o', "other-flag", CLI_FLAG, NULL, offsetof(struct values, other), "another" },
        { 't', "text", CLI_TEXT, "TEXT", offsetof(struct values, text), "a text" },
        { 'l', "list", CLI_LIST, "ITEM", offsetof(struct values, list), "a list" },
        { 0, "yes", CLI_NAMED, "WHAT", offsetof(struct values, named), "may be" },
        { 0, "no", CLI_NAMED, "WHAT", offsetof(struct values, named), "may not be" },
        { 0, "time", CLI_DURATION, "TIME", offsetof(struct values, time_ns), "a time" },
        { 'n', "number", CLI_NUMBER, "N", offsetof(struct values, number), "a number" },
        { 's', "size", CLI_SIZE, "SIZE", offsetof(struct values, size), "a size" },
        { 0 },
};
static struct cli_command command = { .name = "test", .usage = "COMMAND", .summary = "", .options = options };
static char last_words[64]; /* what parse() left behind the options */

static struct values v;
static struct problem problem;
static int rest;

/* @line: words with blanks between them */
static int parse(const char *line)
{
        static char words[256];
        char *argv[16] = { (char[]){ "test" } }, *at, *save;
        int argc = 1;

        snprintf(words, sizeof(words), "%s", line);
        for (at = strtok_r(words, " ", &save); at; at = strtok_r(NULL, " ", &save))
                argv[argc++] = at;
        free(v.list.items);
        v = (struct values){ 0 };
        problem = (struct problem){ 0 };

        int r = cli_parse(&command, argc, argv, &v, &rest, &problem);

        *last_words = 0;
        for (int i = rest; !r && i < argc; i++)
                strcat(strcat(last_words, argv[i]), " ");
        return r;
}

START_TEST(test_understood)
{
        ck_assert_int_eq(parse(""), 0);
        ck_assert_int_eq(rest, 1);
        ck_assert_int_eq(parse("-f --text x SOCKET -o"), 0);
        ck_assert(v.flag && !v.other);
        ck_assert_str_eq(v.text, "x");
        ck_assert_int_eq(rest, 4);
        ck_assert_int_eq(parse("-fo -tx --list=a --list b -l c -ld"), 0);
        ck_assert(v.flag && v.other);
        ck_assert_str_eq(v.text, "x");
        ck_assert_uint_eq(v.list.n, 4);
        ck_assert_str_eq(v.list.items[0], "a");
        ck_assert_str_eq(v.list.items[3], "d");
        ck_assert_ptr_null(v.list.items[4]);
        ck_assert_int_eq(parse("-ft x -- -f"), 0);
        ck_assert_str_eq(v.text, "x");
        ck_assert_int_eq(rest, 4);
        ck_assert_int_eq(parse("--ot --te=y --time 1500ms"), 0); /* beginnings of names */
        ck_assert(v.other);
        ck_assert_str_eq(v.text, "y");
        ck_assert_uint_eq(v.time_ns, 1500000000);
        ck_assert_int_eq(parse("-n5 --size 2M"), 0);
        ck_assert_uint_eq(v.number, 5);
        ck_assert_uint_eq(v.size, 2 << 20);
        ck_assert_int_eq(parse("--text= -"), 0);
        ck_assert_str_eq(v.text, "");
        ck_assert_int_eq(rest, 2);
        ck_assert_int_eq(parse("--yes a -f --no b --ye=c"), 0);
        ck_assert_uint_eq(v.named.n, 6);
        for (size_t i = 0; i < 6; i++)
                ck_assert_str_eq(v.named.items[i],
                                 ((const char *[]){ "yes", "a", "no", "b", "yes", "c" })[i]);
        free(v.named.items);
        v.named = (struct cli_list){ 0 };
        ck_assert_int_eq(parse("-f --help"), 1);
        ck_assert_int_eq(parse("-h"), 1);
        free(v.list.items);
        v.list.items = NULL;
}
END_TEST

/* Only a command that runs another leaves it its options. */
START_TEST(test_options_behind_words)
{
        command.usage = "[OPTION]... SANDBOX...";
        ck_assert_int_eq(parse("a -f b --text x c"), 0);
        ck_assert(v.flag && !v.other);
        ck_assert_str_eq(v.text, "x");
        ck_assert_str_eq(last_words, "a b c ");
        ck_assert_int_eq(parse("a -f b -- -o c"), 0);
        ck_assert(v.flag && !v.other);
        ck_assert_str_eq(last_words, "a b -o c ");
        ck_assert_int_eq(parse("a b --text"), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "--text needs a value"));
        ck_assert_int_eq(parse("a - b"), 0);
        ck_assert_str_eq(last_words, "a - b ");
}
END_TEST

START_TEST(test_refused)
{
        static const struct {
                const char *line, *expect;
        } rows[] = {
                { "--flug", "did you mean --flag?" },
                { "--zzzzzzzz", "see vmlet test --help" },
                { "--hepl", "did you mean --help?" },
                { "-x", "unknown option -x" },
                { "-fx", "unknown option -x" },
                { "--t=1", "may mean several" },
                { "--text", "--text needs a value: TEXT" },
                { "-ft", "--text needs a value: TEXT" },
                { "--flag=1", "--flag takes no value" },
                { "--help=1", "--help takes no value" },
                { "--time 3", "not a duration" },
                { "--time=", "not a duration" },
                { "-n -1", "not a whole number" },
                { "--size 1X", "not a size" },
                { "--=", "may mean several" },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                ck_assert_msg(parse(rows[i].line) == -1, "%s", rows[i].line);
                ck_assert_int_eq(problem.status, CLI_FAILED);
                ck_assert_msg(strstr(problem.text, rows[i].expect), "%s: %s", rows[i].line, problem.text);
        }
}
END_TEST

/* Runs vmlet exec with words; nothing is started, all of them are wrong. */
START_TEST(test_exec)
{
        static char *const rows[][5] = {
                { "exec" },
                { "exec", "/no/such/socket" },
                { "exec", "/no/such/socket", "--" },
                { "exec", "/no/such/socket", "-i", "true" },
                { "exec", "-e", "=x", "/no/such/socket", "true" },
                { "exec", "/no/such/socket", "--", "true" },
                { "exec", "-eHOME", "-eNO_SUCH_VARIABLE", "/no/such/socket", "true" },
                { "exec", "-w", "/", "/no/such/socket" },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                char *argv[6] = { 0 };
                int argc = 0;

                for (; argc < 5 && rows[i][argc]; argc++)
                        argv[argc] = rows[i][argc];
                ck_assert_int_eq(cli_exec.run(&cli_exec, argc, argv), CLI_FAILED);
        }
        char *help[] = { "exec", "--help", NULL };

        ck_assert_int_eq(cli_exec.run(&cli_exec, 2, help), 0);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_understood, test_options_behind_words, test_refused, test_exec };

        return run_tests("cli", tests, array_size(tests));
}
