/*
 * /dev/kvm and the VM.
 * Input:  the kernel's answers.
 * Runs:   main thread; raising an interrupt on any.
 * Limits: KVM's own.
 *
 * syscalls: main: ioctl
 */
#include "vmm/kvm/kvm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "vmm/base/err.h"

/* KVM has no more (KVM_MAX_CPUID_ENTRIES). */
#define CPUID_ENTRIES_MAX 256

/* Where Intel's VMX puts its three pages of task state for real mode, and the page table for it; AMD's SVM
 * ignores both. Between the local APIC's page and 4 GiB, where no RAM and no device is. */
#define TSS_ADDR          0xfffbd000u
#define IDENTITY_MAP_ADDR 0xfffbc000ull

struct kvm {
        int dev_fd;
        int vm_fd;
        int run_bytes;
};

static const int needed_caps[] = {
        KVM_CAP_IRQCHIP,   KVM_CAP_USER_MEMORY,    KVM_CAP_IRQFD,
        KVM_CAP_IOEVENTFD, KVM_CAP_IMMEDIATE_EXIT, KVM_CAP_EXT_CPUID,
};

static int create(struct kvm *kvm)
{
        if (ioctl(kvm->dev_fd, KVM_GET_API_VERSION, 0) != KVM_API_VERSION)
                return KVM_E_VERSION;
        for (unsigned i = 0; i < array_size(needed_caps); i++)
                if (!kvm_has(kvm, needed_caps[i]))
                        return KVM_E_CAPS;
        kvm->run_bytes = ioctl(kvm->dev_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
        if (kvm->run_bytes < (int)sizeof(struct kvm_run))
                return KVM_E_CAPS;
        do
                kvm->vm_fd = ioctl(kvm->dev_fd, KVM_CREATE_VM, 0);
        while (kvm->vm_fd < 0 && errno == EINTR);
        return kvm->vm_fd < 0 ? err_new(-errno) : 0;
}

int kvm_new(struct kvm **ret, int dev_fd)
{
        cleanup(kvm_freep) struct kvm *kvm = calloc(1, sizeof(*kvm));
        int r;

        if (!kvm) {
                close(dev_fd);
                return err_new(-ENOMEM);
        }
        kvm->dev_fd = dev_fd;
        kvm->vm_fd = -1;
        r = create(kvm);
        if (r)
                return r;
        *ret = steal_ptr(&kvm);
        return 0;
}

void kvm_free(struct kvm *kvm)
{
        if (!kvm)
                return;
        fd_closep(&kvm->vm_fd);
        fd_closep(&kvm->dev_fd);
        free(kvm);
}

bool kvm_has(const struct kvm *kvm, int cap)
{
        return ioctl(kvm->dev_fd, KVM_CHECK_EXTENSION, cap) > 0;
}

static unsigned limit(const struct kvm *kvm, int cap, unsigned otherwise)
{
        int n = ioctl(kvm->dev_fd, KVM_CHECK_EXTENSION, cap);

        return n > 0 ? (unsigned)n : otherwise;
}

unsigned kvm_recommended_vcpus(const struct kvm *kvm)
{
        return limit(kvm, KVM_CAP_NR_VCPUS, 4);
}

unsigned kvm_max_vcpus(const struct kvm *kvm)
{
        return limit(kvm, KVM_CAP_MAX_VCPUS, kvm_recommended_vcpus(kvm));
}

int kvm_create_irqchip(struct kvm *kvm)
{
        uint64_t identity_map = IDENTITY_MAP_ADDR;

        if (ioctl(kvm->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
            ioctl(kvm->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDR) < 0 || ioctl(kvm->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0)
                return err_new(-errno);
        return 0;
}

int kvm_create_pit(struct kvm *kvm)
{
        struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };

        return ioctl(kvm->vm_fd, KVM_CREATE_PIT2, &config) < 0 ? err_new(-errno) : 0;
}

int kvm_add_memory(struct kvm *kvm, const struct gmem *mem)
{
        for (unsigned i = 0; i < gmem_nr_slots(mem); i++) {
                struct gmem_slot s = gmem_slot(mem, i);
                struct kvm_userspace_memory_region region = {
                        .slot = i,
                        .guest_phys_addr = s.at.v,
                        .memory_size = s.size,
                        .userspace_addr = s.user_addr,
                };

                if (ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
                        return err_new(-errno);
        }
        return 0;
}

int kvm_add_ioeventfd(struct kvm *kvm, uint64_t at, uint32_t value, int event_fd)
{
        struct kvm_ioeventfd e = {
                .datamatch = value,
                .addr = at,
                .len = 4,
                .fd = event_fd,
                .flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
        };

        return ioctl(kvm->vm_fd, KVM_IOEVENTFD, &e) < 0 ? err_new(-errno) : 0;
}

static void raise_irqfd(struct irq *irq)
{
        (void)!eventfd_write(container_of(irq, struct kvm_irq, irq)->fd, 1);
}

int kvm_irq_init(struct kvm_irq *irq, struct kvm *kvm, uint32_t gsi)
{
        struct kvm_irqfd e = { .gsi = gsi };

        irq->irq.raise = raise_irqfd;
        irq->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (irq->fd < 0)
                return err_new(-errno);
        e.fd = (uint32_t)irq->fd;
        if (ioctl(kvm->vm_fd, KVM_IRQFD, &e) < 0) {
                int r = err_new(-errno);

                kvm_irq_fini(irq);
                return r;
        }
        return 0;
}

void kvm_irq_fini(struct kvm_irq *irq)
{
        fd_closep(&irq->fd);
}

int kvm_supported_cpuid(const struct kvm *kvm, unsigned spare, struct kvm_cpuid2 **ret)
{
        cleanup(freep) struct kvm_cpuid2 *list =
                calloc(1, sizeof(*list) + (CPUID_ENTRIES_MAX + spare) * sizeof(struct kvm_cpuid_entry2));

        if (!list)
                return err_new(-ENOMEM);
        list->nent = CPUID_ENTRIES_MAX;
        if (ioctl(kvm->dev_fd, KVM_GET_SUPPORTED_CPUID, list) < 0)
                return err_new(-errno);
        *ret = steal_ptr(&list);
        return 0;
}

int kvm_vm_fd(const struct kvm *kvm)
{
        return kvm->vm_fd;
}

uint32_t kvm_run_bytes(const struct kvm *kvm)
{
        return (uint32_t)kvm->run_bytes;
}
