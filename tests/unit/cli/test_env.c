/*
 * Variables and limits as people write them.
 */
#include "cli/env.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/run.h"

START_TEST(test_variables)
{
        struct problem problem = { 0 };
        struct env e = { 0 };

        setenv("INHERITED", "from here", 1);
        ck_assert_int_eq(env_add(&e, "A=1", "--env", &problem), 0);
        ck_assert_int_eq(env_add(&e, "AB=2", "--env", &problem), 0);
        ck_assert_int_eq(env_add(&e, "INHERITED", "--env", &problem), 0);
        ck_assert_int_eq(env_add(&e, "NO_SUCH_VARIABLE", "--env", &problem), 0);
        ck_assert_int_eq(env_add(&e, "A=x=y", "--env", &problem), 0); /* the last wins */
        ck_assert_uint_eq(e.nr, 3);
        ck_assert_str_eq(e.items[0], "A=x=y");
        ck_assert_str_eq(e.items[1], "AB=2");
        ck_assert_str_eq(e.items[2], "INHERITED=from here");
        ck_assert_ptr_null(e.items[3]);
        ck_assert_int_eq(env_add(&e, "=x", "--env", &problem), -1);
        env_fini(&e);
}
END_TEST

static int add_file(struct env *e, const char *text, struct problem *problem)
{
        char path[] = "/tmp/vmlet-test-env-XXXXXX";
        int fd = mkstemp(path), r;

        ck_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
        close(fd);
        r = env_add_file(e, path, problem);
        unlink(path);
        return r;
}

START_TEST(test_file)
{
        struct problem problem = { 0 };
        struct env e = { 0 };

        setenv("INHERITED", "yes", 1);
        ck_assert_int_eq(add_file(&e, "# comment\n\nA=1 2 # 3\r\n  B=\nINHERITED\nNO_SUCH_VARIABLE\nC=\"q\"",
                                  &problem),
                         0);
        ck_assert_uint_eq(e.nr, 4);
        ck_assert_str_eq(e.items[0], "A=1 2 # 3");
        ck_assert_str_eq(e.items[1], "B=");
        ck_assert_str_eq(e.items[2], "INHERITED=yes");
        ck_assert_str_eq(e.items[3], "C=\"q\"");
        ck_assert_int_eq(add_file(&e, "A=1\n=x\n", &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "line 2"));
        problem = (struct problem){ 0 };
        ck_assert_int_eq(add_file(&e, "A B=1", &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "no blanks"));
        problem = (struct problem){ 0 };
        ck_assert_int_eq(env_add_file(&e, "/no/such/file", &problem), -1);
        env_fini(&e);
}
END_TEST

START_TEST(test_limits)
{
        static const char *const refused[] = { "nofile",     "nofile=",   "nofile=x", "no=1",
                                               "nofile=2:1", "nofile=1:", "=1" };
        struct problem problem = { 0 };
        struct protocol_rlimit limit;

        ck_assert_int_eq(env_limit("nofile=1024:2048", &limit, &problem), 0);
        ck_assert(limit.resource == 7 && limit.soft == 1024 && limit.hard == 2048);
        ck_assert_int_eq(env_limit("core=unlimited", &limit, &problem), 0);
        ck_assert(limit.resource == 4 && limit.soft == UINT64_MAX && limit.hard == UINT64_MAX);
        ck_assert_int_eq(env_limit("stack=1:-1", &limit, &problem), 0);
        ck_assert(limit.resource == 3 && limit.soft == 1 && limit.hard == UINT64_MAX);
        for (size_t i = 0; i < array_size(refused); i++)
                ck_assert_msg(env_limit(refused[i], &limit, &problem) == -1, "%s", refused[i]);
        problem = (struct problem){ 0 };
        ck_assert_int_eq(env_limit("nofiles=1", &limit, &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "did you mean nofile?"));
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_variables, test_file, test_limits };

        return run_tests("env", tests, array_size(tests));
}
