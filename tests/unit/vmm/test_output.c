/* What the agent tells for good. */
#include "vmm/output.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/mock/driver.h"
#include "tests/unit/run.h"
#include "vmm/base/io.h"

#define LIMIT_MS 20000u

static struct loop *loop;
static struct worker *worker;
static struct output *output;
static struct capfile file;
static char folder[] = "/tmp/vmlet-test-XXXXXX";
static char path[64], older[64];

static void set_up(void)
{
        struct problem p = { 0 };

        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/out", folder);
        (void)snprintf(older, sizeof(older), "%s/out.1", folder);
        file = CAPFILE_NONE;
        ck_assert(!capfile_open(&file, "the output", path, 256u << 10, true, &p));
        ck_assert(!loop_new(&loop) && !worker_new(loop, &worker) && !output_new(&output, loop, &file));
        output_set_worker(output, worker);
}

static void tear_down(void)
{
        worker_free(worker);
        output_free(output);
        loop_free(loop);
        capfile_close(&file);
        ck_assert_int_eq(unlink(path) | unlink(older) | rmdir(folder), 0);
}

static size_t put_frame(uint8_t *to, enum protocol_type type, const char *bytes, uint32_t len)
{
        struct protocol_frame frame = { .type = type, .id = 1, .len = len };
        size_t n = protocol_put_header(to, &frame);

        memcpy(to + n, bytes, len);
        return n + len;
}

static bool is_over(void *arg)
{
        char c;

        return !recv(*(int *)arg, &c, 1, MSG_DONTWAIT | MSG_PEEK);
}

/* Ends our direction and waits for the other: then all is in the file. */
static void end(int fd)
{
        ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
        ck_assert(mock_run_until(loop, is_over, &fd, LIMIT_MS));
        close(fd);
}

/* The records of @name as "o:TEXT" and "e:TEXT", pieces of the same kind joined. */
static char *records(const char *name)
{
        static char text[300000];
        char *raw, kind = 0;
        size_t at = 0, len = 0;

        ck_assert(!io_read_file(name, 1u << 20, &raw));
        {
                FILE *f = fopen(name, "r");

                ck_assert_ptr_nonnull(f);
                len = fread(raw, 1, 1u << 20, f);
                (void)fclose(f);
        }
        text[0] = 0;
        for (size_t i = 0; i < len;) {
                uint32_t n;

                ck_assert_uint_ge(len - i, OUTPUT_RECORD_HEADER);
                memcpy(&n, raw + i + 12, 4);
                ck_assert(n && n <= len - i - OUTPUT_RECORD_HEADER);
                if (raw[i + 8] != kind)
                        at += (size_t)sprintf(text + at, "%s:", raw[i + 8] == 1 ? "o" : "e");
                kind = raw[i + 8];
                memcpy(text + at, raw + i + OUTPUT_RECORD_HEADER, n);
                at += n;
                i += OUTPUT_RECORD_HEADER + n;
        }
        text[at] = 0;
        free(raw);
        return text;
}

START_TEST(test_records)
{
        struct protocol_exit told = { .kind = PROTOCOL_EXITED, .value = 3, .flags = PROTOCOL_EXIT_OOM }, got;
        uint8_t bytes[512];
        size_t n = 0;
        int fd;

        set_up();
        n += put_frame(bytes + n, PROTOCOL_STDOUT, "one ", 4);
        n += put_frame(bytes + n, PROTOCOL_STDERR, "two", 3);
        n += put_frame(bytes + n, PROTOCOL_STDOUT, "three", 5);
        n += protocol_put_exit(bytes + n, 1, &told);
        fd = output_connect(output);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_lt(output_connect(output), 0); /* one at a time */
        for (size_t i = 0; i < n; i++) {             /* in the smallest pieces */
                ck_assert_int_eq(send(fd, bytes + i, 1, 0), 1);
                (void)mock_run_until(loop, is_over, &fd, i % 16 ? 0 : 1);
        }
        end(fd);
        ck_assert_str_eq(records(path), "o:one e:twoo:three");
        ck_assert(output_main(output, &got));
        ck_assert(got.kind == PROTOCOL_EXITED && got.value == 3 && got.flags == PROTOCOL_EXIT_OOM);
        fd = output_connect(output); /* and then the next */
        ck_assert_int_eq(send(fd, bytes, 20, 0), 20);
        end(fd);
        ck_assert_str_eq(records(path), "o:one e:twoo:threeone ");
        tear_down();
}
END_TEST

/* A writer as fast as it can be: the cap holds, the memory is the socket's, records stay whole. */
START_TEST(test_flood)
{
        static uint8_t frame[PROTOCOL_HEADER_SIZE + PROTOCOL_DATA_MAX];
        static char payload[PROTOCOL_DATA_MAX];
        uint64_t total = 0;
        size_t n, at = 0;
        int fd;

        set_up();
        memset(payload, 'x', sizeof(payload));
        n = put_frame(frame, _i ? PROTOCOL_STDERR : PROTOCOL_STDOUT, payload, _i ? 1 : sizeof(payload));
        fd = output_connect(output);
        while (total < (_i ? 1u << 20 : 8u << 20)) {
                ssize_t done = send(fd, frame + at, n - at, MSG_DONTWAIT);

                if (done > 0) {
                        total += (size_t)done;
                        at = (at + (size_t)done) % n;
                } else {
                        ck_assert_int_eq(errno, EAGAIN);
                        (void)mock_run_until(loop, is_over, &fd, 1);
                }
        }
        while (at) {
                ssize_t done = send(fd, frame + at, n - at, MSG_DONTWAIT);

                at = done > 0 ? (at + (size_t)done) % n : at;
                (void)mock_run_until(loop, is_over, &fd, 1);
        }
        end(fd);
        ck_assert_int_le(lseek(file.fds[0], 0, SEEK_END), 128 << 10);
        ck_assert_int_le(lseek(file.fds[1], 0, SEEK_END), 128 << 10);
        ck_assert_int_gt(lseek(file.fds[1], 0, SEEK_END), 32 << 10);
        ck_assert_uint_eq(file.lost_bytes, 0);
        (void)records(path);
        (void)records(older);
        tear_down();
}
END_TEST

/* Whatever makes no sense ends the connection, and the next one is as good as new. */
START_TEST(test_garbage)
{
        static const uint8_t garbage[4][20] = {
                { 0 },                            /* type 0 */
                { 4, 0, 0, 0, 0x87, 0, 0, 0, 1 }, /* WINDOW */
                { 1, 0, 1, 0, 0x82, 0, 0, 0, 1 }, /* 64 KiB and a byte */
                { 4, 0, 0, 0, 0x84, 0, 0, 0, 1 }, /* an EXIT of 4 bytes */
        };
        uint8_t good[64];
        size_t n;
        int fd;

        set_up();
        fd = output_connect(output);
        n = put_frame(good, PROTOCOL_STDOUT, "before", 6);
        ck_assert_int_eq(send(fd, good, n, 0), (ssize_t)n);
        ck_assert_int_eq(send(fd, garbage[_i], 20, 0), 20);
        ck_assert(mock_run_until(loop, is_over, &fd, LIMIT_MS));
        close(fd);
        fd = output_connect(output);
        ck_assert_int_ge(fd, 0);
        n = put_frame(good, PROTOCOL_STDOUT, " after", 6);
        ck_assert_int_eq(send(fd, good, n, 0), (ssize_t)n);
        end(fd);
        ck_assert_str_eq(records(path), "o:before after");
        tear_down();
}
END_TEST

/* The end of the machine: what was sent is taken, whether the worker had begun or not; then nothing any more. */
START_TEST(test_drain)
{
        struct protocol_exit told = { .value = 7 }, got;
        uint8_t bytes[4096];
        size_t n = 0;
        int fd;

        set_up();
        ck_assert(!output_main(output, &got));
        fd = output_connect(output);
        for (unsigned i = 0; i < 100; i++)
                n += put_frame(bytes + n, PROTOCOL_STDOUT, "0123456789", 10);
        n += protocol_put_exit(bytes + n, 1, &told);
        ck_assert_int_eq(send(fd, bytes, n, 0), (ssize_t)n);
        if (_i)
                (void)mock_run_until(loop, is_over, &fd, 0);
        output_drain(output);
        ck_assert(output_main(output, &got) && got.value == 7);
        ck_assert_uint_eq(strlen(records(path)), 2 + 1000);
        ck_assert_int_eq(send(fd, bytes, n, 0), (ssize_t)n);
        (void)mock_run_until(loop, is_over, &fd, 20);
        ck_assert_uint_eq(strlen(records(path)), 2 + 1000);
        close(fd);
        tear_down();
}
END_TEST

int main(void)
{
        const struct run_test tests[] = {
                { test_records, 1 }, { test_flood, 2 }, { test_garbage, 4 }, { test_drain, 2 }
        };

        return run_loop_tests("output", tests, array_size(tests));
}
