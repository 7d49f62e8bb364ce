/*
 * The judge of a VM's description.
 * Input:  settings of a person or a program.
 * Runs:   main thread.
 * Limits: those of config.h.
 */
#include "vmm/config.h"

#include <string.h>

#include "vmm/base/num.h"
#include "vmm/status.h"

#define MIB (1ull << 20)

const char *const config_platform_names[] = { "auto", "native", "acpi", NULL };

static int check_balloon(const struct vm_config *c, struct problem *p)
{
        const struct config_balloon *b = &c->balloon;

        if (b->target_bytes >= c->memory_bytes)
                return problem_set(p, VMM_E_USAGE,
                                   "a balloon of %llu MiB is too large for a memory of %llu MiB: use less",
                                   (unsigned long long)(b->target_bytes / MIB),
                                   (unsigned long long)(c->memory_bytes / MIB));
        if (b->stats_interval_ns && b->stats_interval_ns < CONFIG_STATS_MIN_NS)
                return problem_set(
                        p, VMM_E_USAGE,
                        "statistics of the balloon every %llu ms are too many: use stats=1s or more",
                        (unsigned long long)(b->stats_interval_ns / 1000000));
        return 0;
}

void config_net_mac(const struct vm_config *c, unsigned i, uint8_t ret[6])
{
        /* Locally administered, and "vmlt". */
        const uint8_t ours[6] = { 0x02, 0x76, 0x6d, 0x6c, 0x74, (uint8_t)(2 + i) };

        memcpy(ret, c->nets[i].has_mac ? c->nets[i].mac : ours, sizeof(ours));
}

static int check_net(const struct config_net *n, struct problem *p)
{
        bool is_tap = n->kind == NET_TAP || n->kind == NET_TAP_FD;

        if (n->mtu && (n->mtu < CONFIG_MTU_MIN || n->mtu > CONFIG_MTU_MAX))
                return problem_set(p, VMM_E_USAGE, "an MTU of %u is out of range: use mtu= with %u to %u",
                                   n->mtu, CONFIG_MTU_MIN, CONFIG_MTU_MAX);
        if (!n->queues || n->queues > CONFIG_QUEUES_MAX)
                return problem_set(p, VMM_E_USAGE, "%u queues of a network are out of range: 1 to %u may be",
                                   n->queues, CONFIG_QUEUES_MAX);
        if (n->queues > 1 && n->kind != NET_TAP)
                return problem_set(p, VMM_E_USAGE, "several queues need a tap device by its name: tap=NAME");
        if (n->vnet && is_tap)
                return problem_set(p, VMM_E_USAGE, "vnet is for stream= and fd=: a tap always has it");
        if (n->has_mac && n->mac[0] & 1)
                return problem_set(p, VMM_E_USAGE,
                                   "a MAC that begins with %02x is one of a group: make that even",
                                   n->mac[0]);
        return 0;
}

static int check_nets(const struct vm_config *c, struct problem *p)
{
        if (c->nr_disks + c->nr_nets > CONFIG_LINES_MAX)
                return problem_set(p, VMM_E_USAGE, "%u disks and %u networks are more than %u together",
                                   c->nr_disks, c->nr_nets, CONFIG_LINES_MAX);
        for (unsigned i = 0; i < c->nr_nets; i++)
                if (check_net(&c->nets[i], p))
                        return -1;
        return 0;
}

int config_check(const struct vm_config *c, struct problem *p)
{
        if (!c->kernel)
                return problem_set(p, VMM_E_USAGE,
                                   "no kernel given: use --kernel FILE (a bzImage or a vmlinux)");
        if (!c->cpus || c->cpus > CONFIG_CPUS_MAX)
                return problem_set(p, VMM_E_USAGE, "%u vCPUs are out of range: use --cpus with 1 to %u",
                                   c->cpus, CONFIG_CPUS_MAX);
        if (c->memory_bytes < CONFIG_MEMORY_MIN || c->memory_bytes > CONFIG_MEMORY_MAX)
                return problem_set(p, VMM_E_USAGE,
                                   "memory of %llu MiB is out of range: use --memory with %llu to %llu MiB",
                                   (unsigned long long)(c->memory_bytes / MIB),
                                   (unsigned long long)(CONFIG_MEMORY_MIN / MIB),
                                   (unsigned long long)(CONFIG_MEMORY_MAX / MIB));
        if (!num_is_aligned(c->memory_bytes, 2 * MIB))
                return problem_set(p, VMM_E_USAGE, "memory of %llu bytes is not a multiple of 2 MiB",
                                   (unsigned long long)c->memory_bytes);
        if (c->log_limit_bytes < CONFIG_LOG_MIN)
                return problem_set(p, VMM_E_USAGE, "--log-limit: %llu bytes are too few: use at least %lluK",
                                   (unsigned long long)c->log_limit_bytes, CONFIG_LOG_MIN >> 10);
        /* virtio 1.2, 5.10.4: 0, 1 and 2 are reserved, and the upper half of the field must be 0. */
        if (c->guest_cid < 3 || c->guest_cid >= UINT32_MAX)
                return problem_set(p, VMM_E_USAGE,
                                   "guest CID %llu is reserved: use --guest-cid with 3 or more",
                                   (unsigned long long)c->guest_cid);
        return check_nets(c, p) ? -1 : check_balloon(c, p);
}
