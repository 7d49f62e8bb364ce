#pragma once
/*
 * What every unit test's main() does: run its suite, one process a test, and compare the open
 * descriptors before and after each. A test file ends with
 *
 *         int main(void)
 *         {
 *                 const TTest *const tests[] = { test_one, test_two };
 *
 *                 return run_tests("queue", tests, array_size(tests));
 *         }
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "vmm/base/compiler.h"

#define RUN_TIMEOUT_S 60

static int run_fds_before;

/* The folder's own descriptor is counted both times. */
static inline int run_count_fds(void)
{
        DIR *d = opendir("/proc/self/fd");
        int n = 0;

        ck_assert_ptr_nonnull(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n;
}

static inline void run_set_up(void)
{
        run_fds_before = run_count_fds();
}

static inline void run_tear_down(void)
{
        ck_assert_msg(run_count_fds() == run_fds_before, "descriptors leaked: %d before, %d after",
                      run_fds_before, run_count_fds());
}

/* A test, and how often it runs: with _i from 0 to times - 1. */
struct run_test {
        const TTest *test;
        int times;
};

static inline int run_loop_tests(const char *name, const struct run_test *tests, size_t n)
{
        Suite *suite = suite_create(name);
        TCase *tc = tcase_create(name);
        SRunner *runner;
        int failed;

        tcase_add_checked_fixture(tc, run_set_up, run_tear_down);
        tcase_set_timeout(tc, RUN_TIMEOUT_S);
        for (size_t i = 0; i < n; i++)
                tcase_add_loop_test(tc, tests[i].test, 0, tests[i].times);
        suite_add_tcase(suite, tc);
        runner = srunner_create(suite);
        srunner_run_all(runner, CK_NORMAL);
        failed = srunner_ntests_failed(runner);
        srunner_free(runner);
        return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static inline int run_tests(const char *name, const TTest *const *tests, size_t n)
{
        struct run_test *once = calloc(n, sizeof(*once));
        int r;

        for (size_t i = 0; i < n; i++)
                once[i] = (struct run_test){ .test = tests[i], .times = 1 };
        r = run_loop_tests(name, once, n);
        free(once);
        return r;
}
