#pragma once
/*
 * A running VM, put together from its configuration: the only place, with devices.c, that knows every
 * part. Main thread, which becomes the loop thread in machine_run().
 */
#include "vmm/base/cleanup.h"
#include "vmm/config.h"
#include "vmm/files.h"
#include "vmm/timeline.h"

struct machine;

/*
 * machine_new() - everything up to the first guest instruction
 * @files: opened; descriptors that are taken over are set to -1 there
 * @c, @timeline: borrowed for good
 * Return: 0, or -1 with *p filled.
 */
int must_check machine_new(struct machine **ret, const struct vm_config *c, struct files *files,
                           struct timeline *timeline, struct problem *p);

/*
 * machine_run() - run the guest to its end
 * Return: enum vmm_status; *p holds the words for it, but for VMM_OK.
 */
int machine_run(struct machine *m, struct problem *p);

/* Counters of vCPUs and devices as JSON. After machine_run(). */
void machine_write_stats(struct machine *m, FILE *f);

void machine_free(struct machine *m);
DEFINE_CLEANUP(struct machine *, machine_free)
