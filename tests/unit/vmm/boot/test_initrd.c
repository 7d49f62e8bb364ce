/* The initrd: beside the kernel, as high as it may, or small and low. */
#include "tests/unit/run.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "tests/unit/vmm/boot/image.h"
#include "vmm/base/cleanup.h"
#include "vmm/boot/initrd.h"

#define MIB 0x100000ull
#define GIB (1024 * MIB)

START_TEST(test_place)
{
        static const struct {
                const char *what;
                uint64_t size, kernel_start, kernel_end, max, ram_end, at; /* at 0: refused */
        } rows[] = {
                { "small", 50000, 16 * MIB, 32 * MIB, 2 * GIB - 1, 128 * MIB, MIB },
                { "as large as small can be", MIB, 16 * MIB, 32 * MIB, 2 * GIB - 1, 128 * MIB, MIB },
                { "a byte larger", MIB + 1, 16 * MIB, 32 * MIB, 2 * GIB - 1, 128 * MIB, 127 * MIB - 4096 },
                { "kernel is in the small place", 5000, MIB, 8 * MIB, 2 * GIB - 1, 128 * MIB,
                  128 * MIB - 8192 },
                { "kernel ends in the small place", 5000, MIB + 8191, 8 * MIB, 2 * GIB - 1, 128 * MIB,
                  128 * MIB - 8192 },
                { "just before the kernel", 8192, MIB + 8192, 8 * MIB, 2 * GIB - 1, 128 * MIB, MIB },
                { "below what the kernel allows", 20 * MIB, 16 * MIB, 32 * MIB, 64 * MIB - 1, 128 * MIB,
                  44 * MIB },
                { "odd limit", 20 * MIB, 16 * MIB, 32 * MIB, 64 * MIB + 5, 128 * MIB, 44 * MIB },
                { "under the kernel", 10 * MIB, 16 * MIB, 120 * MIB, 2 * GIB - 1, 128 * MIB, 6 * MIB },
                { "just under the kernel", 15 * MIB, 16 * MIB, 120 * MIB, 2 * GIB - 1, 128 * MIB, MIB },
                { "nowhere", 15 * MIB + 1, 16 * MIB, 120 * MIB, 2 * GIB - 1, 128 * MIB, 0 },
                { "touches the kernel's end", 96 * MIB, 16 * MIB, 32 * MIB, 2 * GIB - 1, 128 * MIB,
                  32 * MIB },
                { "a byte too many", 96 * MIB + 1, 16 * MIB, 32 * MIB, 2 * GIB - 1, 128 * MIB, 0 },
                { "nothing", 0, 16 * MIB, 32 * MIB, 2 * GIB - 1, 128 * MIB, 0 },
                { "larger than RAM", 129 * MIB, 16 * MIB, 32 * MIB, 2 * GIB - 1, 128 * MIB, 0 },
                { "near 2^64", UINT64_MAX, 16 * MIB, 32 * MIB, 2 * GIB - 1, 128 * MIB, 0 },
                { "page less than 2^64", UINT64_MAX - 4096, 16 * MIB, 32 * MIB, UINT64_MAX - 1, 128 * MIB,
                  0 },
                { "kernel allows none", 5000, 16 * MIB, 32 * MIB, 0, 128 * MIB, 0 },
                { "much RAM", 20 * MIB, 16 * MIB, 32 * MIB, 4 * GIB - 1, 3 * GIB, 3 * GIB - 20 * MIB },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                struct kernel k = { .start = rows[i].kernel_start,
                                    .end = rows[i].kernel_end,
                                    .initrd_max = rows[i].max };
                gpa_t at = GPA(0);
                int r = initrd_place(rows[i].size, &k, rows[i].ram_end, &at);

                ck_assert_msg(r == (rows[i].at ? 0 : INITRD_E_MEMORY), "%s: %d", rows[i].what, r);
                ck_assert_msg(at.v == rows[i].at, "%s: at %#lx", rows[i].what, (unsigned long)at.v);
        }
}
END_TEST

static int file_of(size_t size)
{
        int fd = memfd_create("initrd", MFD_CLOEXEC);
        uint8_t *bytes = malloc(size);

        memset(bytes, 0x44, size);
        ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
        free(bytes);
        return fd;
}

static void check_load(size_t size, uint64_t at)
{
        cleanup(gmem_freep) struct gmem *mem = image_ram();
        struct kernel k = { .start = 2 * MIB, .end = 4 * MIB, .initrd_max = 2 * GIB - 1 };
        struct initrd initrd;
        int fd = file_of(size);

        ck_assert_int_eq(initrd_load(mem, fd, &k, IMAGE_RAM, &initrd), 0);
        close(fd);
        ck_assert_uint_eq(initrd.at.v, at);
        ck_assert_uint_eq(initrd.size, size);
        image_expect(mem, at, size, 0x44);
        if (at + size < IMAGE_RAM)
                image_expect(mem, at + size, 1, 0);
}

START_TEST(test_load)
{
        check_load(1, MIB);
        check_load(5000, MIB);
        check_load(MIB + 5000, 7 * MIB - 8192);
}
END_TEST

START_TEST(test_no_file)
{
        cleanup(gmem_freep) struct gmem *mem = image_ram();
        struct kernel k = { .start = 2 * MIB, .end = 4 * MIB, .initrd_max = 2 * GIB - 1 };
        struct initrd initrd;
        int fd = file_of(0);

        ck_assert_int_eq(initrd_load(mem, fd, &k, IMAGE_RAM, &initrd), INITRD_E_EMPTY);
        ck_assert_int_eq(ftruncate(fd, 9 * MIB), 0);
        ck_assert_int_eq(initrd_load(mem, fd, &k, IMAGE_RAM, &initrd), INITRD_E_MEMORY);
        close(fd);
        fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_eq(initrd_load(mem, fd, &k, IMAGE_RAM, &initrd), INITRD_E_NOT_FILE);
        close(fd);
        ck_assert_int_lt(initrd_load(mem, -1, &k, IMAGE_RAM, &initrd), 0);
        for (int code = INITRD_E_EMPTY; code <= INITRD_E_CHANGED; code++)
                ck_assert(!strstr(initrd_strerror(code), "usable as"));
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_place, test_load, test_no_file };

        return run_tests("initrd", tests, array_size(tests));
}
