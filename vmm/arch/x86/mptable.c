/*
 * The MP table.
 * Input:  the checked configuration.
 * Runs:   main thread, before any vCPU.
 * Limits: X86_VCPUS_MAX vCPUs.
 *
 * Comments in the form "4.3.1" are sections of the MultiProcessor Specification 1.4.
 */
#include "vmm/arch/x86/mptable.h"

#include <string.h>

#include "vmm/arch/x86/layout.h"
#include "vmm/arch/x86/tables.h"

#define SPEC_REVISION  4u /* 1.4 */
#define APIC_VERSION   0x14u
#define IOAPIC_VERSION 0x11u
#define IOAPIC_ID      0u /* of its own kind: with this APIC version it may be that of a processor */
#define ISA_BUS        0u
#define EVERY_APIC     0xffu

enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_INTERRUPT, ENTRY_LOCAL_INTERRUPT };
enum { CPU_ENABLED = 1, CPU_BOOT = 2, CPU_HAS_FPU = 0x1, CPU_HAS_APIC = 0x200 };
enum { INT_VECTORED = 0, INT_NMI = 1, INT_EXTINT = 3 };
enum { LINE_EDGE_HIGH = 5 }; /* 0: as is usual for the source */
enum { AT_LENGTH = 4, AT_CHECKSUM = 7, AT_ENTRY_COUNT = 34, ENTRIES_START = 44 };

static void put_cpu(struct buf *b, unsigned id) /* 4.3.1 */
{
        buf_put_u8(b, ENTRY_CPU);
        buf_put_u8(b, (uint8_t)id);
        buf_put_u8(b, APIC_VERSION);
        buf_put_u8(b, id ? CPU_ENABLED : CPU_ENABLED | CPU_BOOT);
        buf_put_u32(b, 0); /* signature: CPUID tells */
        buf_put_u32(b, CPU_HAS_FPU | CPU_HAS_APIC);
        buf_put_u64(b, 0);
}

struct line { /* 4.3.4, 4.3.5 */
        uint8_t entry;
        uint8_t type;
        uint16_t flags;
        uint8_t source; /* on the ISA bus */
        uint8_t apic;
        uint8_t pin;
};

static void put_line(struct buf *b, struct line line)
{
        buf_put_u8(b, line.entry);
        buf_put_u8(b, line.type);
        buf_put_u16(b, line.flags);
        buf_put_u8(b, ISA_BUS);
        buf_put_u8(b, line.source);
        buf_put_u8(b, line.apic);
        buf_put_u8(b, line.pin);
}

static void put_header(struct buf *b, unsigned nr_entries) /* 4.2 */
{
        buf_put(b, "PCMP", 4);
        buf_put_u16(b, 0);
        buf_put_u8(b, SPEC_REVISION);
        buf_put_u8(b, 0);
        buf_put(b, "VMLET   MICROVM     ", 20);
        buf_put_u32(b, 0);
        buf_put_u16(b, 0);
        buf_put_u16(b, (uint16_t)nr_entries);
        buf_put_u32(b, (uint32_t)LAYOUT_LAPIC);
        buf_put_u32(b, 0);
}

static void put_interrupt(struct buf *b, uint32_t gsi)
{
        put_line(b, (struct line){ .entry = ENTRY_INTERRUPT,
                                   .type = INT_VECTORED,
                                   .flags = LINE_EDGE_HIGH,
                                   .source = (uint8_t)gsi,
                                   .apic = IOAPIC_ID,
                                   .pin = (uint8_t)gsi });
}

void mptable_build(const struct arch_boot *boot, struct buf *b)
{
        unsigned nr_lines = boot->nr_devices + (boot->has_serial ? 1 : 0);
        size_t start = b->at;

        put_header(b, boot->nr_vcpus + 2 + nr_lines + 2);
        for (unsigned i = 0; i < boot->nr_vcpus; i++)
                put_cpu(b, i);
        buf_put_u8(b, ENTRY_BUS); /* 4.3.2 */
        buf_put_u8(b, ISA_BUS);
        buf_put(b, "ISA   ", 6);
        buf_put_u8(b, ENTRY_IOAPIC); /* 4.3.3 */
        buf_put_u8(b, IOAPIC_ID);
        buf_put_u8(b, IOAPIC_VERSION);
        buf_put_u8(b, 1);
        buf_put_u32(b, (uint32_t)LAYOUT_IOAPIC);
        if (boot->has_serial)
                put_interrupt(b, LAYOUT_COM1_GSI);
        for (unsigned i = 0; i < boot->nr_devices; i++)
                put_interrupt(b, boot->devices[i].gsi);
        put_line(b, (struct line){ .entry = ENTRY_LOCAL_INTERRUPT, .type = INT_EXTINT, .apic = 0, .pin = 0 });
        put_line(b, (struct line){
                            .entry = ENTRY_LOCAL_INTERRUPT, .type = INT_NMI, .apic = EVERY_APIC, .pin = 1 });
        if (b->bad)
                return;
        tables_set_u16(b->data + start + AT_LENGTH, (uint16_t)(b->at - start));
        tables_set_checksum(b->data + start, b->at - start, AT_CHECKSUM);
}

void mptable_pointer(uint32_t table, uint8_t ret[MPTABLE_POINTER_BYTES]) /* 4.1 */
{
        struct buf b = buf_of(ret, MPTABLE_POINTER_BYTES);

        buf_put(&b, "_MP_", 4);
        buf_put_u32(&b, table);
        buf_put_u8(&b, 1); /* length in 16 bytes */
        buf_put_u8(&b, SPEC_REVISION);
        buf_put_u8(&b, 0);
        buf_put_u8(&b, 0); /* a configuration table is there */
        buf_put_u32(&b, 0);
        tables_set_checksum(ret, MPTABLE_POINTER_BYTES, 10);
}
