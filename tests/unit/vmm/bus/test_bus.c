/* The bus: who answers where. */
#include "tests/unit/run.h"

#include <string.h>

#include "vmm/bus/bus.h"

struct owner {
        uint64_t off, value;
        unsigned len;
};

static uint64_t on_read(void *arg, uint64_t off, unsigned len)
{
        struct owner *o = arg;

        o->off = off;
        o->len = len;
        return o->value;
}

static void on_write(void *arg, uint64_t off, unsigned len, uint64_t value)
{
        *(struct owner *)arg = (struct owner){ .off = off, .len = len, .value = value };
}

static const struct bus_ops ops = { .read = on_read, .write = on_write };

START_TEST(test_each_range_has_its_owner)
{
        struct owner a = { .value = 1 }, b = { .value = 2 }, c = { .value = 3 };
        struct bus bus = { 0 };
        uint64_t v;

        bus_add(&bus, 0x2000, 0x100, &ops, &b);
        bus_add(&bus, 0x1000, 0x100, &ops, &a);
        bus_add(&bus, 0x2100, 0x100, &ops, &c);
        ck_assert(bus_read(&bus, 0x1004, 4, &v) && v == 1 && a.off == 4 && a.len == 4);
        ck_assert(bus_read(&bus, 0x20ff, 1, &v) && v == 2 && b.off == 0xff);
        ck_assert(bus_read(&bus, 0x2100, 8, &v) && v == 3 && c.off == 0);
        ck_assert(bus_write(&bus, 0x10f8, 8, 9) && a.off == 0xf8 && a.value == 9);
}
END_TEST

START_TEST(test_nobody_answers_elsewhere)
{
        struct owner a = { .value = 1 };
        struct bus bus = { 0 };
        static const struct {
                uint64_t at;
                unsigned len;
        } rows[] = { { 0, 1 },      { 0xfff, 1 },  { 0xfff, 2 },     { 0x10ff, 2 },
                     { 0x10fd, 4 }, { 0x1100, 1 }, { UINT64_MAX, 8 } };
        uint64_t v = 0;

        ck_assert(!bus_read(&bus, 0x1000, 1, &v) && v == UINT64_MAX);
        bus_add(&bus, 0x1000, 0x100, &ops, &a);
        for (unsigned i = 0; i < array_size(rows); i++) {
                v = 0;
                ck_assert(!bus_read(&bus, rows[i].at, rows[i].len, &v) && v == UINT64_MAX);
                ck_assert(!bus_write(&bus, rows[i].at, rows[i].len, 7));
        }
        ck_assert_uint_eq(a.value, 1);
}
END_TEST

START_TEST(test_all_ranges_there_is_room_for)
{
        struct owner owners[BUS_RANGES_MAX];
        struct bus bus = { 0 };
        uint64_t v;

        memset(owners, 0, sizeof(owners));
        for (unsigned i = 0; i < BUS_RANGES_MAX; i++) {
                owners[i].value = i;
                bus_add(&bus, 0x1000ull * ((i * 7) % BUS_RANGES_MAX), 0x1000, &ops, &owners[i]);
        }
        for (unsigned i = 0; i < BUS_RANGES_MAX; i++)
                ck_assert(bus_read(&bus, 0x1000ull * ((i * 7) % BUS_RANGES_MAX) + 0xfff, 1, &v) && v == i);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_each_range_has_its_owner,
                test_nobody_answers_elsewhere,
                test_all_ranges_there_is_room_for,
        };

        return run_tests("bus", tests, array_size(tests));
}
