/*
 * Guest memory as an x86-64 kernel wants to find it.
 * Input:  the checked configuration.
 * Runs:   main thread, before any vCPU.
 * Limits: X86_VCPUS_MAX vCPUs, LAYOUT_MMIO_MAX devices.
 */
#include "vmm/arch/x86/x86.h"

#include <assert.h>
#include <string.h>

#include "vmm/arch/x86/acpi.h"
#include "vmm/arch/x86/bootparams.h"
#include "vmm/arch/x86/layout.h"
#include "vmm/arch/x86/mptable.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/boot/cmdline.h"

static_assert(LAYOUT_ACPI + ACPI_BYTES_MAX <= LAYOUT_RESET_VECTOR, "the tables end before the code");

#define PTE_PRESENT 0x1ull
#define PTE_WRITE   0x2ull
#define PTE_HUGE    0x80ull
#define PD_ENTRIES  512u
#define PD_SPAN     (1ull << 30)
#define PDE_SPAN    (2ull << 20)
#define PDS_MAX     3u

static_assert(LAYOUT_ZERO_PAGE + sizeof(struct boot_params) <= LAYOUT_CMDLINE, "boot structures are apart");
static_assert(LAYOUT_CMDLINE + CMDLINE_BYTES <= LAYOUT_GDT, "boot structures are apart");
static_assert(LAYOUT_GDT + X86_GDT_BYTES <= LAYOUT_PML4, "boot structures are apart");
static_assert(LAYOUT_GAP_START == PDS_MAX * PD_SPAN, "page directories cover all low RAM");

unsigned x86_ram(uint64_t memory_bytes, struct x86_range ret[2])
{
        uint64_t low = num_min(memory_bytes, LAYOUT_GAP_START);

        ret[0] = (struct x86_range){ .at = 0, .size = low };
        ret[1] = (struct x86_range){ .at = LAYOUT_GAP_END, .size = memory_bytes - low };
        return ret[1].size ? 2 : 1;
}

/* What the configuration allows lies in RAM: a fault would be a bug. */
static void put(struct gmem *mem, uint64_t at, const void *src, size_t n)
{
        int r = gmem_write(mem, GPA(at), src, n);

        ASSERT(!r);
}

static void put_gdt(struct gmem *mem)
{
        static const uint64_t gdt[X86_GDT_BYTES / 8] = {
                [X86_GDT_CODE / 8] = 0x00af9b000000ffff,
                [X86_GDT_DATA / 8] = 0x00cf93000000ffff,
                [X86_GDT_TASK / 8] = 0x00008b0000000067,
        };

        put(mem, LAYOUT_GDT, gdt, sizeof(gdt));
}

/* Identity-mapped in 2 MiB pages, as far as the kernel reaches; it builds its own tables soon. */
static void put_page_tables(struct gmem *mem, uint64_t kernel_end)
{
        uint64_t nr = num_align_up(kernel_end, PDE_SPAN) / PDE_SPAN;
        uint64_t pml4e = LAYOUT_PDPT | PTE_PRESENT | PTE_WRITE;
        uint64_t pdpt[PDS_MAX], pd[PD_ENTRIES] __attribute__((uninitialized));

        ASSERT(nr <= PDS_MAX * PD_ENTRIES);
        put(mem, LAYOUT_PML4, &pml4e, sizeof(pml4e));
        for (unsigned i = 0; i < PDS_MAX; i++)
                pdpt[i] = (LAYOUT_PD + i * GMEM_PAGE_BYTES) | PTE_PRESENT | PTE_WRITE;
        put(mem, LAYOUT_PDPT, pdpt, sizeof(pdpt));
        for (uint64_t done = 0; done < nr;) {
                uint64_t n = num_min(nr - done, PD_ENTRIES);

                for (uint64_t i = 0; i < n; i++)
                        pd[i] = (done + i) * PDE_SPAN | PTE_PRESENT | PTE_WRITE | PTE_HUGE;
                put(mem, LAYOUT_PD + done * sizeof(*pd), pd, n * sizeof(*pd));
                done += n;
        }
}

static void put_mptable(struct gmem *mem, const struct arch_boot *boot)
{
        uint8_t table[LAYOUT_MP_POINTER - LAYOUT_MP_TABLE] __attribute__((uninitialized));
        uint8_t pointer[MPTABLE_POINTER_BYTES];
        struct buf b = buf_of(table, sizeof(table));

        mptable_build(boot, &b);
        ASSERT(!b.bad);
        mptable_pointer(LAYOUT_MP_TABLE, pointer);
        put(mem, LAYOUT_MP_TABLE, table, b.at);
        put(mem, LAYOUT_MP_POINTER, pointer, sizeof(pointer));
}

static void put_acpi(struct gmem *mem, const struct arch_boot *boot)
{
        uint8_t tables[ACPI_BYTES_MAX] __attribute__((uninitialized));
        struct buf b = buf_of(tables, sizeof(tables));

        acpi_build(boot, LAYOUT_ACPI, &b);
        ASSERT(!b.bad);
        put(mem, LAYOUT_ACPI, tables, b.at);
}

/*
 * Linux reboots through firmware that is not there: on hardware-reduced ACPI it asks EFI, and then jumps
 * to the reset vector in real mode. This is all the firmware it needs.
 */
static void put_reset_vector(struct gmem *mem)
{
        /* clang-format off */
        static const uint8_t code[] = {
                0xba, (LAYOUT_POWER + 1) & 0xff, (LAYOUT_POWER + 1) >> 8, /* mov dx, reset port */
                0xb0, 0x01,                                               /* mov al, 1 */
                0xee,                                                     /* out dx, al */
                0xf4,                                                     /* hlt */
                0xeb, 0xfd,                                               /* jmp to the hlt */
        };
        /* clang-format on */

        static_assert(LAYOUT_RESET_VECTOR + sizeof(code) <= LAYOUT_ACPI_END,
                      "the vector is 16 bytes below 1 MiB");
        put(mem, LAYOUT_RESET_VECTOR, code, sizeof(code));
}

void x86_setup_memory(struct gmem *mem, const struct arch_boot *boot)
{
        struct boot_params params __attribute__((uninitialized));
        size_t cmdline_bytes = strlen(boot->cmdline) + 1;

        ASSERT(boot->nr_vcpus && boot->nr_vcpus <= X86_VCPUS_MAX && boot->nr_devices <= LAYOUT_MMIO_MAX);
        ASSERT(cmdline_bytes <= CMDLINE_BYTES);
        bootparams_fill(boot, &params);
        put(mem, LAYOUT_ZERO_PAGE, &params, sizeof(params));
        put(mem, LAYOUT_CMDLINE, boot->cmdline, cmdline_bytes);
        put_gdt(mem);
        put_page_tables(mem, boot->kernel->end);
        put_reset_vector(mem);
        if (boot->platform == ARCH_NATIVE)
                put_mptable(mem, boot);
        else
                put_acpi(mem, boot);
}
