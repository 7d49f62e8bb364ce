/* A file that grows no further than a limit. */
#include "vmm/capfile.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "vmm/base/io.h"
#include "vmm/status.h"

static char folder[] = "/tmp/vmlet-test-XXXXXX";
static char path[64], older[64];
static struct capfile file;

static void open_it(uint64_t limit, bool keep)
{
        struct problem p = { 0 };

        file = CAPFILE_NONE;
        ck_assert_msg(!capfile_open(&file, "the test", path, limit, keep, &p), "%s", p.text);
}

static void set_up(void)
{
        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/log", folder);
        (void)snprintf(older, sizeof(older), "%s/log.1", folder);
}

static void tear_down(void)
{
        capfile_close(&file);
        ck_assert_int_eq(unlink(path) | unlink(older) | rmdir(folder), 0);
}

static void put(const char *text)
{
        char copy[64];

        (void)snprintf(copy, sizeof(copy), "%s", text);
        capfile_write(&file, (struct iovec[]){ { copy, 1 }, { copy + 1, strlen(text) - 1 } }, 2);
}

static void check(const char *name, const char *wanted)
{
        struct stat st;
        char *text;

        ck_assert(!stat(name, &st));
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
        ck_assert(!io_read_file(name, 4096, &text));
        ck_assert_str_eq(text, wanted);
        free(text);
}

START_TEST(test_turns)
{
        set_up();
        open_it(20, false);
        put("1234");
        put("567890");
        check(path, "1234567890");
        check(older, "");
        put("ab");
        check(path, "ab");
        check(older, "1234567890");
        put("cdefghij"); /* just full */
        check(path, "abcdefghij");
        put("k");
        check(path, "k");
        check(older, "abcdefghij");
        put("0123456789a"); /* longer than a half */
        check(path, "k");
        ck_assert_uint_eq(file.lost_bytes, 11);
        put("0123456789");
        check(path, "0123456789");
        check(older, "k");
        tear_down();
}
END_TEST

START_TEST(test_keep)
{
        set_up();
        open_it(20, false);
        put("first");
        capfile_close(&file);
        open_it(20, true);
        put("1234");
        check(path, "first1234");
        put("56");
        capfile_close(&file);
        open_it(20, true);
        check(path, "56");
        check(older, "first1234");
        capfile_close(&file);
        open_it(2, true); /* a smaller limit: what is there counts as full */
        put("x");
        check(path, "x");
        check(older, "56");
        capfile_close(&file);
        open_it(20, false);
        check(path, "");
        check(older, "");
        tear_down();
}
END_TEST

/* What does not fit on the disk is not there in half, and later writes are tried again. */
START_TEST(test_full_disk)
{
        struct rlimit old, small = { 6, RLIM_INFINITY };

        set_up();
        open_it(100, false);
        put("1234");
        ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
        ck_assert(!getrlimit(RLIMIT_FSIZE, &old));
        small.rlim_max = old.rlim_max;
        ck_assert(!setrlimit(RLIMIT_FSIZE, &small));
        put("5678");
        ck_assert(!setrlimit(RLIMIT_FSIZE, &old));
        check(path, "1234");
        ck_assert_uint_eq(file.lost_bytes, 4);
        put("9");
        check(path, "12349");
        tear_down();
}
END_TEST

/* Somebody took the names away: the cap holds all the same. */
START_TEST(test_names_are_gone)
{
        struct stat st;

        set_up();
        open_it(20, false);
        ck_assert_int_eq(unlink(older), 0);
        for (unsigned i = 0; i < 100; i++)
                put("1234567");
        ck_assert(!stat(path, &st) && st.st_size <= 10);
        ck_assert(!fstat(file.fds[1], &st) && st.st_size <= 10);
        ck_assert_int_eq(close(open(older, O_CREAT | O_WRONLY, 0600)), 0);
        tear_down();
}
END_TEST

START_TEST(test_bad_places)
{
        static const char *const bad[] = { "", "/tmp/", "/nonexistent/log", "/dev/null", "/tmp" };
        struct problem p;

        for (unsigned i = 0; i < array_size(bad); i++) {
                p = (struct problem){ 0 };
                file = CAPFILE_NONE;
                ck_assert_int_eq(capfile_open(&file, "the test", bad[i], 100, true, &p), -1);
                ck_assert(p.status == VMM_E_INPUT || p.status == VMM_E_USAGE);
                capfile_close(&file);
        }
        ck_assert(!capfile_is_for("/dev/null") && !capfile_is_for("/tmp") && capfile_is_for("/nonexistent"));
        (void)unlink("/dev/null.1");
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_turns, test_keep, test_full_disk, test_names_are_gone,
                                       test_bad_places };

        return run_tests("capfile", tests, array_size(tests));
}
