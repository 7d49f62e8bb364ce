#pragma once
/*
 * The MP table (MultiProcessor Specification 1.4): how our own kernel, which has no ACPI, finds its
 * processors and interrupt lines. Pure.
 */
#include <stdint.h>

#include "vmm/arch/arch.h"
#include "vmm/base/buf.h"

#define MPTABLE_POINTER_BYTES 16u

/*
 * mptable_build() - the configuration table: vCPUs, one IOAPIC, one ISA bus, and only the interrupt lines
 *                   that something is connected to: the kernel sets each one up, used or not
 */
void mptable_build(const struct arch_boot *boot, struct buf *b);

/* mptable_pointer() - the floating pointer to a table at guest address @table */
void mptable_pointer(uint32_t table, uint8_t ret[MPTABLE_POINTER_BYTES]);
