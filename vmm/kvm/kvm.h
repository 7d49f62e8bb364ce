#pragma once
/*
 * /dev/kvm, a VM and what belongs to it (the kernel's Documentation/virt/kvm/api.rst).
 *
 * Runs on the main thread, before any vCPU, but for kvm_irq's raise(), which any thread may call.
 */
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"
#include "vmm/bus/irq.h"
#include "vmm/mem/gmem.h"

struct kvm;
struct kvm_cpuid2;

/* What a kernel cannot do for us. */
enum kvm_error {
        KVM_E_VERSION = 1, /* another API than 12 */
        KVM_E_CAPS, /* irqfd, ioeventfd, user memory, immediate exit or the in-kernel chip is missing */
};

/*
 * kvm_new() - a VM without memory and vCPUs
 * @dev_fd: /dev/kvm; taken, on failure too
 * Return: 0, enum kvm_error, or a negative errno of KVM_CREATE_VM.
 */
int must_check kvm_new(struct kvm **ret, int dev_fd);
void kvm_free(struct kvm *kvm);
DEFINE_CLEANUP(struct kvm *, kvm_free)

unsigned kvm_max_vcpus(const struct kvm *kvm);
unsigned kvm_recommended_vcpus(const struct kvm *kvm);
bool kvm_has(const struct kvm *kvm, int cap);

/* PIC, IOAPIC and local APICs, in the kernel. Before the first vCPU. */
int must_check kvm_create_irqchip(struct kvm *kvm);
/* The 8254, for kernels that have no better timer. */
int must_check kvm_create_pit(struct kvm *kvm);

/* Tells KVM of every region of @mem, which must stay until kvm_free(). */
int must_check kvm_add_memory(struct kvm *kvm, const struct gmem *mem);

/* Writes of @value, 4 bytes wide, to guest address @at signal @event_fd and cause no exit. */
int must_check kvm_add_ioeventfd(struct kvm *kvm, uint64_t at, uint32_t value, int event_fd);

/* An edge-triggered interrupt on @gsi, delivered by an irqfd. */
struct kvm_irq {
        struct irq irq;
        int fd;
};
int must_check kvm_irq_init(struct kvm_irq *irq, struct kvm *kvm, uint32_t gsi);
void kvm_irq_fini(struct kvm_irq *irq);

/*
 * kvm_supported_cpuid() - what the host's processor and KVM can show to a guest
 * @spare: room for so many entries more
 * @ret: to be freed
 */
int must_check kvm_supported_cpuid(const struct kvm *kvm, unsigned spare, struct kvm_cpuid2 **ret);

/* For vcpu.c. */
int kvm_vm_fd(const struct kvm *kvm);
uint32_t kvm_run_bytes(const struct kvm *kvm);
