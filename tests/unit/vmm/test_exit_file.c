/* How a VM ended, in a file. */
#include "vmm/exit_file.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "vmm/base/assert.h"
#include "vmm/base/io.h"
#include "vmm/base/thread.h"
#include "vmm/status.h"

static char folder[] = "/tmp/vmlet-test-XXXXXX";
static char path[64];

static void set_up(void)
{
        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/exit", folder);
}

static void tear_down(void)
{
        (void)unlink(path);
        ck_assert_int_eq(rmdir(folder), 0);
}

static void write_one(int status, const char *words, const struct exit_report *report)
{
        struct exit_file file = EXIT_FILE_NONE;
        struct problem p = { 0 };

        ck_assert_msg(!exit_file_open(&file, path, &p), "%s", p.text);
        ck_assert_int_ne(access(path, F_OK), 0); /* that of an earlier run is gone */
        exit_file_write(&file, status, words, report);
        exit_file_close(&file);
}

static void check(const char *wanted)
{
        struct stat st;
        char *text;

        ck_assert(!stat(path, &st));
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert(!io_read_file(path, 4096, &text));
        ck_assert_msg(!strncmp(text, wanted, strlen(wanted)), "%s", text);
        free(text);
}

START_TEST(test_content)
{
        struct exit_report report = { 0 };

        set_up();
        write_one(VMM_OK, "", &report);
        check("{\"status\":0,\"name\":\"powered-off\",\"reason\":\"the guest powered "
              "off\",\"main\":null,\"ended_ns\":1");
        write_one(VMM_E_INPUT, "no \"such\" file", &report);
        check("{\"status\":3,\"name\":\"input\",\"reason\":\"no \\\"such\\\" file\",\"main\":null,");
        report.is_lifetime = report.has_main = true;
        report.main =
                (struct protocol_exit){ .kind = PROTOCOL_SIGNALLED, .value = 9, .flags = PROTOCOL_EXIT_OOM };
        write_one(VMM_ENDED, "words", &report);
        check("{\"status\":13,\"name\":\"ended\",\"reason\":\"lifetime\",\"main\":{\"kind\":\"signalled\","
              "\"value\":9,"
              "\"oom\":true,\"timed_out\":false,");
        tear_down();
}
END_TEST

START_TEST(test_bad_places)
{
        static const char *const bad[] = { "", "/tmp/", "/nonexistent/exit", "/proc/self/exe/exit" };
        char long_name[300] = "/tmp/";

        memset(long_name + 5, 'x', sizeof(long_name) - 6);
        for (unsigned i = 0; i <= array_size(bad); i++) {
                struct exit_file file = EXIT_FILE_NONE;
                struct problem p = { 0 };

                ck_assert_int_eq(exit_file_open(&file, i < array_size(bad) ? bad[i] : long_name, &p), -1);
                ck_assert(p.status == VMM_E_USAGE || p.status == VMM_E_INPUT);
                exit_file_close(&file);
        }
        set_up();
        { /* a folder in its place is not replaced */
                struct exit_file file = EXIT_FILE_NONE;
                struct problem p = { 0 };

                ck_assert_int_eq(mkdir(path, 0700), 0);
                ck_assert_int_eq(exit_file_open(&file, path, &p), -1);
                exit_file_close(&file);
                ck_assert_int_eq(rmdir(path), 0);
        }
        tear_down();
}
END_TEST

/* A write that fails leaves nothing: neither a part of the file, nor what was to become it. */
START_TEST(test_failed_write_leaves_nothing)
{
        struct exit_file file = EXIT_FILE_NONE;
        struct exit_report report = { 0 };
        struct problem p = { 0 };
        char beside[80];

        set_up();
        ck_assert(!exit_file_open(&file, path, &p));
        (void)snprintf(beside, sizeof(beside), "%s.new", path);
        ck_assert_int_eq(symlink("/dev/full", beside), 0); /* a trap of somebody else: not followed */
        exit_file_write(&file, 0, "", &report);
        ck_assert_int_ne(access(path, F_OK), 0);
        exit_file_close(&file);
        (void)unlink(beside);
        tear_down();
}
END_TEST

static void fail_itself(void *sig)
{
        if (*(int *)sig == SIGABRT)
                ASSERT(!sig);
        (void)raise(*(int *)sig);
}

/* In a child: opens the file, and ends by the signal. Return: how it ended. */
static int crash(int sig, bool in_thread, bool after_the_end)
{
        struct exit_file file = EXIT_FILE_NONE;
        struct problem p = { 0 };
        struct thread t = { 0 };
        int status = 0;
        pid_t pid = fork();

        if (!pid) {
                (void)signal(sig, SIG_DFL); /* a sanitizer has handlers of its own */
                if (exit_file_open(&file, path, &p))
                        _exit(1);
                if (after_the_end)
                        exit_file_write(&file, VMM_OK, "", &(struct exit_report){ 0 });
                if (!in_thread)
                        fail_itself(&sig);
                else if (!thread_start(&t, "fails", fail_itself, &sig))
                        thread_join(&t);
                _exit(2);
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return status;
}

START_TEST(test_crash)
{
        static const struct {
                int sig;
                const char *wanted;
        } rows[] = {
                { SIGABRT,
                  "{\"status\":134,\"name\":\"crashed\",\"reason\":\"crashed: signal 6 (SIGABRT)\"," },
                { SIGSEGV, "{\"status\":139,\"name\":\"crashed\",\"reason\":\"crashed: signal 11 (SIGSEGV)\","
                           "\"main\":null,\"ended_ns\":1" },
                { SIGBUS, "{\"status\":135,\"name\":\"crashed\",\"reason\":\"crashed: signal 7 (SIGBUS)\"," },
                { SIGILL, "{\"status\":132,\"name\":\"crashed\",\"reason\":\"crashed: signal 4 (SIGILL)\"," },
                { SIGFPE, "{\"status\":136,\"name\":\"crashed\",\"reason\":\"crashed: signal 8 (SIGFPE)\"," },
        };

        set_up();
        for (unsigned i = 0; i < 2 * array_size(rows); i++) {
                int status = crash(rows[i / 2].sig, i % 2, false);

                ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == rows[i / 2].sig);
                check(rows[i / 2].wanted);
        }
        ck_assert(WIFSIGNALED(crash(SIGSEGV, false, true)));
        check("{\"status\":0,");
        tear_down();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_content, test_bad_places, test_failed_write_leaves_nothing,
                                       test_crash };

        return run_tests("exit_file", tests, array_size(tests));
}
