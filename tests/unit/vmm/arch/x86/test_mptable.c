/* The MP table, read back as its specification says. */
#include "tests/unit/run.h"

#include <string.h>

#include "tests/unit/vmm/arch/x86/boot.h"
#include "vmm/arch/x86/mptable.h"
#include "vmm/arch/x86/tables.h"
#include "vmm/arch/x86/x86.h"

#define TABLE_BYTES (LAYOUT_MP_POINTER - LAYOUT_MP_TABLE)

START_TEST(test_pointer)
{
        uint8_t p[MPTABLE_POINTER_BYTES];

        mptable_pointer(0x9e000, p);
        ck_assert_int_eq(memcmp(p, "_MP_\x00\xe0\x09\x00\x01\x04", 10), 0);
        ck_assert_uint_eq(tables_sum(p, sizeof(p)), 0);
}
END_TEST

struct seen {
        unsigned cpus, boot_cpus, buses, ioapics, lines, local_lines;
};

/* Return: length of the entry. */
static size_t see(const uint8_t *e, struct seen *s)
{
        switch (e[0]) {
        case 0:
                ck_assert_uint_eq(e[1], s->cpus);
                ck_assert(e[3] & 1);
                s->boot_cpus += (e[3] & 2) != 0;
                s->cpus++;
                return 20;
        case 1:
                s->buses++;
                ck_assert_int_eq(memcmp(e + 2, "ISA   ", 6), 0);
                return 8;
        case 2:
                s->ioapics++;
                ck_assert_int_eq(memcmp(e + 4, "\x00\x00\xc0\xfe", 4), 0);
                return 8;
        case 3:
                ck_assert_uint_eq(e[2] | (unsigned)e[3] << 8, 5); /* edge, active high */
                /* The serial port's is 4, then come the devices from 5 on. */
                ck_assert_uint_eq(e[5], s->lines + 4);
                ck_assert_uint_eq(e[7], s->lines + 4);
                s->lines++;
                return 8;
        case 4:
                s->local_lines++;
                return 8;
        default:
                ck_abort_msg("entry of type %u", e[0]);
        }
        return 0;
}

static void check_table(unsigned nr_vcpus, unsigned nr_devices)
{
        struct arch_device devices[LAYOUT_MMIO_MAX];
        struct arch_boot boot = boot_of(ARCH_NATIVE, nr_vcpus, nr_devices, devices);
        uint8_t table[TABLE_BYTES];
        struct buf b = buf_of(table, sizeof(table));
        struct seen s = { 0 };
        unsigned nr, n = 0;
        size_t at = 44;

        memset(table, 0xee, sizeof(table));
        mptable_build(&boot, &b);
        ck_assert(!b.bad);
        ck_assert_int_eq(memcmp(table, "PCMP", 4), 0);
        ck_assert_uint_eq(table[4] | (unsigned)table[5] << 8, b.at);
        ck_assert_uint_eq(tables_sum(table, b.at), 0);
        ck_assert_int_eq(memcmp(table + 36, "\x00\x00\xe0\xfe", 4), 0);
        nr = table[34] | (unsigned)table[35] << 8;
        for (; n < nr && at < b.at; n++)
                at += see(table + at, &s);
        ck_assert_uint_eq(n, nr);
        ck_assert_uint_eq(at, b.at);
        ck_assert_uint_eq(s.cpus, nr_vcpus);
        ck_assert_uint_eq(s.boot_cpus, 1);
        ck_assert_uint_eq(s.buses, 1);
        ck_assert_uint_eq(s.ioapics, 1);
        ck_assert_uint_eq(s.lines, nr_devices + 1);
        ck_assert_uint_eq(s.local_lines, 2);
}

START_TEST(test_table)
{
        check_table(1, 0);
        check_table(16, 3);
        check_table(X86_VCPUS_MAX, LAYOUT_MMIO_MAX);
}
END_TEST

START_TEST(test_no_room)
{
        uint8_t table[64], before[64];
        struct buf b = buf_of(table, sizeof(table));
        struct arch_device devices[LAYOUT_MMIO_MAX];
        struct arch_boot boot = boot_of(ARCH_NATIVE, 1, 1, devices);

        memset(table, 0, sizeof(table));
        mptable_build(&boot, &b);
        ck_assert(b.bad);
        memcpy(before, table, sizeof(before));
        ck_assert_uint_eq(before[4], 0);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_pointer, test_table, test_no_room };

        return run_tests("mptable", tests, array_size(tests));
}
