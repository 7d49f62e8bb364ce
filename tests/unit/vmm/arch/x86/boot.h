#pragma once
/*
 * A configuration as the composition would give it, for the tests of what is made of it.
 */
#include "vmm/arch/arch.h"
#include "vmm/arch/x86/layout.h"

#define TEST_MIB 0x100000ull

static inline struct arch_device boot_device(unsigned i)
{
        return (struct arch_device){ .base = LAYOUT_MMIO + i * LAYOUT_MMIO_STEP,
                                     .size = LAYOUT_MMIO_BYTES,
                                     .gsi = LAYOUT_MMIO_GSI + i };
}

static const struct kernel boot_kernel = {
        .kind = KERNEL_ELF,
        .entry = { 0x1000000 },
        .start = 0x1000000,
        .end = 0x2400000,
};

/* @devices: room for LAYOUT_MMIO_MAX. */
static inline struct arch_boot boot_of(enum arch_platform platform, unsigned nr_vcpus, unsigned nr_devices,
                                       struct arch_device *devices)
{
        for (unsigned i = 0; i < nr_devices; i++)
                devices[i] = boot_device(i);
        return (struct arch_boot){
                .platform = platform,
                .nr_vcpus = nr_vcpus,
                .memory_bytes = 128 * TEST_MIB,
                .cmdline = "quiet",
                .kernel = &boot_kernel,
                .devices = devices,
                .nr_devices = nr_devices,
                .has_serial = true,
        };
}
