/* What is opened for a VM. */
#include "tests/unit/run.h"

#include <string.h>
#include <unistd.h>

#include "vmm/files.h"
#include "vmm/status.h"

/* The number of the next descriptor of ours, which nobody else gave us. */
START_TEST(test_ready_fd_is_none_of_ours)
{
        struct vm_config c = {
                .kernel = "/proc/self/exe",
                .initrd = "none",
                .serial = "off",
                .ready_fd = dup(STDERR_FILENO),
        };
        struct problem p = { 0 };
        struct files f;

        ck_assert_int_ge(c.ready_fd, 0);
        ck_assert_int_eq(close(c.ready_fd), 0);
        ck_assert_int_eq(files_open(&f, &c, &p), -1);
        ck_assert_int_eq(p.status, VMM_E_USAGE);
        ck_assert_ptr_nonnull(strstr(p.text, "is not open"));
}
END_TEST

START_TEST(test_nothing_stays_open_behind_a_problem)
{
        struct vm_config c = {
                .kernel = "/proc/self/exe", .initrd = "/nonexistent", .serial = "off", .ready_fd = -1
        };
        struct problem p = { 0 };
        struct files f;

        ck_assert_int_eq(files_open(&f, &c, &p), -1);
        ck_assert_int_eq(p.status, VMM_E_INPUT);
        ck_assert_ptr_nonnull(strstr(p.text, "initrd '/nonexistent': no such file"));
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_ready_fd_is_none_of_ours,
                                       test_nothing_stays_open_behind_a_problem };

        return run_tests("files", tests, array_size(tests));
}
