/*
 * Requests about the balloon.
 * Input:  checked bodies; what a guest tells of its memory, hostile, which is only passed on.
 * Runs:   loop thread.
 * Limits: those of bodies.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "api/vm/handle.h"

#define NS_PER_S 1000000000ull

static int no_balloon(struct problem *p)
{
        return problem_set(p, VM_REFUSED, "No balloon device found.");
}

int handle_get_balloon(struct vm *vm, struct request *q)
{
        if (!vm->balloon.given)
                return no_balloon(q->p);
        schema_write(&body_balloon_schema, &vm->balloon, q->out);
        return 0;
}

int handle_put_balloon(struct vm *vm, struct request *q)
{
        struct body_balloon old = vm->balloon, b = q->body->balloon;
        struct vm_config c;

        if (b.free_page_hinting.v)
                return problem_set(q->p, VM_REFUSED,
                                   "free page hinting is not supported by this version of vmlet");
        b.stats_polling_interval_s.given = b.free_page_hinting.given = true;
        /* The guest always may report. */
        b.free_page_reporting = (struct schema_flag){ .given = true, .v = true };
        vm->balloon = b;
        if (!vm_describe(vm, &c, q->p))
                return 0;
        vm->balloon = old;
        return -1;
}

int handle_patch_balloon(struct vm *vm, struct request *q)
{
        uint64_t mib = q->body->balloon_update.amount_mib.v;
        int r;

        if (!vm->balloon.given)
                return no_balloon(q->p);
        r = control_balloon_set(vm->control, mib << 20);
        if (r == -EINVAL)
                return problem_set(q->p, VM_REFUSED,
                                   "A balloon of %" PRIu64 " MiB is too large for this guest.", mib);
        if (r < 0)
                return problem_set(q->p, VM_REFUSED, "The balloon cannot be set: %s", strerror(-r));
        vm->balloon.amount_mib.v = mib;
        return 0;
}

static int get_state(struct vm *vm, struct balloon_state *ret, struct problem *p)
{
        if (!vm->balloon.given || control_balloon_state(vm->control, ret) < 0)
                return no_balloon(p);
        return 0;
}

int handle_get_balloon_stats(struct vm *vm, struct request *q)
{
        struct balloon_state s = { 0 };

        if (get_state(vm, &s, q->p))
                return -1;
        if (!s.has_stats)
                return problem_set(q->p, VM_REFUSED,
                                   "Statistics of the balloon were not enabled before the start.");
        (void)fprintf(q->out,
                      "{\"target_pages\":%" PRIu64 ",\"actual_pages\":%" PRIu64 ",\"target_mib\":%" PRIu64
                      ",\"actual_mib\":%" PRIu64,
                      s.target_bytes / BALLOON_PAGE_BYTES, s.actual_bytes / BALLOON_PAGE_BYTES,
                      s.target_bytes >> 20, s.actual_bytes >> 20);
        for (unsigned i = 0; i < BALLOON_NR_STATS; i++)
                if (s.stats.known & (1u << i))
                        (void)fprintf(q->out, ",\"%s\":%" PRIu64, balloon_stat_names[i], s.stats.values[i]);
        (void)fputc('}', q->out);
        return 0;
}

int handle_patch_balloon_stats(struct vm *vm, struct request *q)
{
        uint64_t interval_s = q->body->balloon_stats_update.stats_polling_interval_s.v;
        struct balloon_state s = { 0 };
        int r = 0;

        if (get_state(vm, &s, q->p))
                return -1;
        if (s.has_stats != (interval_s != 0))
                return problem_set(q->p, VM_REFUSED,
                                   "Statistics of the balloon cannot be switched on or off after the start.");
        if (interval_s)
                r = control_balloon_interval(vm->control, interval_s * NS_PER_S);
        if (r < 0)
                return problem_set(q->p, VM_REFUSED, "The interval cannot be set: %s", strerror(-r));
        vm->balloon.stats_polling_interval_s.v = interval_s;
        return 0;
}
