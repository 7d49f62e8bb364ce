/*
 * The virtio devices of a VM.
 * Input:  checked configuration, opened files.
 * Runs:   main thread.
 * Limits: DEVICES_MAX devices.
 */
#include "vmm/devices.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/protocol.h"
#include "virtio/balloon/balloon.h"
#include "virtio/blk/blk.h"
#include "virtio/mmio/mmio.h"
#include "virtio/net/net.h"
#include "virtio/net/net_back.h"
#include "virtio/rng/rng.h"
#include "virtio/vsock/vsock.h"
#include "vmm/arch/x86/layout.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/worker.h"
#include "vmm/status.h"

static_assert(DEVICES_MAX == LAYOUT_MMIO_MAX, "as many devices as interrupt lines");

static_assert(CONFIG_QUEUES_MAX == NET_PAIRS_MAX && CONFIG_MTU_MIN == NET_MTU_MIN &&
                      CONFIG_MTU_MAX == NET_MTU_MAX,
              "the configuration promises what the device can do");
static_assert(CONFIG_LINES_MAX + 3 == DEVICES_MAX, "vsock, rng and balloon have their lines");

struct slot {
        struct virtio_dev *dev;
        struct mmio *mmio;
        struct kvm_irq irq;
};

struct devices {
        struct devices_env env;
        struct worker *worker;
        struct virtio_dev *vsock, *balloon; /* of the slots'; NULL: none */
        unsigned nr;
        struct slot slots[DEVICES_MAX];
        struct arch_device list[DEVICES_MAX];
        int disks[CONFIG_DISKS_MAX]; /* the newest file of each; its device has it */
};

static int new_blk(struct devices *d, unsigned i, struct virtio_dev **ret)
{
        const struct config_disk *disk = &d->env.config->disks[i];
        struct blk_config cfg = {
                .loop = d->env.loop,
                .mem = d->env.mem,
                .worker = d->worker,
                .index = i,
                .file = { .fd = steal_fd(&d->env.files->disks[i].fd),
                          .direct = disk->direct,
                          .size_bytes = d->env.files->disks[i].size_bytes,
                          .block_bytes = d->env.files->disks[i].block_bytes },
                .read_only = disk->read_only,
                .rate = disk->rate,
        };

        d->disks[i] = cfg.file.fd;
        memcpy(cfg.serial, disk->serial, sizeof(disk->serial));
        return blk_new(&cfg, ret);
}

static unsigned nr_blk(const struct devices *d)
{
        return d->env.config->nr_disks;
}

/* The descriptors are the back end's from here on, whatever happens. */
static int new_back(struct devices *d, unsigned i, struct net_back **ret)
{
        const struct config_net *net = &d->env.config->nets[i];
        struct files_net *file = &d->env.files->nets[i];
        int fds[CONFIG_QUEUES_MAX];

        for (unsigned q = 0; q < CONFIG_QUEUES_MAX; q++)
                fds[q] = steal_fd(&file->fds[q]);
        if (net->kind == NET_TAP || net->kind == NET_TAP_FD)
                return net_tap_new(ret, fds, net->queues, file->mtu);
        return net_stream_new(ret, fds[0], net->vnet, file->mtu);
}

static int new_net(struct devices *d, unsigned i, struct virtio_dev **ret)
{
        const struct config_net *net = &d->env.config->nets[i];
        struct net_config cfg = {
                .loop = d->env.loop, .mem = d->env.mem, .index = i, .rx = net->rx, .tx = net->tx
        };
        int r = new_back(d, i, &cfg.back);

        if (r < 0)
                return err_trace(r);
        config_net_mac(d->env.config, i, cfg.mac);
        return net_new(&cfg, ret);
}

static unsigned nr_net(const struct devices *d)
{
        return d->env.config->nr_nets;
}

/* The guest connects: to the monitor itself, or to a socket beside ours. */
static int connect_host(void *ctx, uint32_t guest_port, uint32_t port)
{
        const struct devices *d = ctx;
        const char *path = d->env.config->vsock_path;
        char name[UDS_PATH_MAX + sizeof("_4294967295")];

        if (d->env.output && port == PROTOCOL_LOG_PORT) /* not for any process of the guest */
                return guest_port <= PROTOCOL_LOG_FROM_MAX ? output_connect(d->env.output) : err_new(-EACCES);
        if (!path)
                return err_new(-ECONNREFUSED);
        (void)snprintf(name, sizeof(name), "%s_%u", path, port);
        return uds_connect(name);
}

static int new_vsock(struct devices *d, unsigned i, struct virtio_dev **ret)
{
        struct vsock_config cfg = {
                .loop = d->env.loop,
                .mem = d->env.mem,
                .guest_cid = d->env.config->guest_cid,
                .listen_fd = steal_fd(&d->env.files->vsock),
                .connect = connect_host,
                .connect_ctx = d,
        };
        int r = vsock_new(&cfg, ret);

        (void)i;
        if (!r)
                d->vsock = *ret;
        return r;
}

/* The agent is reached through it even where no socket leads there from outside. */
static unsigned nr_vsock(const struct devices *d)
{
        return d->env.config->vsock_path || d->env.files->has_agent;
}

static int new_rng(struct devices *d, unsigned i, struct virtio_dev **ret)
{
        (void)i;
        return rng_new(d->env.mem, ret);
}

static unsigned nr_rng(const struct devices *d)
{
        return d->env.config->rng;
}

static int new_balloon(struct devices *d, unsigned i, struct virtio_dev **ret)
{
        const struct config_balloon *balloon = &d->env.config->balloon;
        struct balloon_config cfg = {
                .loop = d->env.loop,
                .mem = d->env.mem,
                .target_bytes = balloon->target_bytes,
                .deflate_on_oom = balloon->deflate_on_oom,
                .stats_interval_ns = balloon->stats_interval_ns,
        };
        int r = balloon_new(&cfg, ret);

        (void)i;
        if (!r)
                d->balloon = *ret;
        return r;
}

static unsigned nr_balloon(const struct devices *d)
{
        return d->env.config->balloon.on;
}

static const struct {
        unsigned (*count)(const struct devices *d);
        int (*make)(struct devices *d, unsigned i, struct virtio_dev **ret);
} table[] = {
        { nr_blk, new_blk }, { nr_net, new_net },         { nr_vsock, new_vsock },
        { nr_rng, new_rng }, { nr_balloon, new_balloon },
};

/* Gives a device its registers, its interrupt and a kick for each queue. */
static int plug(struct devices *d, struct slot *s, unsigned i)
{
        struct arch_device *a = &d->list[i];
        int r;

        *a = (struct arch_device){
                .base = LAYOUT_MMIO + i * LAYOUT_MMIO_STEP,
                .size = LAYOUT_MMIO_BYTES,
                .gsi = LAYOUT_MMIO_GSI + i,
        };
        r = kvm_irq_init(&s->irq, d->env.kvm, a->gsi);
        if (r < 0)
                return err_trace(r);
        r = mmio_new(&s->mmio, d->env.loop, s->dev, &s->irq.irq);
        if (r < 0)
                return err_trace(r);
        for (unsigned q = 0; q < s->dev->cls->nr_queues; q++) {
                r = kvm_add_ioeventfd(d->env.kvm, a->base + MMIO_QUEUE_NOTIFY, q, mmio_kick_fd(s->mmio, q));
                if (r < 0)
                        return err_trace(r);
        }
        bus_add(d->env.mmio, a->base, a->size, &mmio_ops, s->mmio);
        return 0;
}

static int fill(struct devices *d)
{
        for (unsigned t = 0; t < array_size(table); t++) {
                for (unsigned i = 0; i < table[t].count(d); i++) {
                        struct slot *s = &d->slots[d->nr];
                        int r;

                        ASSERT(d->nr < DEVICES_MAX);
                        s->irq.fd = -1;
                        r = table[t].make(d, i, &s->dev);
                        if (r < 0)
                                return err_trace(r);
                        d->nr++;
                        r = plug(d, s, d->nr - 1);
                        if (r < 0)
                                return err_trace(r);
                }
        }
        return 0;
}

int devices_new(struct devices **ret, const struct devices_env *env)
{
        cleanup(devices_freep) struct devices *d = calloc(1, sizeof(*d));
        int r = 0;

        if (!d)
                return err_new(-ENOMEM);
        d->env = *env;
        if (env->config->nr_disks || env->output)
                r = worker_new(env->loop, &d->worker);
        if (!r && env->output)
                output_set_worker(env->output, d->worker);
        if (!r)
                r = fill(d);
        if (r < 0)
                return err_trace(r);
        *ret = steal_ptr(&d);
        return 0;
}

void devices_free(struct devices *d)
{
        if (!d)
                return;
        worker_free(d->worker);
        for (unsigned i = 0; i < d->nr; i++) {
                mmio_free(d->slots[i].mmio);
                virtio_free(d->slots[i].dev);
                kvm_irq_fini(&d->slots[i].irq);
        }
        free(d);
}

const struct arch_device *devices_list(const struct devices *d, unsigned *ret_nr)
{
        *ret_nr = d->nr;
        return d->list;
}

struct virtio_dev *devices_vsock(struct devices *d)
{
        return d->vsock;
}

struct virtio_dev *devices_balloon(struct devices *d)
{
        return d->balloon;
}

/* They come first in the table. */
struct virtio_dev *devices_disk(struct devices *d, unsigned i)
{
        return i < d->env.config->nr_disks ? d->slots[i].dev : NULL;
}

/* They come after the disks. */
struct virtio_dev *devices_net(struct devices *d, unsigned i)
{
        return i < d->env.config->nr_nets ? d->slots[d->env.config->nr_disks + i].dev : NULL;
}

int devices_replace_disk(struct devices *d, unsigned i, const char *path, struct problem *p)
{
        struct config_disk disk = d->env.config->disks[i];
        struct files_disk opened = { .fd = -1 };
        struct blk_file file;
        int r;

        disk.path = path;
        if (files_open_disk(&opened, &disk, d->disks[i], p)) {
                fd_closep(&opened.fd);
                return -1;
        }
        file = (struct blk_file){
                .fd = opened.fd,
                .direct = disk.direct,
                .size_bytes = opened.size_bytes,
                .block_bytes = opened.block_bytes,
        };
        r = blk_replace(d->slots[i].dev, &file);
        if (r == -EINVAL)
                return problem_set(
                        p, VMM_E_INPUT,
                        "image '%s' needs blocks of %u bytes, and the guest was promised smaller ones", path,
                        opened.block_bytes);
        if (r < 0)
                return problem_set(p, VMM_E_HOST, "image '%s': %s", path, strerror(-r));
        d->disks[i] = opened.fd;
        return 0;
}

void devices_pause(struct devices *d)
{
        for (unsigned i = 0; i < d->nr; i++)
                mmio_pause(d->slots[i].mmio);
}

void devices_resume(struct devices *d)
{
        for (unsigned i = 0; i < d->nr; i++)
                mmio_resume(d->slots[i].mmio);
}

unsigned devices_nr(const struct devices *d)
{
        return d->nr;
}

const char *devices_name(const struct devices *d, unsigned i)
{
        return d->slots[i].dev->name;
}

void devices_each_stat(const struct devices *d, unsigned i,
                       void (*each)(void *ctx, const char *name, uint64_t n), void *ctx)
{
        const struct virtio_dev *dev = d->slots[i].dev;

        each(ctx, "guest_errors", dev->guest_errors);
        for (unsigned s = 0; s < dev->nr_stats; s++)
                each(ctx, dev->stats[s].name, dev->stats[s].n);
}
