/* bzImage kernels: a good one loads as promised; each way to be bad has its own answer. */
#include "tests/unit/run.h"

#include "tests/unit/vmm/boot/image.h"
#include "vmm/base/cleanup.h"
#include "vmm/boot/bzimage.h"

static int parse(const struct image *i, struct bzimage *ret)
{
        size_t head = i->size < KERNEL_HEAD_BYTES ? i->size : KERNEL_HEAD_BYTES;

        return bzimage_parse(i->bytes, head, i->size, IMAGE_RAM, ret);
}

START_TEST(test_good)
{
        struct image image;
        struct bzimage b;

        image_make_bzimage(&image);
        ck_assert_int_eq(parse(&image, &b), 0);
        ck_assert_uint_eq(b.payload_offset, IMAGE_PAYLOAD_AT);
        ck_assert_uint_eq(b.payload_len, 0x5000);
        ck_assert_uint_eq(b.at, 0x200000);
        ck_assert_uint_eq(b.entry, 0x200200);
        ck_assert_uint_eq(b.init_size, 0x10000);
        ck_assert_uint_eq(b.initrd_max, 0x7fffffff);
        ck_assert_uint_eq(b.cmdline_max, 1000);
        ck_assert_uint_eq(b.version_offset, IMAGE_VERSION_AT);
        ck_assert_uint_eq(b.setup_len, 0x202 + 0x6a - 0x1f1);
        ck_assert_int_eq(memcmp(b.setup, image.bytes + KERNEL_SETUP_OFFSET, b.setup_len), 0);
}
END_TEST

static const struct {
        const char *what;
        size_t at;
        unsigned width;
        uint64_t value;
        int error;
} hostile[] = {
        { "no magic", 0x202, 4, 0, BZIMAGE_E_MAGIC },
        { "protocol 2.11", 0x206, 2, 0x20b, BZIMAGE_E_VERSION },
        { "protocol 0", 0x206, 2, 0, BZIMAGE_E_VERSION },
        { "short header", 0x201, 1, 0x61, BZIMAGE_E_VERSION },
        { "zImage", 0x211, 1, 0, BZIMAGE_E_ZIMAGE },
        { "no 64-bit entry", 0x236, 2, 0xfffe, BZIMAGE_E_32BIT },
        { "setup is the whole file", 0x1f1, 1, 43, BZIMAGE_E_TRUNCATED },
        { "setup beyond the file", 0x1f1, 1, 255, BZIMAGE_E_TRUNCATED },
        { "no payload", 0x1f4, 4, 0, BZIMAGE_E_TRUNCATED },
        { "payload beyond the file", 0x1f4, 4, 0x501, BZIMAGE_E_TRUNCATED },
        { "payload near 2^36", 0x1f4, 4, 0xffffffff, BZIMAGE_E_TRUNCATED },
        { "payload without its entry", 0x1f4, 4, 0x20, BZIMAGE_E_SIZES },
        { "at 0", 0x258, 8, 0, BZIMAGE_E_LOW },
        { "just too low", 0x258, 8, KERNEL_START_MIN - 1, BZIMAGE_E_LOW },
        { "misaligned", 0x258, 8, 0x200001, BZIMAGE_E_SIZES },
        { "no room to unpack", 0x260, 4, 0, BZIMAGE_E_SIZES },
        { "room one byte short", 0x260, 4, 0x4fff, BZIMAGE_E_SIZES },
        { "room beyond RAM", 0x260, 4, IMAGE_RAM - 0x200000 + 1, BZIMAGE_E_MEMORY },
        { "beyond RAM", 0x258, 8, IMAGE_RAM, BZIMAGE_E_MEMORY },
        { "near 2^64", 0x258, 8, UINT64_MAX - 0x10fff, BZIMAGE_E_MEMORY },
        { "wraps", 0x258, 8, UINT64_MAX - 0xfff, BZIMAGE_E_MEMORY },
};

START_TEST(test_hostile)
{
        struct image image;
        struct bzimage b;
        int r;

        image_make_bzimage(&image);
        memcpy(image.bytes + hostile[_i].at, &hostile[_i].value, hostile[_i].width);
        r = parse(&image, &b);
        ck_assert_msg(r == hostile[_i].error, "%s: %d, not %d", hostile[_i].what, r, hostile[_i].error);
        ck_assert_ptr_nonnull(bzimage_strerror(r));
}
END_TEST

START_TEST(test_cut_anywhere)
{
        struct image image;
        struct bzimage b;
        size_t whole;

        image_make_bzimage(&image);
        whole = image.size;
        /* The size is told in 16 bytes: up to 15 may be missing. */
        for (size_t n = 0; n <= whole - 16; n++) {
                image.size = n;
                ck_assert_msg(parse(&image, &b) > 0, "taken when cut to %zu bytes", n);
        }
        image.size = whole - 15;
        ck_assert_int_eq(parse(&image, &b), 0);
        ck_assert_uint_eq(b.payload_len, 0x5000 - 15);
        image.size = whole + 64;
        ck_assert_int_eq(parse(&image, &b), 0);
        ck_assert_uint_eq(b.payload_len, 0x5000);
}
END_TEST

START_TEST(test_limits)
{
        struct image image;
        struct bzimage b;

        image_make_bzimage(&image);
        image_set16(&image, 0x206, 0x20c);
        image.bytes[0x201] = 0x62;
        ck_assert_int_eq(parse(&image, &b), 0);
        ck_assert_uint_eq(b.setup_len, 0x264 - 0x1f1);
        /* A header longer than any we know: as much as the zero page has room for. */
        image.bytes[0x201] = 0xff;
        ck_assert_int_eq(parse(&image, &b), 0);
        ck_assert_uint_eq(b.setup_len, KERNEL_SETUP_MAX);
        image_set32(&image, 0x238, UINT32_MAX);
        ck_assert_int_eq(parse(&image, &b), 0);
        ck_assert_uint_eq(b.cmdline_max, 2047);
        image_set32(&image, 0x260, (uint32_t)IMAGE_RAM - 0x200000);
        ck_assert_int_eq(parse(&image, &b), 0);
        image_set32(&image, 0x260, 0x5000);
        ck_assert_int_eq(parse(&image, &b), 0);
        image.bytes[0x1f1] = 0; /* means 4 */
        image_set32(&image, 0x1f4, 0x4c0);
        ck_assert_int_eq(parse(&image, &b), 0);
        ck_assert_uint_eq(b.payload_offset, 0xa00);
}
END_TEST

START_TEST(test_native)
{
        static const struct {
                const char *text;
                bool native;
        } rows[] = {
                { "6.12.1-vmlet (me@here) #1", true },
                { "6.12.1-vmlet", true },
                { "6.12.1-vmlet-2 #1", true },
                { "6.12.1 (me@my-vmlet) #1", false },
                { "6.12.1-cloud", false },
                { "", false },
                { "-vmle", false },
                { " 6.12-vmlet", false },
        };

        for (unsigned i = 0; i < array_size(rows); i++)
                ck_assert_msg(bzimage_is_native(rows[i].text, strlen(rows[i].text)) == rows[i].native, "%s",
                              rows[i].text);
        /* No NUL within the length; and nothing behind one counts. */
        ck_assert(bzimage_is_native("6.12-vmletX", 10));
        ck_assert(!bzimage_is_native("6.12-vmlet", 9));
        ck_assert(!bzimage_is_native("6.12\0-vmlet", 11));
}
END_TEST

START_TEST(test_load)
{
        cleanup(gmem_freep) struct gmem *mem = image_ram();
        struct image image;
        struct kernel k;
        int fd;

        image_make_bzimage(&image);
        fd = image_fd(&image);
        ck_assert_int_eq(kernel_load(mem, fd, IMAGE_RAM, &k), 0);
        close(fd);
        ck_assert(k.kind == KERNEL_BZIMAGE && k.native);
        ck_assert_uint_eq(k.entry.v, 0x200200);
        ck_assert_uint_eq(k.start, 0x200000);
        ck_assert_uint_eq(k.end, 0x210000);
        ck_assert_uint_eq(k.initrd_max, 0x7fffffff);
        image_expect(mem, 0x1ff000, 0x1000, 0);
        image_expect(mem, 0x200000, 0x5000, 0x33);
        image_expect(mem, 0x205000, 0x1000, 0);
}
END_TEST

START_TEST(test_version_out_of_the_file)
{
        static const uint16_t offsets[] = { 0, 1, 0xffff, 0x53ff, 0x5400 };
        cleanup(gmem_freep) struct gmem *mem = image_ram();
        struct image image;
        struct kernel k;

        for (unsigned i = 0; i < array_size(offsets); i++) {
                int fd;

                image_make_bzimage(&image);
                image_set16(&image, 0x20e, offsets[i]);
                fd = image_fd(&image);
                ck_assert_int_eq(kernel_load(mem, fd, IMAGE_RAM, &k), 0);
                ck_assert(!k.native);
                close(fd);
        }
}
END_TEST

int main(void)
{
        const struct run_test tests[] = {
                { test_good, 1 },
                { test_hostile, array_size(hostile) },
                { test_cut_anywhere, 1 },
                { test_limits, 1 },
                { test_native, 1 },
                { test_load, 1 },
                { test_version_out_of_the_file, 1 },
        };

        return run_loop_tests("bzimage", tests, array_size(tests));
}
