/* The kernel's command line: joined by spaces, bounded. */
#include "tests/unit/run.h"

#include <string.h>

#include "vmm/boot/cmdline.h"

START_TEST(test_words_are_joined)
{
        struct cmdline c = { 0 };

        cmdline_add(&c, "");
        ck_assert_str_eq(c.text, "");
        cmdline_add(&c, "quiet");
        cmdline_add(&c, "");
        cmdline_add(&c, "a=1 b=2");
        cmdline_add_virtio_mmio(&c, 0xd0001000, 512, 6);
        ck_assert_str_eq(c.text, "quiet a=1 b=2 virtio_mmio.device=512@0xd0001000:6");
        ck_assert_uint_eq(c.len, strlen(c.text));
        ck_assert(!c.too_long);
}
END_TEST

static const char *letters(size_t n)
{
        static char text[2 * CMDLINE_BYTES];

        memset(text, 'x', n);
        text[n] = '\0';
        return text;
}

START_TEST(test_limit)
{
        struct cmdline fits = { 0 }, beyond = { 0 }, joined = { 0 };

        cmdline_add(&fits, letters(CMDLINE_BYTES - 1));
        ck_assert(!fits.too_long && strlen(fits.text) == CMDLINE_BYTES - 1);
        cmdline_add(&fits, "");
        ck_assert(!fits.too_long);
        cmdline_add(&fits, "y");
        ck_assert(fits.too_long);

        cmdline_add(&beyond, letters(CMDLINE_BYTES));
        ck_assert(beyond.too_long && !beyond.len && !beyond.text[0]);

        /* The space counts. */
        cmdline_add(&joined, letters(CMDLINE_BYTES - 3));
        cmdline_add(&joined, "y");
        ck_assert(!joined.too_long && joined.len == CMDLINE_BYTES - 1);
        joined = (struct cmdline){ 0 };
        cmdline_add(&joined, letters(CMDLINE_BYTES - 2));
        cmdline_add(&joined, "y");
        ck_assert(joined.too_long);
}
END_TEST

START_TEST(test_too_long_stays)
{
        struct cmdline c = { 0 };

        cmdline_add(&c, "first");
        cmdline_add(&c, letters(CMDLINE_BYTES));
        cmdline_add(&c, "last");
        ck_assert(c.too_long);
        ck_assert_str_eq(c.text, "first");
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_words_are_joined, test_limit, test_too_long_stays };

        return run_tests("cmdline", tests, array_size(tests));
}
