/* What stands on nothing: buffers, numbers, words, errors, logs. */
#include "tests/unit/run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/buf.h"
#include "vmm/base/err.h"
#include "vmm/base/io.h"
#include "vmm/base/log.h"
#include "vmm/base/num.h"
#include "vmm/base/parse.h"

START_TEST(test_buf_gives_back_what_was_put)
{
        uint8_t bytes[32];
        struct buf b = buf_of(bytes, sizeof(bytes));
        char text[3];

        buf_put_u8(&b, 1);
        buf_put_u16(&b, 0x0203);
        buf_put_u32(&b, 0x04050607);
        buf_put_u64(&b, 0x08090a0b0c0d0e0full);
        buf_put(&b, "abc", 3);
        ck_assert_uint_eq(b.at, 18);
        ck_assert_mem_eq(bytes + 1, "\x03\x02\x07\x06\x05\x04", 6);
        b = buf_of(bytes, 18);
        ck_assert_uint_eq(buf_get_u8(&b), 1);
        ck_assert_uint_eq(buf_get_u16(&b), 0x0203);
        ck_assert_uint_eq(buf_get_u32(&b), 0x04050607);
        ck_assert_uint_eq(buf_get_u64(&b), 0x08090a0b0c0d0e0full);
        buf_get(&b, text, 3);
        ck_assert_mem_eq(text, "abc", 3);
        ck_assert(!b.bad && !buf_left(&b));
}
END_TEST

START_TEST(test_buf_stops_at_its_end)
{
        uint8_t bytes[5] = { 9, 9, 9, 9, 9 };
        struct buf b = buf_of(bytes, 4);

        buf_put_u32(&b, 0);
        ck_assert(!b.bad);
        buf_put_u8(&b, 1);
        ck_assert(b.bad);
        ck_assert_uint_eq(bytes[4], 9);
        b = buf_of(bytes, 4);
        ck_assert_uint_eq(buf_get_u64(&b), 0);
        ck_assert(b.bad);
        ck_assert_uint_eq(buf_get_u8(&b), 0); /* bad stays bad */
        ck_assert_uint_eq(buf_left(&b), 0);
}
END_TEST

START_TEST(test_num_refuses_what_does_not_fit)
{
        uint64_t v = 7;

        ck_assert(num_add(UINT64_MAX, 0, &v) && v == UINT64_MAX);
        v = 7;
        ck_assert(!num_add(UINT64_MAX, 1, &v) && v == 7);
        ck_assert(!num_mul(1ull << 32, 1ull << 32, &v) && v == 7);
        ck_assert(num_mul(1ull << 32, (1ull << 32) - 1, &v));
        ck_assert_uint_eq(num_align_up(4097, 4096), 8192);
        ck_assert_uint_eq(num_align_down(8191, 4096), 4096);
}
END_TEST

START_TEST(test_parse_sizes)
{
        static const struct {
                const char *text;
                bool ok;
                uint64_t value;
        } rows[] = {
                { "0", true, 0 },
                { "4096", true, 4096 },
                { "1K", true, 1024 },
                { "512M", true, 512ull << 20 },
                { "2g", true, 2ull << 30 },
                { "1GiB", true, 1ull << 30 },
                { "3TB", true, 3ull << 40 },
                { "16777215T", true, 16777215ull << 40 },
                { "16777216T", false, 0 },
                { "18446744073709551616", false, 0 },
                { "", false, 0 },
                { "M", false, 0 },
                { "-1", false, 0 },
                { " 1", false, 0 },
                { "1 M", false, 0 },
                { "1MM", false, 0 },
                { "1X", false, 0 },
                { "0x10", false, 0 },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                uint64_t v = 7;

                ck_assert_msg(parse_size(rows[i].text, &v) == rows[i].ok, "'%s'", rows[i].text);
                ck_assert_uint_eq(v, rows[i].ok ? rows[i].value : 7);
        }
}
END_TEST

START_TEST(test_parse_durations_need_a_unit)
{
        uint64_t v = 7;

        ck_assert(parse_duration("30s", &v) && v == 30000000000ull);
        ck_assert(parse_duration("5m", &v) && v == 300000000000ull);
        ck_assert(parse_duration("250ms", &v) && v == 250000000ull);
        ck_assert(parse_duration("0", &v) && v == 0);
        ck_assert(!parse_duration("30", &v) && !parse_duration("s", &v) && !parse_duration("1d", &v));
        ck_assert(!parse_duration("99999999999h", &v));
}
END_TEST

START_TEST(test_parse_suggests_what_was_meant)
{
        static const char *const words[] = { "kernel", "memory", "image", NULL };

        ck_assert_str_eq(parse_closest("kernl", words), "kernel");
        ck_assert_str_eq(parse_closest("memroy", words), "memory");
        ck_assert_str_eq(parse_closest("rnu", (const char *const[]){ "rm", "run", NULL }), "run");
        ck_assert_ptr_null(parse_closest("frobnicate", words));
        ck_assert_ptr_null(parse_closest("", words));
        ck_assert_ptr_null(parse_closest("a-word-that-is-longer-than-all-that-we-know", words));
}
END_TEST

static int fails(void)
{
        return err_new(-ENOSPC);
}

START_TEST(test_errors_know_where_they_began)
{
        struct problem p = { 0 };

        ck_assert_int_eq(fails(), -ENOSPC);
        ck_assert_ptr_nonnull(strstr(err_where(), "test_base.c:"));
        ck_assert_int_eq(problem_set(&p, 3, "first %d", 1), -1);
        ck_assert_int_eq(problem_set(&p, 4, "second"), -1);
        ck_assert_int_eq(p.status, 3);
        ck_assert_str_eq(p.text, "first 1");
}
END_TEST

/* Return: what was written to standard error meanwhile, in a static buffer. */
static const char *catch_stderr(void (*what)(void))
{
        static char text[1 << 16];
        int pipe_fds[2], saved = dup(STDERR_FILENO);
        ssize_t n;

        ck_assert(!pipe2(pipe_fds, O_NONBLOCK));
        ck_assert_int_ge(dup2(pipe_fds[1], STDERR_FILENO), 0);
        what();
        ck_assert_int_ge(dup2(saved, STDERR_FILENO), 0);
        close(saved);
        close(pipe_fds[1]);
        n = read(pipe_fds[0], text, sizeof(text) - 1);
        close(pipe_fds[0]);
        text[n > 0 ? n : 0] = 0;
        return text;
}

static void log_something(void)
{
        log_setup(LOG_WARN, false, "vm1");
        log_warn("a \"quoted\"\nline");
        log_info("not shown");
}

static void log_json_line(void)
{
        log_setup(LOG_INFO, true, "vm \"1\"");
        log_info("a \"quoted\"\nline");
}

START_TEST(test_a_log_line_is_one_line)
{
        const char *json;

        ck_assert_str_eq(catch_stderr(log_something), "vmm vm1: warning: a \"quoted\"\\u000aline\n");
        json = catch_stderr(log_json_line);
        ck_assert_ptr_nonnull(
                strstr(json, "\"vm\":\"vm \\\"1\\\"\",\"message\":\"a \\\"quoted\\\"\\u000aline\"}\n"));
}
END_TEST

static void log_into_full_pipe(void)
{
        char bytes[4096] = { 0 };

        while (write(STDERR_FILENO, bytes, sizeof(bytes)) > 0)
                ;
        ck_assert_int_eq(fcntl(STDERR_FILENO, F_SETFL, 0), 0); /* from now on a write waits */
        log_setup(LOG_WARN, false, "");
        log_warn("nobody reads");
}

START_TEST(test_a_log_line_does_not_wait)
{
        (void)catch_stderr(log_into_full_pipe);
}
END_TEST

static void log_flood(void)
{
        struct log_bucket bucket = { 0 };

        log_setup(LOG_WARN, false, "");
        for (int i = 0; i < 1000; i++)
                log_guest(&bucket, "blk0", "nonsense %d", i);
        ck_assert_uint_ge(bucket.suppressed, 980);
}

START_TEST(test_a_guest_cannot_flood_the_log)
{
        unsigned lines = 0;

        for (const char *p = catch_stderr(log_flood); (p = strchr(p, '\n')); p++)
                lines++;
        ck_assert_uint_ge(lines, 10);
        ck_assert_uint_le(lines, 15);
}
END_TEST

START_TEST(test_files_beyond_the_limit_are_refused)
{
        char path[] = "/tmp/vmlet-test-XXXXXX", *text = NULL;
        int fd = mkstemp(path);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(io_write_all(fd, "12345", 5), 0);
        close(fd);
        ck_assert_int_eq(io_read_file(path, 5, &text), 0);
        ck_assert_str_eq(text, "12345");
        free(text);
        ck_assert_int_eq(io_read_file(path, 4, &text), -EFBIG);
        unlink(path);
        ck_assert_int_eq(io_read_file(path, 4, &text), -ENOENT);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_buf_gives_back_what_was_put,        test_buf_stops_at_its_end,
                test_num_refuses_what_does_not_fit,      test_parse_sizes,
                test_parse_durations_need_a_unit,        test_parse_suggests_what_was_meant,
                test_errors_know_where_they_began,       test_a_log_line_is_one_line,
                test_a_log_line_does_not_wait,           test_a_guest_cannot_flood_the_log,
                test_files_beyond_the_limit_are_refused,
        };

        return run_tests("base", tests, array_size(tests));
}
