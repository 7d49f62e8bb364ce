/*
 * Registers of the boot vCPU at the kernel's entry, and what firmware would have set.
 * Input:  addresses of our own.
 * Runs:   main thread, before any vCPU.
 * Limits: none.
 */
#include <string.h>

#include "vmm/arch/x86/layout.h"
#include "vmm/arch/x86/x86.h"

#define CR0_PE     0x1ull
#define CR0_ET     0x10ull
#define CR0_PG     0x80000000ull
#define CR4_PAE    0x20ull
#define EFER_LME   0x100ull
#define EFER_LMA   0x400ull
#define RFLAGS_ONE 0x2ull

#define APIC_BASE_BSP    0x100ull
#define APIC_BASE_ENABLE 0x800ull

#define APIC_LVT0  0x350u
#define LVT_MASKED 0x10000u

#define MSR_MISC_ENABLE   0x1a0u
#define MISC_FAST_STRING  0x1ull    /* without it Linux takes the slow copies */
#define MISC_BTS_UNAVAIL  0x800ull  /* no PMU, as CPUID says */
#define MISC_PEBS_UNAVAIL 0x1000ull /* likewise */
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_ENABLE       0x800ull
#define MTRR_WRITE_BACK   0x6ull

/* Offsets in the GDT that regs and x86.c agree on: boot.rst wants these two. */
static const struct kvm_segment code = {
        .selector = X86_GDT_CODE,
        .limit = 0xffffffff,
        .type = 11,
        .present = 1,
        .s = 1,
        .l = 1,
        .g = 1,
};
static const struct kvm_segment data = {
        .selector = X86_GDT_DATA,
        .limit = 0xffffffff,
        .type = 3,
        .present = 1,
        .s = 1,
        .db = 1,
        .g = 1,
};
static const struct kvm_segment task = {
        .selector = X86_GDT_TASK,
        .limit = 0x67,
        .type = 11,
        .present = 1,
};

void x86_boot_sregs(struct kvm_sregs *ret)
{
        *ret = (struct kvm_sregs){
                .cs = code,
                .ds = data,
                .es = data,
                .fs = data,
                .gs = data,
                .ss = data,
                .tr = task,
                .ldt = { .type = 2, .unusable = 1 },
                .gdt = { .base = LAYOUT_GDT, .limit = X86_GDT_BYTES - 1 },
                .cr0 = CR0_PE | CR0_ET | CR0_PG,
                .cr3 = LAYOUT_PML4,
                .cr4 = CR4_PAE,
                .efer = EFER_LME | EFER_LMA,
                .apic_base = LAYOUT_LAPIC | APIC_BASE_ENABLE | APIC_BASE_BSP,
        };
}

void x86_boot_regs(gpa_t entry, struct kvm_regs *ret)
{
        *ret = (struct kvm_regs){ .rip = entry.v, .rsi = LAYOUT_ZERO_PAGE, .rflags = RFLAGS_ONE };
}

void x86_boot_lapic(struct kvm_lapic_state *lapic)
{
        uint32_t lvt0;

        memcpy(&lvt0, lapic->regs + APIC_LVT0, sizeof(lvt0));
        lvt0 |= LVT_MASKED;
        memcpy(lapic->regs + APIC_LVT0, &lvt0, sizeof(lvt0));
}

void x86_boot_msrs(struct x86_msrs *ret)
{
        *ret = (struct x86_msrs){
                .nr = X86_NR_MSRS,
                .entries = {
                        { .index = MSR_MISC_ENABLE,
                          .data = MISC_FAST_STRING | MISC_BTS_UNAVAIL | MISC_PEBS_UNAVAIL },
                        { .index = MSR_MTRR_DEF_TYPE, .data = MTRR_ENABLE | MTRR_WRITE_BACK },
                },
        };
}
