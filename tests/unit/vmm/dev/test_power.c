/* Power, reset and event ports, and the keyboard controller's reset line. */
#include "tests/unit/run.h"

#include "vmm/dev/i8042.h"
#include "vmm/dev/power.h"

struct seen {
        struct power power;
        struct i8042 kbd;
        unsigned events, resets;
        enum power_event last;
};

static void on_event(struct power *power, enum power_event event)
{
        struct seen *s = container_of(power, struct seen, power);

        s->events++;
        s->last = event;
}

static void on_reset(struct i8042 *kbd)
{
        container_of(kbd, struct seen, kbd)->resets++;
}

/* Every value of every port: exactly the documented ones mean something. */
START_TEST(test_every_write)
{
        struct seen s = { .power.on_event = on_event };

        for (unsigned off = 0; off < POWER_PORTS; off++) {
                for (unsigned v = 0; v < 256; v++) {
                        unsigned expected = 0;

                        if (off == 0 && (v & 0x3c) == 0x34)
                                expected = POWER_EVENT_OFF;
                        if (off == 1 && v == 1)
                                expected = POWER_EVENT_RESET;
                        if (off == 2 && (v == 1 || v == 0x10 || v == 0x11 || v == 0x20 || v == 0x21))
                                expected = v;
                        s.events = 0;
                        power_ops.write(&s.power, off, 1, v);
                        ck_assert_msg(s.events == (expected ? 1 : 0), "+%u <- %#x", off, v);
                        ck_assert(!expected || s.last == expected);
                        s.events = 0;
                        power_ops.write(&s.power, off, 2, v);
                        power_ops.write(&s.power, off, 4, v);
                        ck_assert_uint_eq(s.events, 0);
                }
                ck_assert_uint_eq(power_ops.read(&s.power, off, 1), 0);
        }
}
END_TEST

START_TEST(test_reset_line)
{
        struct seen s = { .kbd.on_reset = on_reset };

        for (unsigned off = 0; off < I8042_PORTS; off++)
                for (unsigned v = 0; v < 256; v++)
                        i8042_ops.write(&s.kbd, off, 1, v);
        ck_assert_uint_eq(s.resets, 1);
        i8042_ops.write(&s.kbd, 4, 2, 0xfe);
        ck_assert_uint_eq(s.resets, 1);
        /* Output full: a probe gives up. Input not full: a reset is written at once. */
        ck_assert_uint_eq(i8042_ops.read(&s.kbd, 4, 1) & 3, 1);
        ck_assert(i8042_ops.read(&s.kbd, 0, 1) == UINT64_MAX);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_every_write, test_reset_line };

        return run_tests("power", tests, array_size(tests));
}
