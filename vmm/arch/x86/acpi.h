#pragma once
/*
 * ACPI tables (ACPI 6.4, hardware-reduced): how a kernel that is not ours finds its machine. Pure.
 */
#include <stdint.h>

#include "vmm/arch/arch.h"
#include "vmm/base/buf.h"

/* Room for X86_VCPUS_MAX vCPUs and LAYOUT_MMIO_MAX devices. */
#define ACPI_BYTES_MAX 8192u

/* acpi_build() - RSDP first, then what it leads to; @base is the guest address of b->data */
void acpi_build(const struct arch_boot *boot, uint32_t base, struct buf *b);
