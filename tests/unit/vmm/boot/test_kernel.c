/* Kernels of any kind: what a file is, and what is said of one that is none. */
#include "tests/unit/run.h"

#include <fcntl.h>

#include "tests/unit/vmm/boot/image.h"
#include "vmm/base/cleanup.h"
#include "vmm/boot/bzimage.h"

START_TEST(test_sniff)
{
        static const struct {
                const char *what;
                size_t at, len;
                const char *bytes;
                int error;
        } rows[] = {
                { "nothing", 0, 0, "", KERNEL_E_UNKNOWN },
                { "text", 0, 11, "#!/bin/sh\n\n", KERNEL_E_UNKNOWN },
                { "gzip", 0, 3, "\x1f\x8b\x08", KERNEL_E_PACKED },
                { "zstd", 0, 4, "\x28\xb5\x2f\xfd", KERNEL_E_PACKED },
                { "xz", 0, 6, "\3757zXZ\0", KERNEL_E_PACKED },
                { "arm64", 0x38, 4, "ARM\x64", KERNEL_E_ARM64 },
                { "EFI", 0, 2, "MZ", KERNEL_E_EFI },
        };

        for (unsigned i = 0; i < array_size(rows); i++) {
                uint8_t head[KERNEL_HEAD_BYTES] = { 0 };
                enum kernel_kind kind = KERNEL_ELF;

                memcpy(head + rows[i].at, rows[i].bytes, rows[i].len);
                ck_assert_msg(kernel_sniff(head, sizeof(head), &kind) == rows[i].error, "%s", rows[i].what);
        }
}
END_TEST

START_TEST(test_sniff_kinds)
{
        struct image image;
        enum kernel_kind kind;

        image_make_elf(&image);
        ck_assert_int_eq(kernel_sniff(image.bytes, 4, &kind), 0);
        ck_assert(kind == KERNEL_ELF);
        ck_assert_int_eq(kernel_sniff(image.bytes, 3, &kind), KERNEL_E_UNKNOWN);
        image_make_bzimage(&image);
        memcpy(image.bytes, "MZ", 2); /* as those have that EFI firmware can start */
        ck_assert_int_eq(kernel_sniff(image.bytes, 0x206, &kind), 0);
        ck_assert(kind == KERNEL_BZIMAGE);
        ck_assert_int_eq(kernel_sniff(image.bytes, 0x205, &kind), KERNEL_E_EFI);
}
END_TEST

START_TEST(test_no_file)
{
        cleanup(gmem_freep) struct gmem *mem = image_ram();
        struct image image = { .size = 0 };
        struct kernel k;
        int pipes[2], fd;

        fd = image_fd(&image);
        ck_assert_int_eq(kernel_load(mem, fd, IMAGE_RAM, &k), KERNEL_E_EMPTY);
        close(fd);
        fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ck_assert_int_eq(kernel_load(mem, fd, IMAGE_RAM, &k), KERNEL_E_NOT_FILE);
        close(fd);
        fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
        ck_assert_int_eq(kernel_load(mem, fd, IMAGE_RAM, &k), KERNEL_E_NOT_FILE);
        close(fd);
        ck_assert_int_eq(pipe(pipes), 0);
        ck_assert_int_eq(kernel_load(mem, pipes[0], IMAGE_RAM, &k), KERNEL_E_NOT_FILE);
        close(pipes[0]);
        close(pipes[1]);
        ck_assert_int_lt(kernel_load(mem, -1, IMAGE_RAM, &k), 0);
}
END_TEST

START_TEST(test_words)
{
        static const int first[] = { KERNEL_E_EMPTY, ELF_E_TRUNCATED, BZIMAGE_E_TRUNCATED };
        static const int last[] = { KERNEL_E_CHANGED, ELF_E_ENTRY, BZIMAGE_E_SIZES };

        for (unsigned i = 0; i < array_size(first); i++)
                for (int code = first[i]; code <= last[i]; code++)
                        ck_assert_msg(!strstr(kernel_strerror(code), "usable as"), "%d has no words", code);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_sniff, test_sniff_kinds, test_no_file, test_words };

        return run_tests("kernel", tests, array_size(tests));
}
