#pragma once
/*
 * x86-64: how a guest's memory and vCPUs look when its kernel is entered.
 *
 * Pure fillers of KVM's structs, so that tests can read them; the ioctls are vmm/kvm's. What KVM's
 * reset state already has right is not set again: FPU, TSC, local APIC (but see x86_boot_lapic()). Only
 * the boot vCPU needs sregs and regs: the others wait for INIT and SIPI, which set theirs.
 */
#include <linux/kvm.h>
#include <stdint.h>

#include "vmm/arch/arch.h"
#include "vmm/mem/gmem.h"

/* APIC ids are vCPU indexes; 255 means everybody. */
#define X86_VCPUS_MAX 255u

struct x86_range {
        uint64_t at;
        uint64_t size;
};

/* x86_ram() - where RAM of that size goes. Return: number of ranges, the first one at 0. */
unsigned x86_ram(uint64_t memory_bytes, struct x86_range ret[2]);

/*
 * x86_setup_memory() - write zero page, command line, descriptor and page tables, and what tells the
 *                      guest of its machine: an MP table (native) or ACPI tables
 *
 * The kernel and its RAM are there already, so that nothing can fail.
 */
void x86_setup_memory(struct gmem *mem, const struct arch_boot *boot);

/* The segment descriptors in guest memory: boot.rst wants the first two where they are. */
#define X86_GDT_CODE  0x10u
#define X86_GDT_DATA  0x18u
#define X86_GDT_TASK  0x20u
#define X86_GDT_BYTES 0x30u

/* x86_boot_sregs(), x86_boot_regs() - the boot vCPU in 64-bit mode at the kernel's entry */
void x86_boot_sregs(struct kvm_sregs *ret);
void x86_boot_regs(gpa_t entry, struct kvm_regs *ret);

/*
 * x86_boot_lapic() - change what KVM_GET_LAPIC gave on the boot vCPU
 *
 * Only for ARCH_ACPI. KVM starts with LINT0 open for the 8259, as in a PC. A kernel that finds
 * hardware-reduced ACPI leaves the 8259 alone, and one older than Linux 5.3 leaves LINT0 open too: then
 * the 8259, never programmed, would answer the first device interrupt with the vector of an exception.
 * Our own kernel programs both.
 */
void x86_boot_lapic(struct kvm_lapic_state *lapic);

/* Model-specific registers of every vCPU; Linux/x86 takes them from firmware. */
#define X86_NR_MSRS 2u
struct x86_msrs {
        uint32_t nr; /* as struct kvm_msrs */
        uint32_t pad;
        struct kvm_msr_entry entries[X86_NR_MSRS];
};
void x86_boot_msrs(struct x86_msrs *ret);

/*
 * x86_cpuid_prepare() - make what KVM supports (KVM_GET_SUPPORTED_CPUID) what every vCPU shows
 * x86_cpuid_vcpu() - … and then what this one shows
 * @max: entries there is room for; KVM's list plus X86_CPUID_EXTRA suffices
 */
#define X86_CPUID_EXTRA 8u
struct x86_cpuid_options {
        unsigned nr_vcpus;
        bool tsc_deadline; /* KVM_CAP_TSC_DEADLINE_TIMER */
};
void x86_cpuid_prepare(struct kvm_cpuid2 *cpuid, unsigned max, const struct x86_cpuid_options *options);
void x86_cpuid_vcpu(struct kvm_cpuid2 *cpuid, unsigned index);

/*
 * A tiny guest whose speed tells a real KVM from one that interprets: X86_PROBE_LOOPS rounds of
 * X86_PROBE_ROUND instructions in 32-bit mode, then a byte to port X86_PROBE_PORT, then HLT.
 * x86_probe_setup() writes it to guest address 0x1000 and fills the registers over what KVM_GET_SREGS
 * gave. RAM of X86_PROBE_RAM bytes at 0 is enough; no irqchip.
 */
#define X86_PROBE_RAM   0x2000u
#define X86_PROBE_PORT  0x602u
#define X86_PROBE_LOOPS 20000u
#define X86_PROBE_ROUND 5u
int must_check x86_probe_setup(struct gmem *mem, struct kvm_sregs *sregs, struct kvm_regs *ret_regs);
/* The same work on the host, for the ratio. Return: a value nobody needs, so that it is done. */
uint32_t x86_probe_host(void);
