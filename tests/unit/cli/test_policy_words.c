/*
 * --net, --allow and --deny: what policy comes of them, and what is said of mistakes.
 */
#include "cli/policy_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/run.h"

static struct problem problem;

/* @rules: "allow", what, ... Return: the policy's text, "" for none, NULL for a mistake. */
static const char *words(const char *net, const char *const *rules)
{
        static char *text;
        struct cli_list list = { 0 };

        list.items = (const char **)(uintptr_t)rules;
        while (rules && rules[list.n])
                list.n++;
        free(text);
        text = NULL;
        problem = (struct problem){ 0 };
        if (policy_words_read(net, &list, &text, &problem))
                return NULL;
        return text ? text : "";
}
#define RULES(...) ((const char *const[]){ __VA_ARGS__, NULL })

START_TEST(test_understood)
{
        const char *text;

        ck_assert_str_eq(words(NULL, NULL), "");
        ck_assert_str_eq(words("none", NULL), "");
        ck_assert_ptr_nonnull(strstr(words("public", NULL), "mode = \"public\""));
        ck_assert_ptr_nonnull(strstr(words("deny", NULL), "mode = \"deny\""));
        text = words(NULL, RULES("deny", "b.example.org", "allow", "*.Example.org:80,443"));
        ck_assert_ptr_nonnull(strstr(text, "mode = \"allow\""));
        ck_assert_ptr_nonnull(strstr(text, "\"deny b.example.org\""));
        ck_assert_ptr_nonnull(strstr(text, "\"allow *.example.org:80,443\""));
        ck_assert(strstr(text, "deny b") < strstr(text, "allow *"));
}
END_TEST

START_TEST(test_file)
{
        char path[] = "/tmp/vmlet-policy-XXXXXX";
        static const char good[] = "mode = \"allow\"\nrules = [\"allow example.org\"]\n";
        static const char bad[] = "mode = \"allow\"\nrules = [\"allow example..org\"]\n";
        int fd = mkstemp(path);
        const char *text;

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(pwrite(fd, good, strlen(good), 0), (int)strlen(good));
        text = words(path, RULES("allow", "10.1.0.0/16"));
        ck_assert_ptr_nonnull(text);
        ck_assert(strstr(text, "example.org") < strstr(text, "10.1.0.0/16"));
        ck_assert_int_eq(pwrite(fd, bad, strlen(bad), 0), (int)strlen(bad));
        ck_assert_ptr_null(words(path, NULL));
        ck_assert_msg(strstr(problem.text, path) && strstr(problem.text, "line 2"), "%s", problem.text);
        close(fd);
        unlink(path);
        ck_assert_ptr_null(words(path, NULL));
        ck_assert_ptr_nonnull(strstr(problem.text, "No such file"));
}
END_TEST

START_TEST(test_refused)
{
        static const struct {
                const char *net, *rules[5], *expect;
        } rows[] = {
                { "pubic", { NULL }, "did you mean public?" },
                { "xyz", { NULL }, "write none, deny, allow, public" },
                { "none", { "allow", "example.org" }, "--allow: with --net none" },
                { NULL, { "deny", "example.org" }, "--deny alone" },
                { NULL, { "allow", "exa mple.org" }, "--allow exa mple.org: " },
                { NULL, { "allow", "example.org:0" }, "--allow example.org:0: " },
                { NULL, { "allow", "10.0.0.0/33" }, "--allow 10.0.0.0/33: " },
                { "deny", { "allow", "example.org" }, "the network's rules: " },
                { NULL, { "allow", "*", "allow", "example.org" }, "the network's rules: " },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                ck_assert_msg(!words(rows[i].net, rows[i].rules), "row %zu", i);
                ck_assert_int_eq(problem.status, CLI_FAILED);
                ck_assert_msg(strstr(problem.text, rows[i].expect), "row %zu: %s", i, problem.text);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_understood, test_file, test_refused };

        return run_tests("policy_words", tests, array_size(tests));
}
