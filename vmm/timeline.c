/*
 * The stages of a boot.
 * Input:  marks of ours and of the guest.
 * Runs:   any thread.
 * Limits: one time a stage.
 */
#include "vmm/timeline.h"

#include <inttypes.h>
#include <time.h>

static const char *const names[] = {
        "monitor_start", "vm_created", "first_instruction", "kernel", "init", "agent_ready",
};
_Static_assert(sizeof(names) / sizeof(names[0]) == TIMELINE_NR_STAGES, "a name for each stage");

void timeline_mark(struct timeline *t, enum timeline_stage stage)
{
        struct timespec now;
        uint64_t none = 0;

        if (atomic_load_explicit(&t->at_ns[stage], memory_order_relaxed))
                return;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        (void)atomic_compare_exchange_strong(&t->at_ns[stage], &none,
                                             (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec);
}

void timeline_write(const struct timeline *t, FILE *f)
{
        uint64_t start = t->at_ns[STAGE_MONITOR_START];

        (void)fputc('{', f);
        for (unsigned i = 0; i < TIMELINE_NR_STAGES; i++)
                if (t->at_ns[i])
                        (void)fprintf(f, "%s\"%s\":%" PRIu64, i ? "," : "", names[i], t->at_ns[i] - start);
        (void)fputs("}\n", f);
}
