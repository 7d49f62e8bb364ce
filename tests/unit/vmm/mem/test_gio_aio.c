/*
 * libaio on guest buffers, on a real file.
 */
#include "vmm/mem/gio_aio.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "tests/mock/driver.h"
#include "tests/unit/run.h"

#define RAM      (4u << 20)
#define LIMIT_MS 20000u
#define OPS      300u

struct op {
        struct gio_aio_op op;
        int64_t result;
        unsigned ends;
};

static struct loop *loop;
static struct gmem *mem;
static struct gio_aio *aio;
static struct op ops[OPS];
static unsigned ended;
static int file = -1;

static void on_end(struct gio_aio_op *op, int64_t result)
{
        struct op *o = container_of(op, struct op, op);

        o->result = result;
        o->ends++;
        ended++;
}

static void begin(void)
{
        char path[] = "aio-XXXXXX";
        int direct;

        ck_assert_int_eq(loop_new(&loop), 0);
        ck_assert_int_eq(gio_aio_new(loop, &aio), 0);
        mem = mock_ram(RAM);
        file = mkstemp(path);
        ck_assert_int_ge(file, 0);
        direct = open(path, O_RDWR | O_CLOEXEC | O_DIRECT);
        if (direct >= 0)
                ck_assert_int_ge(dup2(direct, file), 0);
        fd_closep(&direct);
        ck_assert_int_eq(unlink(path), 0);
        for (unsigned i = 0; i < OPS; i++)
                ops[i].op.done = on_end;
}

static void end(void)
{
        gio_aio_free(aio);
        loop_free(loop);
        gmem_free(mem);
        fd_closep(&file);
}

static struct gbuf buf(uint64_t at, size_t len)
{
        struct gbuf b;

        ck_assert_int_eq(gmem_buf(mem, GPA(at), len, &b), 0);
        return b;
}

static bool have_ended(void *arg)
{
        return ended == *(unsigned *)arg;
}

static void wait_for(unsigned n)
{
        gio_aio_submit(aio);
        ck_assert(mock_run_until(loop, have_ended, &n, LIMIT_MS));
}

/* A kernel or file system may decline to do it without waiting; then nothing was done. */
static bool did(const struct op *o, int64_t bytes)
{
        ck_assert_uint_eq(o->ends, 1);
        if (o->result == -EAGAIN || o->result == -EOPNOTSUPP)
                return false;
        ck_assert_int_eq(o->result, bytes);
        return true;
}

START_TEST(test_read_many_buffers)
{
        static char pattern[8192] __attribute__((aligned(4096)));
        const unsigned n = 2;
        struct gbuf bufs[2];
        char got[4096];

        begin();
        memset(pattern, 'a', 4096);
        memset(pattern + 4096, 'b', 4096);
        ck_assert_int_eq(pwrite(file, pattern, sizeof(pattern), 0), sizeof(pattern));
        bufs[0] = buf(0x5000, 4096);
        bufs[1] = buf(0x1000, 4096);
        ck_assert_int_eq(gmem_log_start(mem), 0);
        ck_assert(gio_aio_pread(aio, &ops[0].op, file, bufs, n, 0));
        wait_for(1);
        if (did(&ops[0], 8192)) {
                mock_get(mem, 0x5000, got, sizeof(got));
                ck_assert_mem_eq(got, pattern, 4096);
                mock_get(mem, 0x1000, got, sizeof(got));
                ck_assert_mem_eq(got, pattern + 4096, 4096);
        }
        ck_assert(gmem_log_take(mem, GPA(0x5000)));
        ck_assert(gmem_log_take(mem, GPA(0x1000)));
        ck_assert(!gmem_log_take(mem, GPA(0x2000)));
        end();
}
END_TEST

START_TEST(test_write_then_read)
{
        struct gbuf b;
        char got[4096];

        begin();
        ck_assert_int_eq(posix_fallocate(file, 0, 8192), 0);
        ck_assert_int_eq(gmem_fill(mem, GPA(0x1000), 0x42, 4096), 0);
        b = buf(0x1000, 4096);
        ck_assert(gio_aio_pwrite(aio, &ops[0].op, file, &b, 1, 4096));
        wait_for(1);
        b = buf(0x9000, 4096);
        ck_assert(gio_aio_pread(aio, &ops[1].op, file, &b, 1, 4096));
        wait_for(2);
        if (did(&ops[0], 4096) && did(&ops[1], 4096)) {
                mock_get(mem, 0x9000, got, sizeof(got));
                for (unsigned i = 0; i < sizeof(got); i++)
                        ck_assert_uint_eq((unsigned char)got[i], 0x42);
        }
        end();
}
END_TEST

/* All that was taken ends, once; what is beyond the limit is not taken. */
START_TEST(test_limit)
{
        unsigned taken = 0;

        begin();
        ck_assert_int_eq(ftruncate(file, RAM), 0);
        for (unsigned i = 0; i < OPS; i++) {
                struct gbuf b = buf(4096ull * i, 4096);
                bool ok = gio_aio_pread(aio, &ops[i].op, file, &b, 1, (off_t)4096 * i);

                ck_assert(ok || taken - ended == GIO_AIO_MAX);
                taken += ok;
                ck_assert_uint_le(taken - ended, GIO_AIO_MAX);
        }
        wait_for(taken);
        for (unsigned i = 0; i < OPS; i++)
                ck_assert_uint_le(ops[i].ends, 1);
        end();
}
END_TEST

/* One that the kernel refuses at the door does not take the others with it. */
START_TEST(test_refused_alone)
{
        struct gbuf b;

        begin();
        ck_assert_int_eq(ftruncate(file, 8192), 0);
        b = buf(0x1000, 4096);
        ck_assert(gio_aio_pread(aio, &ops[0].op, file, &b, 1, 0));
        ck_assert(gio_aio_pread(aio, &ops[1].op, 9999, &b, 1, 0));
        ck_assert(gio_aio_pread(aio, &ops[2].op, file, &b, 1, 4096));
        wait_for(3);
        ck_assert_int_eq(ops[1].result, -EBADF);
        (void)did(&ops[0], 4096);
        (void)did(&ops[2], 4096);
        end();
}
END_TEST

START_TEST(test_end_of_file)
{
        struct gbuf b;

        begin();
        ck_assert_int_eq(ftruncate(file, 4096), 0);
        b = buf(0x1000, 8192);
        ck_assert(gio_aio_pread(aio, &ops[0].op, file, &b, 1, 0));
        wait_for(1);
        (void)did(&ops[0], 4096);
        end();
}
END_TEST

START_TEST(test_free_in_flight)
{
        begin();
        ck_assert_int_eq(ftruncate(file, RAM), 0);
        for (unsigned i = 0; i < 32; i++) {
                struct gbuf b = buf(4096ull * i, 4096);

                ck_assert(gio_aio_pread(aio, &ops[i].op, file, &b, 1, (off_t)4096 * i));
        }
        gio_aio_submit(aio);
        end();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_read_many_buffers, test_write_then_read, test_limit,
                test_refused_alone,     test_end_of_file,     test_free_in_flight,
        };

        return run_tests("gio_aio", tests, array_size(tests));
}
