/*
 * What the agent knows of the machine: files line by line.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/lines.h"
#include "tests/unit/run.h"

static char file[32];

static void write_file(const void *bytes, size_t len)
{
        strcpy(file, "/tmp/vmlet-test-XXXXXX");

        int fd = mkstemp(file);

        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, bytes, len), (ssize_t)len);
        close(fd);
}

struct seen {
        unsigned n, stop_at;
        size_t longest, total;
        char last[16];
};

static bool on_line(char *line, size_t len, void *owner)
{
        struct seen *seen = owner;

        seen->n++;
        seen->total += len;
        if (len > seen->longest)
                seen->longest = len;
        if (len < sizeof(seen->last)) {
                memcpy(seen->last, line, len);
                seen->last[len] = 0;
        }
        return seen->n != seen->stop_at;
}

START_TEST(test_lines)
{
        static char long_lines[2 * LINES_LONGEST + 64];
        struct seen seen = { 0 };

        write_file("one\n\ntwo", 8);
        ck_assert(lines_each(file, on_line, &seen));
        ck_assert_uint_eq(seen.n, 3);
        ck_assert_str_eq(seen.last, "two"); /* also without its newline */
        seen = (struct seen){ .stop_at = 1 };
        ck_assert(lines_each(file, on_line, &seen));
        ck_assert_uint_eq(seen.n, 1);
        unlink(file);
        ck_assert(!lines_each(file, on_line, &seen));

        /* as long as may be, one more, and what follows */
        memset(long_lines, 'x', sizeof(long_lines));
        long_lines[LINES_LONGEST - 1] = '\n';
        long_lines[2 * LINES_LONGEST] = '\n';
        memcpy(long_lines + 2 * LINES_LONGEST + 1, "end\n", 4);
        write_file(long_lines, 2 * LINES_LONGEST + 5);
        seen = (struct seen){ 0 };
        ck_assert(lines_each(file, on_line, &seen));
        ck_assert_uint_eq(seen.n, 2);
        ck_assert_uint_eq(seen.longest, LINES_LONGEST - 1);
        ck_assert_str_eq(seen.last, "end");
        unlink(file);
}
END_TEST

START_TEST(test_lines_of_an_endless_file)
{
        struct seen seen = { 0 };
        char *line = malloc(4096);
        int fd;

        memset(line, 'x', 4096);
        line[4095] = '\n';
        strcpy(file, "/tmp/vmlet-test-XXXXXX");
        fd = mkstemp(file);
        for (size_t i = 0; i < 2 * LINES_MOST / 4096; i++)
                ck_assert_int_eq(write(fd, line, 4096), 4096);
        close(fd);
        ck_assert(lines_each(file, on_line, &seen));
        ck_assert_uint_ge(seen.n, LINES_MOST / 4096);
        ck_assert_uint_le(seen.n, LINES_MOST / 4096 + 2);
        unlink(file);
        free(line);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_lines,
                test_lines_of_an_endless_file,
        };

        return run_tests("machine", tests, array_size(tests));
}
