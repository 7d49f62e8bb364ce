/*
 * Requests about the machine and what it boots.
 * Input:  checked bodies.
 * Runs:   loop thread, before the start.
 * Limits: those of bodies.c.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "api/vm/handle.h"

int handle_readable(const char *what, const char *path, struct problem *p)
{
        if (!access(path, R_OK))
                return 0;
        return problem_set(p, VM_REFUSED, "The %s file '%s' cannot be opened: %s", what, path,
                           strerror(errno));
}

void handle_keep(struct json_t **at, struct request *q)
{
        json_free(*at);
        *at = q->doc;
        q->doc = NULL;
}

int handle_boot(struct vm *vm, struct request *q)
{
        const struct body_boot *b = &q->body->boot;

        if (handle_readable("kernel", b->kernel_image_path.v, q->p))
                return -1;
        if (b->initrd_path.given && strcmp(b->initrd_path.v, "agent") &&
            handle_readable("initrd", b->initrd_path.v, q->p))
                return -1;
        if (b->initrd_path.given && !strcmp(b->initrd_path.v, "none"))
                return problem_set(q->p, VM_REFUSED,
                                   "The initrd's name 'none' means none at all: write './none'.");
        vm->boot = *b;
        handle_keep(&vm->boot_doc, q);
        return 0;
}

int handle_get_machine(struct vm *vm, struct request *q)
{
        schema_write(&body_machine_schema, &vm->machine, q->out);
        return 0;
}

/* Takes over @m if a machine can be so. */
static int set_machine(struct vm *vm, const struct body_machine *m, struct problem *p)
{
        struct body_machine old = vm->machine;
        struct vm_config c;

        if (m->smt.v)
                return problem_set(p, VM_REFUSED, "smt is not supported: each vCPU of the guest is a core");
        if (m->track_dirty_pages.v)
                return problem_set(
                        p, VM_REFUSED,
                        "track_dirty_pages is for snapshots, which are not supported by this version "
                        "of vmlet");
        if (m->cpu_template.v != TEMPLATE_NONE)
                return problem_set(
                        p, VM_REFUSED,
                        "CPU templates are not supported by this version of vmlet: the guest has what "
                        "KVM offers on this processor");
        if (m->huge_pages.v == PAGES_2M)
                return problem_set(
                        p, VM_REFUSED,
                        "huge_pages 2M (hugetlbfs) is not supported: memory has transparent huge pages "
                        "wherever the host has some");
        if (m->mem_size_mib.v % 2)
                return problem_set(p, VM_REFUSED, "mem_size_mib must be a multiple of 2");
        vm->machine = *m;
        if (!vm_describe(vm, &c, p))
                return 0;
        vm->machine = old;
        return -1;
}

int handle_put_machine(struct vm *vm, struct request *q)
{
        struct body_machine m = q->body->machine;

        m.smt.given = m.track_dirty_pages.given = m.huge_pages.given = true;
        return set_machine(vm, &m, q->p);
}

int handle_patch_machine(struct vm *vm, struct request *q)
{
        const struct body_machine *change = &q->body->machine;
        struct body_machine m = vm->machine;

        if (!change->vcpu_count.given && !change->mem_size_mib.given && !change->smt.given &&
            !change->track_dirty_pages.given && !change->cpu_template.given && !change->huge_pages.given)
                return problem_set(q->p, VM_REFUSED, "Empty PATCH request.");
        if (change->vcpu_count.given)
                m.vcpu_count = change->vcpu_count;
        if (change->mem_size_mib.given)
                m.mem_size_mib = change->mem_size_mib;
        if (change->smt.given)
                m.smt = change->smt;
        if (change->track_dirty_pages.given)
                m.track_dirty_pages = change->track_dirty_pages;
        if (change->cpu_template.given)
                m.cpu_template = change->cpu_template;
        if (change->huge_pages.given)
                m.huge_pages = change->huge_pages;
        return set_machine(vm, &m, q->p);
}

int handle_cpu(struct vm *vm, struct request *q)
{
        const struct body_cpu *c = &q->body->cpu;

        (void)vm;
        if (c->kvm_capabilities.v || c->cpuid_modifiers.v || c->msr_modifiers.v || c->reg_modifiers.v ||
            c->vcpu_features.v)
                return problem_set(
                        q->p, VM_REFUSED,
                        "CPU configurations are not supported by this version of vmlet: the guest has "
                        "what KVM offers on this processor");
        return 0;
}
