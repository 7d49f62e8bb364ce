/*
 * From the bodies of clients to a configuration, and to a machine.
 * Input:  bodies that schema.c let pass.
 * Runs:   loop thread.
 * Limits: CONFIG_DISKS_MAX drives, CONFIG_NETS_MAX network interfaces.
 */
#include "api/vm/vm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/compiler.h"
#include "vmm/base/log.h"

/* Firecracker's, for a boot source without boot_args. */
#define BOOT_ARGS                                                                                            \
        "reboot=k panic=1 pci=off nomodule 8250.nr_uarts=0 i8042.noaux i8042.nomux i8042.nopnp "             \
        "i8042.dumbkbd"
#define NS_PER_S       1000000000ull
#define FLUSH_EVERY_NS (60 * NS_PER_S)

#define TEXT(t)                                                                                              \
        (struct schema_text)                                                                                 \
        {                                                                                                    \
                .given = true, .v = (t)                                                                      \
        }
#define NUMBER(n)                                                                                            \
        (struct schema_number)                                                                               \
        {                                                                                                    \
                .given = true, .v = (n)                                                                      \
        }
#define FLAG(b)                                                                                              \
        (struct schema_flag)                                                                                 \
        {                                                                                                    \
                .given = true, .v = (b)                                                                      \
        }

static struct body_bucket import_bucket(const struct rate_bucket_config *b)
{
        return (struct body_bucket){
                .given = b->size && b->refill_ms,
                .size = NUMBER(b->size),
                .one_time_burst = NUMBER(b->one_time_burst),
                .refill_time = NUMBER(b->refill_ms),
        };
}

static struct body_rate import_rate(const struct rate_config *rate)
{
        return (struct body_rate){ .given = rate_is_limited(rate),
                                   .bandwidth = import_bucket(&rate->bandwidth),
                                   .ops = import_bucket(&rate->ops) };
}

static void import_nets(struct vm *vm)
{
        const struct vm_config *c = vm->cfg.base;

        for (unsigned i = 0; i < c->nr_nets; i++) {
                struct vm_net *n = &vm->nets[vm->nr_nets++];
                uint8_t m[6];

                n->base = &c->nets[i];
                config_net_mac(c, i, m);
                (void)snprintf(n->mac, sizeof(n->mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2],
                               m[3], m[4], m[5]);
                (void)snprintf(n->id, sizeof(n->id), "net%u", i % 100);
                n->body = (struct body_net){
                        .given = true,
                        .iface_id = TEXT(n->id),
                        .host_dev_name = TEXT(c->nets[i].name ? c->nets[i].name : "a descriptor"),
                        .guest_mac = TEXT(n->mac),
                        .rx_rate_limiter = import_rate(&c->nets[i].rx),
                        .tx_rate_limiter = import_rate(&c->nets[i].tx),
                };
        }
}

static void import_drives(struct vm *vm)
{
        const struct vm_config *c = vm->cfg.base;

        for (unsigned i = 0; i < c->nr_disks; i++) {
                struct vm_drive *d = &vm->drives[vm->nr_drives++];

                d->base = &c->disks[i];
                d->disk = i;
                (void)snprintf(d->id, sizeof(d->id), "disk%u", i % 100);
                d->body = (struct body_drive){
                        .given = true,
                        .drive_id = TEXT(d->id),
                        .is_root_device = FLAG(!i && c->has_image),
                        .is_read_only = FLAG(c->disks[i].read_only),
                        .path_on_host = TEXT(c->disks[i].path),
                        .rate_limiter = import_rate(&c->disks[i].rate),
                };
        }
}

static int on_flush(struct loop_timer *timer)
{
        struct vm *vm = container_of(timer, struct vm, flush);
        struct problem p = { 0 };

        if (vm_flush(vm, &p))
                log_warn("%s", p.text);
        loop_timer_set(vm->cfg.loop, timer, FLUSH_EVERY_NS);
        return 0;
}

void vm_init(struct vm *vm, const struct api_config *cfg)
{
        const struct vm_config *c = cfg->base;

        *vm = (struct vm){ .cfg = *cfg, .log_fd = -1, .metrics_fd = -1, .flush.call = on_flush };
        vm->machine = (struct body_machine){
                .given = true,
                .vcpu_count = NUMBER(c->cpus),
                .mem_size_mib = NUMBER(c->memory_bytes >> 20),
                .smt = FLAG(false),
                .track_dirty_pages = FLAG(false),
                .huge_pages = NUMBER(PAGES_NONE),
        };
        import_drives(vm);
        import_nets(vm);
        if (c->vsock_path)
                vm->vsock = (struct body_vsock){
                        .given = true,
                        .guest_cid = NUMBER(c->guest_cid),
                        .uds_path = TEXT(c->vsock_path),
                };
}

static void free_docs(struct vm *vm)
{
        json_free(vm->boot_doc);
        json_free(vm->vsock_doc);
        json_free(vm->serial_doc);
        json_free(vm->logger_doc);
        json_free(vm->metrics_doc);
        for (unsigned i = 0; i < vm->nr_drives; i++) {
                json_free(vm->drives[i].doc);
                json_free(vm->drives[i].patched);
        }
        for (unsigned i = 0; i < vm->nr_nets; i++)
                json_free(vm->nets[i].doc);
}

void vm_fini(struct vm *vm)
{
        struct problem p = { 0 };

        if (vm->control && vm->metrics_fd >= 0 && vm_flush(vm, &p))
                log_warn("%s", p.text);
        if (vm->control)
                loop_timer_clear(vm->cfg.loop, &vm->flush);
        fd_closep(&vm->metrics_fd);
        if (vm->log_fd >= 0)
                log_redirect(-1);
        fd_closep(&vm->log_fd);
        free_docs(vm);
        free(vm->boot_args);
}

static void run(struct vm *vm, struct control *control)
{
        vm->control = control;
        if (vm->metrics_fd >= 0)
                loop_timer_set(vm->cfg.loop, &vm->flush, FLUSH_EVERY_NS);
}

void vm_set_started(struct vm *vm, struct control *control)
{
        const struct vm_config *c = vm->cfg.base;

        vm->boot = (struct body_boot){ .given = true, .kernel_image_path = TEXT(c->kernel) };
        if (c->initrd)
                vm->boot.initrd_path = TEXT(c->initrd);
        if (c->append)
                vm->boot.boot_args = TEXT(c->append);
        if (c->balloon.on)
                vm->balloon = (struct body_balloon){
                        .given = true,
                        .amount_mib = NUMBER(c->balloon.target_bytes >> 20),
                        .deflate_on_oom = FLAG(c->balloon.deflate_on_oom),
                        .stats_polling_interval_s = NUMBER(c->balloon.stats_interval_ns / NS_PER_S),
                        .free_page_hinting = FLAG(false),
                        .free_page_reporting = FLAG(true),
                };
        vm->entropy.given = c->rng;
        vm->config = *c;
        run(vm, control);
}

static const struct vm_drive *root_of(const struct vm *vm)
{
        for (unsigned i = 0; i < vm->nr_drives; i++)
                if (vm->drives[i].body.is_root_device.v)
                        return &vm->drives[i];
        return NULL;
}

static struct rate_bucket_config bucket_of(const struct body_bucket *b)
{
        return (struct rate_bucket_config){ .size = b->size.v,
                                            .one_time_burst = b->one_time_burst.v,
                                            .refill_ms = b->refill_time.v };
}

struct rate_config vm_rate(const struct body_rate *body)
{
        return (struct rate_config){ .bandwidth = bucket_of(&body->bandwidth), .ops = bucket_of(&body->ops) };
}

static void describe_drive(struct vm_drive *d, struct vm_config *c)
{
        struct config_disk *disk = &c->disks[c->nr_disks];

        d->disk = c->nr_disks++;
        *disk = d->base ? *d->base : (struct config_disk){ 0 };
        disk->path = d->body.path_on_host.v;
        disk->read_only = d->body.is_read_only.v;
        if (d->body.rate_limiter.given)
                disk->rate = vm_rate(&d->body.rate_limiter);
}

/* The root comes first: it is /dev/vda. */
static void describe_drives(struct vm *vm, struct vm_config *c)
{
        const struct vm_drive *root = root_of(vm);

        c->nr_disks = 0;
        c->has_image = root && !root->body.partuuid.given;
        for (unsigned i = 0; i < vm->nr_drives; i++)
                if (&vm->drives[i] == root)
                        describe_drive(&vm->drives[i], c);
        for (unsigned i = 0; i < vm->nr_drives; i++)
                if (&vm->drives[i] != root)
                        describe_drive(&vm->drives[i], c);
}

static void describe_net(const struct vm_net *n, struct config_net *ret)
{
        if (n->base) {
                *ret = *n->base;
                return;
        }
        *ret = (struct config_net){
                .kind = NET_TAP,
                .name = n->body.host_dev_name.v,
                .fd = -1,
                .queues = 1,
                .rx = vm_rate(&n->body.rx_rate_limiter),
                .tx = vm_rate(&n->body.tx_rate_limiter),
        };
        ret->has_mac = n->body.guest_mac.given && config_parse_mac(n->body.guest_mac.v, ret->mac);
}

static int describe_boot(struct vm *vm, struct vm_config *c, struct problem *p)
{
        const struct vm_drive *root = root_of(vm);
        const struct body_boot *b = &vm->boot;

        if (!b->given)
                return 0;
        c->kernel = b->kernel_image_path.v;
        c->initrd = !b->initrd_path.given                ? "none"
                    : !strcmp(b->initrd_path.v, "agent") ? NULL
                                                         : b->initrd_path.v;
        c->append = b->boot_args.given ? b->boot_args.v : BOOT_ARGS;
        c->bare_cmdline = true;
        if (!root || !root->body.partuuid.given)
                return 0;
        free(vm->boot_args);
        if (asprintf(&vm->boot_args, "root=PARTUUID=%s %s %s", root->body.partuuid.v,
                     root->body.is_read_only.v ? "ro" : "rw", c->append) < 0) {
                vm->boot_args = NULL;
                return problem_set(p, VM_REFUSED, "out of memory");
        }
        c->append = vm->boot_args;
        return 0;
}

int vm_describe(struct vm *vm, struct vm_config *c, struct problem *p)
{
        const char *kernel;

        *c = *vm->cfg.base;
        c->cpus = (unsigned)vm->machine.vcpu_count.v;
        c->memory_bytes = vm->machine.mem_size_mib.v << 20;
        describe_drives(vm, c);
        for (c->nr_nets = 0; c->nr_nets < vm->nr_nets; c->nr_nets++)
                describe_net(&vm->nets[c->nr_nets], &c->nets[c->nr_nets]);
        if (describe_boot(vm, c, p))
                return -1;
        c->vsock_path = vm->vsock.given ? vm->vsock.uds_path.v : NULL;
        if (vm->vsock.given)
                c->guest_cid = vm->vsock.guest_cid.v;
        c->rng = vm->entropy.given;
        c->balloon = (struct config_balloon){
                .on = vm->balloon.given,
                .target_bytes = vm->balloon.amount_mib.v << 20,
                .deflate_on_oom = vm->balloon.deflate_on_oom.v,
                .stats_interval_ns = vm->balloon.stats_polling_interval_s.v * NS_PER_S,
        };
        if (vm->serial.serial_out_path.given)
                c->serial = vm->serial.serial_out_path.v;
        /* Whatever is missing may still come. */
        kernel = c->kernel;
        if (!kernel)
                c->kernel = "";
        if (config_check(c, p))
                return -1;
        c->kernel = kernel;
        return 0;
}

int vm_start(struct vm *vm, struct problem *p)
{
        struct control *control;

        if (!vm->boot.given)
                return problem_set(p, VM_REFUSED,
                                   "Cannot start the VM without a kernel: describe it by PUT /boot-source");
        if (vm_describe(vm, &vm->config, p) || vm->cfg.start(vm->cfg.ctx, &vm->config, &control, p))
                return -1;
        run(vm, control);
        return 0;
}

int vm_flush(struct vm *vm, struct problem *p)
{
        cleanup(freep) char *text = NULL;
        size_t len = 0;
        ssize_t n = -1;
        FILE *f = open_memstream(&text, &len);

        if (f) {
                control_write_metrics(vm->control, f, METRICS_JSON);
                if (!fclose(f))
                        n = write(vm->metrics_fd, text, len);
        }
        if (n == (ssize_t)len)
                return 0;
        return problem_set(p, VM_REFUSED, "the metrics could not be written to '%s': %s",
                           vm->metrics.metrics_path.v, n < 0 ? strerror(errno) : "it is full");
}
