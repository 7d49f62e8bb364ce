/*
 * The zero page: setup header, memory map, initrd, command line, ACPI root.
 * Input:  the checked configuration; a setup header whose fields bzimage.c has checked.
 * Runs:   main thread, before any vCPU.
 * Limits: none of its own.
 */
#include "vmm/arch/x86/bootparams.h"

#include <assert.h>
#include <string.h>

#include "vmm/arch/x86/layout.h"
#include "vmm/arch/x86/x86.h"
#include "vmm/base/assert.h"

#define BOOT_FLAG        0xaa55u
#define HEADER_MAGIC     0x53726448u /* "HdrS" */
#define PROTOCOL_VERSION 0x20fu      /* told to ELF kernels, which have no header of their own */
#define LOADER_UNKNOWN   0xffu

enum { E820_RAM = 1, E820_RESERVED = 2 };

static_assert(sizeof(struct boot_params) == 4096, "the zero page is a page");
static_assert(sizeof(struct setup_header) == KERNEL_SETUP_MAX, "Documentation/arch/x86/boot.rst");

static void add_range(struct boot_params *p, uint64_t start, uint64_t end, uint32_t type)
{
        struct boot_e820_entry *e = &p->e820_table[p->e820_entries];

        ASSERT(p->e820_entries < E820_MAX_ENTRIES_ZEROPAGE);
        *e = (struct boot_e820_entry){ .addr = start, .size = end - start, .type = type };
        p->e820_entries++;
}

static void add_memory_map(const struct arch_boot *boot, struct boot_params *p)
{
        struct x86_range ram[2];
        unsigned n = x86_ram(boot->memory_bytes, ram);

        add_range(p, 0, LAYOUT_BASE_END, E820_RAM);
        add_range(p, LAYOUT_BASE_END, LAYOUT_VGA, E820_RESERVED);
        if (boot->platform == ARCH_ACPI)
                add_range(p, LAYOUT_ACPI, LAYOUT_ACPI_END, E820_RESERVED);
        add_range(p, LAYOUT_HIGH_START, ram[0].size, E820_RAM);
        if (n > 1)
                add_range(p, ram[1].at, ram[1].at + ram[1].size, E820_RAM);
}

void bootparams_fill(const struct arch_boot *boot, struct boot_params *ret)
{
        struct setup_header *hdr = &ret->hdr;

        memset(ret, 0, sizeof(*ret));
        if (boot->kernel->setup_len) {
                ASSERT(boot->kernel->setup_len <= sizeof(*hdr));
                memcpy(hdr, boot->kernel->setup, boot->kernel->setup_len);
        } else {
                hdr->boot_flag = BOOT_FLAG;
                hdr->header = HEADER_MAGIC;
                hdr->version = PROTOCOL_VERSION;
                hdr->loadflags = LOADED_HIGH;
        }
        hdr->type_of_loader = LOADER_UNKNOWN;
        hdr->cmd_line_ptr = LAYOUT_CMDLINE;
        hdr->cmdline_size = (uint32_t)strlen(boot->cmdline);
        hdr->setup_data = 0;
        hdr->ramdisk_image = (uint32_t)boot->initrd.at.v;
        hdr->ramdisk_size = (uint32_t)boot->initrd.size;
        if (boot->platform == ARCH_ACPI)
                ret->acpi_rsdp_addr = LAYOUT_ACPI;
        add_memory_map(boot, ret);
}
