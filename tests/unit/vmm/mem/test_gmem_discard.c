/* Memory that goes back to the host. */
#include "tests/unit/run.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/mock/driver.h"
#include "vmm/mem/gmem.h"

#define PAGE 4096u
#define MIB  (1ull << 20)

static uint64_t resident(const struct gmem *mem)
{
        struct gmem_slot slot = gmem_slot(mem, 0);
        size_t n = slot.size / PAGE;
        uint8_t *vec = calloc(n, 1);
        uint64_t sum = 0;

        ck_assert_ptr_nonnull(vec);
        /* SAFETY: the region's own address. */
        ck_assert_int_eq(mincore((void *)(uintptr_t)slot.user_addr, slot.size, vec), 0);
        for (size_t i = 0; i < n; i++)
                sum += vec[i] & 1;
        free(vec);
        return sum * PAGE;
}

static uint8_t byte_at(struct gmem *mem, uint64_t at)
{
        uint8_t b;

        mock_get(mem, at, &b, 1);
        return b;
}

START_TEST(test_it_is_gone_and_reads_as_zero)
{
        struct gmem *mem = mock_ram(16 * MIB);
        uint64_t bytes;

        ck_assert(!gmem_fill(mem, GPA(0), 0x55, 16 * MIB));
        ck_assert_uint_eq(resident(mem), 16 * MIB);
        ck_assert_int_eq(gmem_discard(mem, GPA(4 * MIB), 4 * MIB, &bytes), 0);
        ck_assert_uint_eq(bytes, 4 * MIB);
        ck_assert_uint_eq(resident(mem), 12 * MIB);
        ck_assert_uint_eq(byte_at(mem, 4 * MIB - 1), 0x55);
        ck_assert_uint_eq(byte_at(mem, 4 * MIB), 0);
        ck_assert_uint_eq(byte_at(mem, 8 * MIB - 1), 0);
        ck_assert_uint_eq(byte_at(mem, 8 * MIB), 0x55);
        mock_put(mem, 5 * MIB, "x", 1);
        ck_assert_uint_eq(byte_at(mem, 5 * MIB), 'x');
        gmem_free(mem);
}
END_TEST

START_TEST(test_what_is_no_memory_is_refused)
{
        static const struct {
                uint64_t at, len;
        } rows[] = {
                { 1, PAGE },
                { PAGE, 1 },
                { 0, PAGE + 1 },
                { 2 * MIB, PAGE },
                { 0, 2 * MIB + PAGE },
                { 2 * MIB - PAGE, 2 * PAGE },
                { 16 * MIB, PAGE },
                { -(uint64_t)PAGE, PAGE },
                { -(uint64_t)PAGE, 2 * PAGE },
                { 0, -(uint64_t)PAGE },
                { 6 * MIB, 2 * MIB },
                { 2 * MIB, 2 * MIB },
        };
        struct gmem *mem;
        uint64_t bytes = 7;

        ck_assert(!gmem_new(&mem));
        ck_assert(!gmem_add_ram(mem, GPA(0), 2 * MIB));
        ck_assert(!gmem_add_ram(mem, GPA(4 * MIB), 3 * MIB));
        ck_assert(!gmem_fill(mem, GPA(0), 1, 2 * MIB));
        for (unsigned i = 0; i < array_size(rows); i++) {
                ck_assert_msg(gmem_discard(mem, GPA(rows[i].at), rows[i].len, &bytes) == GMEM_FAULT, "row %u",
                              i);
                ck_assert_uint_eq(bytes, 0);
        }
        ck_assert_uint_eq(resident(mem), 2 * MIB);
        ck_assert_int_eq(gmem_discard(mem, GPA(0), 0, &bytes), 0);
        ck_assert_int_eq(gmem_discard(mem, GPA(6 * MIB), MIB, &bytes), 0);
        ck_assert_uint_eq(bytes, MIB);
        ck_assert_int_eq(gmem_discard(mem, GPA(0), 2 * MIB, &bytes), 0);
        ck_assert_uint_eq(resident(mem), 0);
        gmem_free(mem);
}
END_TEST

/* It would come back as what the file says, and the guest was promised zeroes. */
START_TEST(test_views_of_files_stay)
{
        static const struct {
                uint64_t from, to, gone; /* pages */
        } rows[] = { { 0, 2, 2 }, { 0, 3, 2 }, { 2, 9, 0 }, { 8, 12, 3 }, { 0, 16, 9 }, { 4, 6, 0 } };
        uint8_t page[PAGE];
        struct gmem *mem = mock_ram(2 * MIB);
        int fd = memfd_create("file", MFD_CLOEXEC);
        uint64_t bytes;

        memset(page, 0x33, sizeof(page));
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(write(fd, page, sizeof(page)), PAGE);
        ck_assert_int_eq(gmem_map_file(mem, GPA(8 * PAGE), PAGE, fd, 0), 0);
        ck_assert_int_eq(gmem_map_file(mem, GPA(2 * PAGE), 1, fd, 0), 0);
        close(fd);
        for (unsigned i = 0; i < array_size(rows); i++) {
                ck_assert(!gmem_fill(mem, GPA(0), 0x44, 16 * PAGE));
                ck_assert_int_eq(gmem_discard(mem, GPA(rows[i].from * PAGE),
                                              (rows[i].to - rows[i].from) * PAGE, &bytes),
                                 0);
                ck_assert_msg(bytes == rows[i].gone * PAGE, "row %u: %llu", i, (unsigned long long)bytes);
                for (uint64_t p = 0; p < 16; p++) {
                        bool gone = p >= rows[i].from && p < rows[i].to && (p < 2 || p > 8);

                        ck_assert_uint_eq(byte_at(mem, p * PAGE), gone ? 0 : 0x44);
                }
        }
        gmem_free(mem);
}
END_TEST

/* The guest's memory changed: a snapshot has to know. */
START_TEST(test_it_counts_as_written)
{
        struct gmem *mem = mock_ram(2 * MIB);
        uint64_t bytes;

        ck_assert(!gmem_log_start(mem));
        ck_assert_int_eq(gmem_discard(mem, GPA(3 * PAGE), 2 * PAGE, &bytes), 0);
        for (uint64_t p = 0; p < 8; p++)
                ck_assert_int_eq(gmem_log_take(mem, GPA(p * PAGE)), p == 3 || p == 4);
        gmem_free(mem);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_it_is_gone_and_reads_as_zero,
                test_what_is_no_memory_is_refused,
                test_views_of_files_stay,
                test_it_counts_as_written,
        };

        return run_tests("gmem_discard", tests, array_size(tests));
}
