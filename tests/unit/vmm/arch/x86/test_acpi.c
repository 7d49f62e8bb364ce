/*
 * ACPI tables: sums, pointers and fields as the specification says; and what iasl, where it is
 * installed, reads out of them.
 */
#include "tests/unit/run.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/vmm/arch/x86/boot.h"
#include "vmm/arch/x86/acpi.h"
#include "vmm/arch/x86/aml.h"
#include "vmm/arch/x86/tables.h"
#include "vmm/arch/x86/x86.h"

struct tables {
        size_t len;
        uint8_t bytes[ACPI_BYTES_MAX];
};

static void build(struct tables *t, unsigned nr_vcpus, unsigned nr_devices)
{
        struct arch_device devices[LAYOUT_MMIO_MAX];
        struct arch_boot boot = boot_of(ARCH_ACPI, nr_vcpus, nr_devices, devices);
        struct buf b = buf_of(t->bytes, sizeof(t->bytes));

        acpi_build(&boot, LAYOUT_ACPI, &b);
        ck_assert(!b.bad);
        t->len = b.at;
}

static uint64_t get(const uint8_t *at, unsigned n)
{
        uint64_t v = 0;

        memcpy(&v, at, n);
        return v;
}

/* The table at a guest address, its sum checked. */
static const uint8_t *table_at(const struct tables *t, uint64_t at, const char *signature, size_t *ret_len)
{
        const uint8_t *p = t->bytes + (at - LAYOUT_ACPI);
        size_t len;

        ck_assert(at >= LAYOUT_ACPI && at + 36 <= LAYOUT_ACPI + t->len);
        len = (size_t)get(p + 4, 4);
        ck_assert_uint_le(at - LAYOUT_ACPI + len, t->len);
        ck_assert_int_eq(memcmp(p, signature, 4), 0);
        ck_assert_uint_eq(tables_sum(p, len), 0);
        if (ret_len)
                *ret_len = len;
        return p;
}

static const uint8_t *find(const struct tables *t, unsigned i, const char *signature, size_t *ret_len)
{
        const uint8_t *xsdt = table_at(t, get(t->bytes + 24, 8), "XSDT", NULL);

        return table_at(t, get(xsdt + 36 + 8 * i, 8), signature, ret_len);
}

START_TEST(test_root)
{
        struct tables t;
        size_t len;

        build(&t, 1, 2);
        ck_assert_int_eq(memcmp(t.bytes, "RSD PTR ", 8), 0);
        ck_assert_uint_eq(tables_sum(t.bytes, 20), 0);
        ck_assert_uint_eq(tables_sum(t.bytes, 36), 0);
        ck_assert_uint_eq(t.bytes[15], 2);
        (void)table_at(&t, get(t.bytes + 24, 8), "XSDT", &len);
        ck_assert_uint_eq(len, 36 + 2 * 8);
}
END_TEST

START_TEST(test_fadt)
{
        struct tables t;
        const uint8_t *fadt;
        size_t len;

        build(&t, 1, 2);
        fadt = find(&t, 0, "FACP", &len);
        ck_assert_uint_eq(len, 276);
        ck_assert_uint_eq(get(fadt + 112, 4), 1 << 20 | 1 << 10 | 1 << 5 | 1 << 4 | 1);
        ck_assert_uint_eq(get(fadt + 109, 2), 0x2c);
        ck_assert_int_eq(memcmp(fadt + 116, "\x01\x08\x00\x01\x01\x06\0\0\0\0\0\0", 12), 0);
        ck_assert_uint_eq(fadt[128], 1);
        ck_assert_int_eq(memcmp(fadt + 244, "\x01\x08\x00\x01\x00\x06\0\0\0\0\0\0", 12), 0);
        ck_assert_int_eq(memcmp(fadt + 256, "\x01\x08\x00\x01\x00\x06\0\0\0\0\0\0", 12), 0);
        (void)table_at(&t, get(fadt + 140, 8), "DSDT", NULL);
}
END_TEST

START_TEST(test_madt)
{
        static const unsigned counts[] = { 1, 16, X86_VCPUS_MAX };
        struct tables t;

        for (unsigned n = 0; n < array_size(counts); n++) {
                const uint8_t *madt;
                size_t len, at = 44;

                build(&t, counts[n], LAYOUT_MMIO_MAX);
                madt = find(&t, 1, "APIC", &len);
                ck_assert_uint_eq(get(madt + 36, 4), LAYOUT_LAPIC);
                for (unsigned i = 0; i < counts[n]; i++, at += 8) {
                        ck_assert_uint_eq(get(madt + at, 2), 0x0800);
                        ck_assert_uint_eq(madt[at + 3], i);
                        ck_assert_uint_eq(get(madt + at + 4, 4), 1);
                }
                ck_assert_uint_eq(get(madt + at, 2), 0x0c01);
                ck_assert_uint_eq(get(madt + at + 4, 4), LAYOUT_IOAPIC);
                ck_assert_uint_eq(len, at + 12);
        }
}
END_TEST

START_TEST(test_aml_bytes)
{
        /* clang-format off */
        static const uint8_t expected[] = {
                0x5b, 0x82, 0x45, 0x04, 'C', 'O', 'M', '1',          /* Device (COM1) */
                0x08, '_',  'H',  'I',  'D', 0x0c, 0x41, 0xd0, 5, 1, /* EisaId ("PNP0501") */
                0x08, '_',  'U',  'I',  'D', 0x01,
                0x08, 'N',  'U',  'M',  'B', 0x0a, 0x80,
                0x08, 'W',  'O',  'R',  'D', 0x0c, 0x00, 1, 0, 0,
                0x08, '_',  'C',  'R',  'S', 0x11, 0x48, 0x01, 0x0b, 0x13, 0x00,
                0x47, 1,    0xf8, 3,    0xf8, 3,   1,    8,          /* ports */
                0x89, 6,    0,    3,    1,   4,    0,    0,  0,      /* interrupt */
                0x79, 0,
        };
        /* clang-format on */
        uint8_t bytes[128];
        struct buf b = buf_of(bytes, sizeof(bytes));
        size_t device = aml_open(&b, AML_DEVICE, "COM1"), resources;

        aml_name_eisa_id(&b, "_HID", "PNP0501");
        aml_name_int(&b, "_UID", 1);
        aml_name_int(&b, "NUMB", 0x80);
        aml_name_int(&b, "WORD", 0x100);
        resources = aml_open_resources(&b);
        aml_ports(&b, 0x3f8, 8);
        aml_interrupt(&b, 4);
        aml_close_resources(&b, resources);
        aml_close(&b, device);
        ck_assert_uint_eq(b.at, sizeof(expected));
        ck_assert_mem_eq(bytes, expected, sizeof(expected));
}
END_TEST

/* Return: what iasl says of the DSDT, or NULL where there is no iasl. To be freed. */
static char *disassemble(const uint8_t *dsdt, size_t len)
{
        char folder[] = "/tmp/test_acpi.XXXXXX", command[256], *text = calloc(1, 65536);
        FILE *f;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void)snprintf(command, sizeof(command), "%s/dsdt.aml", folder);
        f = fopen(command, "we");
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_eq(fwrite(dsdt, 1, len, f), len);
        fclose(f);
        (void)snprintf(command, sizeof(command),
                       "cd %s && iasl -d dsdt.aml >log 2>&1 && iasl -we -p again dsdt.dsl >>log 2>&1 && "
                       "cat dsdt.dsl || cat log; rm -rf %s",
                       folder, folder);
        f = popen(command, "re");
        ck_assert_ptr_nonnull(f);
        ck_assert_uint_gt(fread(text, 1, 65535, f), 0);
        pclose(f);
        return text;
}

START_TEST(test_iasl_reads_it)
{
        struct tables t;
        const uint8_t *dsdt;
        char *text;
        size_t len;

        if (system("command -v iasl >/dev/null") != 0)
                return;
        build(&t, 2, 3);
        dsdt = table_at(&t, get(find(&t, 0, "FACP", NULL) + 140, 8), "DSDT", &len);
        text = disassemble(dsdt, len);
        ck_assert_msg(strstr(text, "Name (_HID, \"LNRO0005\")"), "%s", text);
        ck_assert_ptr_nonnull(strstr(text, "EisaId (\"PNP0501\")"));
        ck_assert_ptr_nonnull(strstr(text, "Device (VM02)"));
        ck_assert_ptr_nonnull(strstr(text, "0xD0002000"));
        ck_assert_ptr_nonnull(strstr(text, "Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive"));
        ck_assert_ptr_nonnull(strstr(text, "Name (_S5"));
        free(text);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_root, test_fadt, test_madt, test_aml_bytes, test_iasl_reads_it };

        return run_tests("acpi", tests, array_size(tests));
}
