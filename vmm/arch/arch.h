#pragma once
/*
 * What every architecture is given to set up a machine. What it provides is in its own folder's header
 * (x86/x86.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/initrd.h"
#include "vmm/boot/kernel.h"

/* How the guest learns of its machine. */
enum arch_platform {
        ARCH_NATIVE, /* our kernel: the cheapest way */
        ARCH_ACPI,   /* any other kernel */
};

/* A device that the guest has to be told of: one virtio-mmio register file. */
struct arch_device {
        uint64_t base;
        uint64_t size;
        uint32_t gsi;
};

struct arch_boot {
        enum arch_platform platform;
        unsigned nr_vcpus;
        uint64_t memory_bytes; /* laid out by x86_ram() */
        const char *cmdline;
        const struct kernel *kernel;
        struct initrd initrd; /* size 0: none */
        const struct arch_device *devices;
        unsigned nr_devices;
        bool has_serial; /* COM1 is there */
};
