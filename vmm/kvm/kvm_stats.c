/*
 * KVM's own counters of a vCPU (KVM_GET_STATS_FD).
 * Input:  the kernel's table of descriptors and values.
 * Runs:   the thread that pauses and stops the vCPU.
 * Limits: STATS_MAX counters.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/base/err.h"
#include "vmm/base/io.h"
#include "vmm/kvm/vcpu.h"
#include "vmm/kvm/vcpu_priv.h"

#define STATS_MAX      256u
#define NAME_MAX_BYTES 128u

static int each_counter(int fd, const struct kvm_stats_header *h, const uint8_t *descs,
                        void (*each)(void *ctx, const char *name, uint64_t n), void *ctx)
{
        size_t stride = sizeof(struct kvm_stats_desc) + h->name_size;

        for (uint32_t i = 0; i < h->num_desc; i++) {
                struct kvm_stats_desc d;
                char name[NAME_MAX_BYTES];
                uint64_t n = 0;

                memcpy(&d, descs + i * stride, sizeof(d));
                memcpy(name, descs + i * stride + sizeof(d), h->name_size);
                name[h->name_size - 1] = 0;
                if (d.size != 1 || (d.flags & KVM_STATS_TYPE_MASK) != KVM_STATS_TYPE_CUMULATIVE)
                        continue;
                if (io_read_at(fd, &n, sizeof(n), (off_t)h->data_offset + d.offset) != sizeof(n))
                        return err_new(-EIO);
                if (n)
                        each(ctx, name, n);
        }
        return 0;
}

int vcpu_open_stats(struct vcpu *v)
{
        int *fd = vcpu_stats_fd(v);

        if (*fd < 0)
                *fd = ioctl(vcpu_fd(v), KVM_GET_STATS_FD, NULL);
        return *fd < 0 ? err_new(-errno) : 0;
}

int vcpu_kvm_stats(struct vcpu *v, void (*each)(void *ctx, const char *name, uint64_t n), void *ctx)
{
        cleanup(freep) uint8_t *descs = NULL;
        struct kvm_stats_header h;
        int fd = *vcpu_stats_fd(v);
        size_t bytes;

        if (fd < 0)
                return err_new(-EBADF);
        if (io_read_at(fd, &h, sizeof(h), 0) != sizeof(h))
                return err_new(-EIO);
        if (h.num_desc > STATS_MAX || !h.name_size || h.name_size > NAME_MAX_BYTES)
                return err_new(-EINVAL);
        bytes = h.num_desc * (sizeof(struct kvm_stats_desc) + h.name_size);
        descs = malloc(bytes);
        if (!descs)
                return err_new(-ENOMEM);
        if (io_read_at(fd, descs, bytes, (off_t)h.desc_offset) != (ssize_t)bytes)
                return err_new(-EIO);
        return each_counter(fd, &h, descs, each, ctx);
}
