#pragma once
/*
 * The stages of a boot and when they were reached. Any thread marks; each stage counts once, so that a
 * guest that repeats itself changes nothing.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

enum timeline_stage {
        STAGE_MONITOR_START,
        STAGE_VM_CREATED,
        STAGE_FIRST_INSTRUCTION,
        STAGE_KERNEL,
        STAGE_INIT,
        STAGE_AGENT_READY,
};
#define TIMELINE_NR_STAGES 6

struct timeline {
        _Atomic uint64_t at_ns[TIMELINE_NR_STAGES]; /* CLOCK_MONOTONIC; 0: not reached */
};

void timeline_mark(struct timeline *t, enum timeline_stage stage);
/* One JSON object: stage to nanoseconds since STAGE_MONITOR_START; stages that were reached only. */
void timeline_write(const struct timeline *t, FILE *f);
