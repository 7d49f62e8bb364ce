#pragma once
/*
 * Where things are in an x86 guest: RAM, boot structures, devices. All addresses are guest physical.
 *
 * The boot structures share the first 2 MiB, which one fault brings in where huge pages are to be had,
 * and lie close together for the hosts that have none. The kernel takes everything below 1 MiB for
 * itself anyway.
 */

/* RAM: [0, LAYOUT_GAP_START) and from LAYOUT_GAP_END up; devices live between. */
#define LAYOUT_GAP_START 0xc0000000ull
#define LAYOUT_GAP_END   0x100000000ull
#define LAYOUT_RAM_ALIGN 0x200000ull

#define LAYOUT_ZERO_PAGE 0x7000ull
#define LAYOUT_CMDLINE   0x8000ull /* CMDLINE_BYTES */
#define LAYOUT_GDT       0x8800ull
#define LAYOUT_PML4      0x9000ull
#define LAYOUT_PDPT      0xa000ull
#define LAYOUT_PD        0xb000ull /* a page for each GiB, three at most */

/* MP table: the pointer in the last KiB of base memory, where it is looked for; its table below. */
#define LAYOUT_MP_TABLE   0x9e000ull
#define LAYOUT_MP_POINTER 0x9fc00ull
#define LAYOUT_BASE_END   LAYOUT_MP_TABLE /* RAM ends here; then the table, */
#define LAYOUT_VGA        0xa0000ull      /* a PC's video memory and firmware … */
#define LAYOUT_HIGH_START 0x100000ull     /* … and RAM goes on here */

/* ACPI: RSDP first, then the tables; firmware's place, not RAM to the guest. */
#define LAYOUT_ACPI     0xe0000ull
#define LAYOUT_ACPI_END 0x100000ull

/* Where a PC's processor starts after reset, and kernels jump to reboot: a few bytes of real-mode code. */
#define LAYOUT_RESET_VECTOR 0xffff0ull

#define LAYOUT_MMIO       0xd0000000ull /* virtio-mmio, one page each */
#define LAYOUT_MMIO_STEP  0x1000ull
#define LAYOUT_MMIO_BYTES 0x200ull
#define LAYOUT_MMIO_GSI   5u
#define LAYOUT_MMIO_MAX   19u /* to GSI 23, the last pin of the IOAPIC */

/* Four pages from 0xfffbc000 are KVM's own: see vmm/kvm/kvm.c. */
#define LAYOUT_IOAPIC 0xfec00000ull
#define LAYOUT_LAPIC  0xfee00000ull

/* Ports. */
#define LAYOUT_COM1       0x3f8u
#define LAYOUT_COM1_GSI   4u
#define LAYOUT_BUTTON_GSI 3u /* the power button of ACPI machines */
#define LAYOUT_I8042      0x60u
#define LAYOUT_POWER      0x600u /* see vmm/dev/power.h */
