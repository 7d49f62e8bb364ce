/* Guest memory and registers as a kernel finds them at its entry. */
#include "tests/unit/run.h"

#include <asm/bootparam.h>
#include <string.h>

#include "tests/unit/vmm/arch/x86/boot.h"
#include "vmm/arch/x86/tables.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/base/cleanup.h"
#include "vmm/boot/cmdline.h"

static struct gmem *ram(uint64_t bytes)
{
        struct gmem *mem;

        ck_assert_int_eq(gmem_new(&mem), 0);
        ck_assert_int_eq(gmem_add_ram(mem, GPA(0), bytes), 0);
        return mem;
}

static void get(struct gmem *mem, uint64_t at, void *dst, size_t n)
{
        ck_assert_int_eq(gmem_read(mem, GPA(at), dst, n), 0);
}

START_TEST(test_ram)
{
        struct x86_range r[2];

        ck_assert_uint_eq(x86_ram(32 * TEST_MIB, r), 1);
        ck_assert(r[0].at == 0 && r[0].size == 32 * TEST_MIB);
        ck_assert_uint_eq(x86_ram(3072 * TEST_MIB, r), 1);
        ck_assert_uint_eq(x86_ram(3074 * TEST_MIB, r), 2);
        ck_assert(r[0].size == 3072 * TEST_MIB && r[1].at == 4096 * TEST_MIB && r[1].size == 2 * TEST_MIB);
}
END_TEST

static void check_range(const struct boot_params *p, unsigned i, uint64_t start, uint64_t end, uint32_t type)
{
        ck_assert_uint_lt(i, p->e820_entries);
        ck_assert_uint_eq(p->e820_table[i].addr, start);
        ck_assert_uint_eq(p->e820_table[i].addr + p->e820_table[i].size, end);
        ck_assert_uint_eq(p->e820_table[i].type, type);
}

START_TEST(test_native)
{
        cleanup(gmem_freep) struct gmem *mem = ram(64 * TEST_MIB);
        struct arch_device devices[LAYOUT_MMIO_MAX];
        struct arch_boot boot = boot_of(ARCH_NATIVE, 4, 3, devices);
        struct boot_params p;
        uint8_t pointer[16];
        char cmdline[8];

        boot.memory_bytes = 5120 * TEST_MIB;
        boot.initrd = (struct initrd){ .at = GPA(0x100000), .size = 0x1234 };
        x86_setup_memory(mem, &boot);
        get(mem, LAYOUT_ZERO_PAGE, &p, sizeof(p));
        ck_assert_uint_eq(p.hdr.header, 0x53726448);
        ck_assert_uint_eq(p.hdr.boot_flag, 0xaa55);
        ck_assert_uint_eq(p.hdr.type_of_loader, 0xff);
        ck_assert_uint_eq(p.hdr.ramdisk_image, 0x100000);
        ck_assert_uint_eq(p.hdr.ramdisk_size, 0x1234);
        ck_assert_uint_eq(p.hdr.cmdline_size, 5);
        ck_assert_uint_eq(p.acpi_rsdp_addr, 0);
        ck_assert_uint_eq(p.e820_entries, 4);
        check_range(&p, 0, 0, LAYOUT_BASE_END, 1);
        check_range(&p, 1, LAYOUT_BASE_END, 0xa0000, 2);
        check_range(&p, 2, 0x100000, 0xc0000000, 1);
        check_range(&p, 3, 0x100000000, 0x180000000, 1);
        get(mem, p.hdr.cmd_line_ptr, cmdline, 6);
        ck_assert_str_eq(cmdline, "quiet");
        get(mem, LAYOUT_MP_POINTER, pointer, sizeof(pointer));
        ck_assert_int_eq(memcmp(pointer, "_MP_", 4), 0);
        get(mem, LAYOUT_ACPI, pointer, sizeof(pointer));
        ck_assert_uint_eq(tables_sum(pointer, sizeof(pointer)), 0);
        ck_assert_uint_eq(pointer[0], 0);
        get(mem, 0xffff0, pointer, sizeof(pointer));
        ck_assert_mem_eq(pointer, "\xba\x01\x06\xb0\x01\xee\xf4\xeb\xfd", 9);
}
END_TEST

START_TEST(test_acpi)
{
        cleanup(gmem_freep) struct gmem *mem = ram(64 * TEST_MIB);
        struct arch_device devices[LAYOUT_MMIO_MAX];
        struct arch_boot boot = boot_of(ARCH_ACPI, X86_VCPUS_MAX, LAYOUT_MMIO_MAX, devices);
        struct kernel kernel = boot_kernel;
        struct boot_params p;
        uint8_t bytes[16];

        /* The kernel's own header goes before what we would tell. */
        kernel.setup_len = 0x264 - KERNEL_SETUP_OFFSET;
        memset(kernel.setup, 0x5a, kernel.setup_len);
        boot.kernel = &kernel;
        x86_setup_memory(mem, &boot);
        get(mem, LAYOUT_ZERO_PAGE, &p, sizeof(p));
        ck_assert_uint_eq(p.hdr.version, 0x5a5a);
        ck_assert_uint_eq(p.hdr.init_size, 0x5a5a5a5a);
        ck_assert_uint_eq(p.hdr.handover_offset, 0);
        ck_assert_uint_eq(p.hdr.setup_data, 0);
        ck_assert_uint_eq(p.hdr.ramdisk_size, 0);
        ck_assert_uint_eq(p.sentinel, 0);
        ck_assert_uint_eq(p.acpi_rsdp_addr, LAYOUT_ACPI);
        ck_assert_uint_eq(p.e820_entries, 4);
        check_range(&p, 2, LAYOUT_ACPI, LAYOUT_ACPI_END, 2);
        check_range(&p, 3, 0x100000, 128 * TEST_MIB, 1);
        get(mem, LAYOUT_ACPI, bytes, sizeof(bytes));
        ck_assert_int_eq(memcmp(bytes, "RSD PTR ", 8), 0);
        get(mem, LAYOUT_MP_POINTER, bytes, sizeof(bytes));
        ck_assert_uint_eq(bytes[0], 0);
}
END_TEST

/* Walks the tables as the processor does. */
static uint64_t walk(struct gmem *mem, uint64_t linear)
{
        uint64_t entry;

        get(mem, LAYOUT_PML4 + (linear >> 39 & 511) * 8, &entry, 8);
        ck_assert(entry & 1);
        get(mem, (entry & ~0xfffull) + (linear >> 30 & 511) * 8, &entry, 8);
        ck_assert(entry & 1);
        get(mem, (entry & ~0xfffull) + (linear >> 21 & 511) * 8, &entry, 8);
        if (!(entry & 1))
                return UINT64_MAX;
        ck_assert(entry & 0x80);
        return (entry & ~0x1fffffull) | (linear & 0x1fffff);
}

START_TEST(test_page_tables)
{
        static const uint64_t ends[] = { 0x2400000, 0x40000000, 0x40000001, 0xc0000000 };

        for (unsigned i = 0; i < array_size(ends); i++) {
                cleanup(gmem_freep) struct gmem *mem = ram(64 * TEST_MIB);
                struct arch_device devices[LAYOUT_MMIO_MAX];
                struct arch_boot boot = boot_of(ARCH_NATIVE, 1, 0, devices);
                struct kernel kernel = boot_kernel;

                kernel.end = ends[i];
                boot.kernel = &kernel;
                x86_setup_memory(mem, &boot);
                ck_assert_uint_eq(walk(mem, 0), 0);
                ck_assert_uint_eq(walk(mem, LAYOUT_ZERO_PAGE), LAYOUT_ZERO_PAGE);
                ck_assert_uint_eq(walk(mem, ends[i] - 1), ends[i] - 1);
        }
}
END_TEST

/* The descriptors in memory say what the loaded segments say. */
static void check_descriptor(struct gmem *mem, const struct kvm_segment *s)
{
        uint64_t d;

        get(mem, LAYOUT_GDT + s->selector, &d, sizeof(d));
        ck_assert_uint_eq(d >> 40 & 0xf, s->type);
        ck_assert_uint_eq(d >> 44 & 1, s->s);
        ck_assert_uint_eq(d >> 47 & 1, s->present);
        ck_assert_uint_eq(d >> 53 & 1, s->l);
        ck_assert_uint_eq(d >> 54 & 1, s->db);
        ck_assert_uint_eq(d >> 55 & 1, s->g);
}

START_TEST(test_registers)
{
        cleanup(gmem_freep) struct gmem *mem = ram(64 * TEST_MIB);
        struct arch_device devices[LAYOUT_MMIO_MAX];
        struct arch_boot boot = boot_of(ARCH_NATIVE, 1, 0, devices);
        struct kvm_sregs s;
        struct kvm_regs r;

        x86_setup_memory(mem, &boot);
        x86_boot_sregs(&s);
        x86_boot_regs(GPA(0x1000000), &r);
        ck_assert_uint_eq(s.cr0, 0x80000011);
        ck_assert_uint_eq(s.cr4, 0x20);
        ck_assert_uint_eq(s.efer, 0x500);
        ck_assert_uint_eq(s.cr3, LAYOUT_PML4);
        ck_assert_uint_eq(s.apic_base, 0xfee00900);
        ck_assert_uint_eq(s.cs.selector, 0x10);
        ck_assert_uint_eq(s.ds.selector, 0x18);
        ck_assert(s.cs.l && !s.cs.db);
        check_descriptor(mem, &s.cs);
        check_descriptor(mem, &s.ss);
        check_descriptor(mem, &s.tr);
        ck_assert_uint_eq(r.rip, 0x1000000);
        ck_assert_uint_eq(r.rsi, LAYOUT_ZERO_PAGE);
        ck_assert_uint_eq(r.rflags, 2);
}
END_TEST

START_TEST(test_msrs_and_lapic)
{
        struct kvm_lapic_state lapic = { 0 };
        struct x86_msrs m;
        uint32_t lvt0 = 0x700;

        x86_boot_msrs(&m);
        ck_assert_uint_eq(m.nr, X86_NR_MSRS);
        ck_assert_uint_eq(offsetof(struct x86_msrs, entries), offsetof(struct kvm_msrs, entries));
        ck_assert(m.entries[0].index == 0x1a0 && m.entries[0].data & 1);
        ck_assert(m.entries[1].index == 0x2ff && m.entries[1].data == 0x806);
        memcpy(lapic.regs + 0x350, &lvt0, sizeof(lvt0));
        x86_boot_lapic(&lapic);
        memcpy(&lvt0, lapic.regs + 0x350, sizeof(lvt0));
        ck_assert_uint_eq(lvt0, 0x10700);
}
END_TEST

START_TEST(test_probe)
{
        cleanup(gmem_freep) struct gmem *mem = ram(2 * TEST_MIB);
        struct kvm_sregs s = { .cr0 = 0x60000010, .apic_base = 0xfee00900 };
        struct kvm_regs r;
        uint8_t code[64];

        ck_assert_int_eq(x86_probe_setup(mem, &s, &r), 0);
        ck_assert(s.cr0 & 1 && !(s.cr0 & 0x80000000) && s.apic_base == 0xfee00900);
        get(mem, r.rip, code, sizeof(code));
        ck_assert_uint_eq(code[0], 0xb9);
        /* The jump goes back to what follows the first instruction. */
        ck_assert_uint_eq(code[19], 0x75);
        ck_assert_int_eq(21 + (int8_t)code[20], 5);
        ck_assert(code[26] == 0xee && code[27] == 0xf4);
        (void)x86_probe_host();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_ram,       test_native,         test_acpi,  test_page_tables,
                test_registers, test_msrs_and_lapic, test_probe,
        };

        return run_tests("x86", tests, array_size(tests));
}
