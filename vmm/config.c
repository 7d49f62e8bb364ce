/*
 * The judge of a VM's description.
 * Input:  settings of a person or a program.
 * Runs:   main thread.
 * Limits: those of config.h.
 */
#include "vmm/config.h"

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
        return check_balloon(c, p);
}
