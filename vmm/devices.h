#pragma once
/*
 * The virtio devices of a VM, made from its configuration and put on the bus. The table in devices.c
 * names them all; its order is the order of their addresses. Main thread.
 */
#include "virtio/core/device.h"
#include "vmm/arch/arch.h"
#include "vmm/base/loop.h"
#include "vmm/bus/bus.h"
#include "vmm/files.h"
#include "vmm/kvm/kvm.h"
#include "vmm/output.h"

/* As many as interrupt lines are left, x86's LAYOUT_MMIO_MAX. */
#define DEVICES_MAX 19u

struct devices;

struct devices_env {
        const struct vm_config *config;
        struct files *files; /* descriptors are taken */
        struct loop *loop;
        struct gmem *mem;
        struct kvm *kvm;
        struct bus *mmio;
        struct output *output; /* where the guest's connections to PROTOCOL_LOG_PORT lead; NULL: nowhere */
};

/* Return: 0 or a negative errno. All of @env must outlive the devices. */
int must_check devices_new(struct devices **ret, const struct devices_env *env);
/* After the vCPUs ended. Waits for I/O that is under way. */
void devices_free(struct devices *d);
DEFINE_CLEANUP(struct devices *, devices_free)

/* What the guest has to be told; lives as long as @d. */
const struct arch_device *devices_list(const struct devices *d, unsigned *ret_nr);

/* NULL when the VM has none. */
struct virtio_dev *devices_vsock(struct devices *d);

struct virtio_dev *devices_balloon(struct devices *d);
struct virtio_dev *devices_disk(struct devices *d, unsigned i);
/* The device of network @i; NULL: there is none. */
struct virtio_dev *devices_net(struct devices *d, unsigned i);

/*
 * devices_replace_disk() - as blk_replace(), with a file that is opened as the disk's own was. Loop thread.
 * Return: 0, or -1 with *p filled.
 */
int must_check devices_replace_disk(struct devices *d, unsigned i, const char *path, struct problem *p);

/* As mmio_pause() and mmio_resume(), all of them. Loop thread. */
void devices_pause(struct devices *d);
void devices_resume(struct devices *d);

/* The name of device @i of devices_nr(), and its counters. Loop thread, or after it. */
unsigned devices_nr(const struct devices *d);
const char *devices_name(const struct devices *d, unsigned i);
void devices_each_stat(const struct devices *d, unsigned i,
                       void (*each)(void *ctx, const char *name, uint64_t n), void *ctx);
