/*
 * Requests about devices.
 * Input:  checked bodies.
 * Runs:   loop thread.
 * Limits: CONFIG_DISKS_MAX drives.
 */
#include <ctype.h>
#include <string.h>

#include "api/vm/handle.h"
#include "vmm/base/uds.h"

static struct vm_drive *find_drive(struct vm *vm, const char *id)
{
        for (unsigned i = 0; i < vm->nr_drives; i++)
                if (!strcmp(vm->drives[i].body.drive_id.v, id))
                        return &vm->drives[i];
        return NULL;
}

int handle_check_id(const struct request *q, const char *id)
{
        if (strcmp(q->id, id))
                return problem_set(q->p, VM_REFUSED,
                                   "The id from the path does not match the id from the body!");
        return 0;
}

/* It becomes a word of the kernel's command line. */
static bool is_partuuid(const char *text)
{
        for (; *text; text++)
                if (!isxdigit((unsigned char)*text) && *text != '-')
                        return false;
        return true;
}

static int check_drive(struct vm *vm, const struct body_drive *b, struct problem *p)
{
        if (b->socket.given)
                return problem_set(p, VM_REFUSED,
                                   "vhost-user drives are not supported by this version of vmlet");
        if (!b->path_on_host.given)
                return problem_set(p, VM_REFUSED, "A drive needs `path_on_host`.");
        if (b->partuuid.given && !is_partuuid(b->partuuid.v))
                return problem_set(p, VM_REFUSED, "`partuuid` must be of hexadecimal digits and dashes.");
        for (unsigned i = 0; i < vm->nr_drives; i++)
                if (b->is_root_device.v && vm->drives[i].body.is_root_device.v &&
                    strcmp(vm->drives[i].body.drive_id.v, b->drive_id.v))
                        return problem_set(p, VM_REFUSED, "A root block device already exists!");
        return handle_readable("drive's", b->path_on_host.v, p);
}

int handle_put_drive(struct vm *vm, struct request *q)
{
        const struct body_drive *b = &q->body->drive;
        struct vm_drive *d = find_drive(vm, q->id);

        if (handle_check_id(q, b->drive_id.v) || check_drive(vm, b, q->p))
                return -1;
        if (!d && vm->nr_drives == CONFIG_DISKS_MAX)
                return problem_set(q->p, VM_REFUSED, "More than %u drives are not supported.",
                                   CONFIG_DISKS_MAX);
        if (!d)
                d = &vm->drives[vm->nr_drives++];
        json_free(d->doc);
        *d = (struct vm_drive){ .body = *b, .doc = q->doc };
        q->doc = NULL;
        /* The defaults: false, and the first words of the tables. */
        d->body.is_read_only.given = d->body.cache_type.given = d->body.io_engine.given = true;
        return 0;
}

/* A bucket that is not named stays as it is. */
static int patch_rate(struct vm *vm, struct vm_drive *d, const struct body_rate *change, struct problem *p)
{
        struct body_rate rate = d->body.rate_limiter;
        struct rate_config limit;

        rate.given = true;
        if (change->bandwidth.given)
                rate.bandwidth = change->bandwidth;
        if (change->ops.given)
                rate.ops = change->ops;
        limit = vm_rate(&rate);
        if (control_disk_rate(vm->control, d->disk, &limit) < 0)
                return problem_set(p, VM_REFUSED, "The drive cannot be limited.");
        d->body.rate_limiter = rate;
        return 0;
}

int handle_patch_drive(struct vm *vm, struct request *q)
{
        const struct body_drive_update *b = &q->body->drive_update;
        struct vm_drive *d = find_drive(vm, q->id);

        if (handle_check_id(q, b->drive_id.v))
                return -1;
        if (!d)
                return problem_set(q->p, VM_REFUSED, "There is no drive '%s'.", q->id);
        if (b->path_on_host.given) {
                if (control_disk_replace(vm->control, d->disk, b->path_on_host.v, q->p))
                        return -1;
                d->body.path_on_host = b->path_on_host;
                handle_keep(&d->patched, q);
        }
        return b->rate_limiter.given ? patch_rate(vm, d, &b->rate_limiter, q->p) : 0;
}

int handle_vsock(struct vm *vm, struct request *q)
{
        size_t len = strlen(q->body->vsock.uds_path.v);

        if (!len || len > UDS_PATH_MAX)
                return problem_set(q->p, VM_REFUSED, "`uds_path` must have 1 to %u bytes.", UDS_PATH_MAX);
        vm->vsock = q->body->vsock;
        handle_keep(&vm->vsock_doc, q);
        return 0;
}

int handle_entropy(struct vm *vm, struct request *q)
{
        struct rate_config rate = vm_rate(&q->body->entropy.rate_limiter);

        if (rate_is_limited(&rate))
                return problem_set(q->p, VM_REFUSED,
                                   "A rate limiter of the entropy device is not supported by this version of "
                                   "vmlet.");
        vm->entropy = q->body->entropy;
        return 0;
}

int handle_serial(struct vm *vm, struct request *q)
{
        struct body_rate rate = { .bandwidth = q->body->serial.rate_limiter };
        struct rate_config limit = vm_rate(&rate);
        const char *path = q->body->serial.serial_out_path.v;

        if (rate_is_limited(&limit))
                return problem_set(q->p, VM_REFUSED,
                                   "A rate limiter of the serial device is not supported by this version of "
                                   "vmlet.");
        /* Words of --serial, which share a field with paths. */
        if (path && (!*path || !strcmp(path, "off") || !strcmp(path, "stdio")))
                return problem_set(q->p, VM_REFUSED,
                                   "'%s' is no file for the console: name one such as './%s'.", path,
                                   *path ? path : "console");
        vm->serial = q->body->serial;
        handle_keep(&vm->serial_doc, q);
        return 0;
}
