#pragma once
/*
 * A running VM, put together from its configuration: the only place, with devices.c, that knows every
 * part. Main thread, which is the loop thread.
 */
#include "vmm/base/cleanup.h"
#include "vmm/base/loop.h"
#include "vmm/config.h"
#include "vmm/exit_file.h"
#include "vmm/control.h"
#include "vmm/files.h"
#include "vmm/timeline.h"

struct machine;

/*
 * machine_new() - everything up to the first guest instruction
 * @files: opened; descriptors that are taken over are set to -1 there
 * @loop, @c, @timeline: borrowed for good
 * Return: 0, or -1 with *p filled.
 */
int must_check machine_new(struct machine **ret, struct loop *loop, const struct vm_config *c,
                           struct files *files, struct timeline *timeline, struct problem *p);

/*
 * machine_start() - let the guest run; when it ends, for whatever reason, it stops the loop
 * Return: 0 or a negative errno; then machine_end() is due at once.
 */
int must_check machine_start(struct machine *m);
/*
 * machine_end() - after the loop
 * @r: what loop_run(), or machine_start(), returned
 * Return: enum vmm_status; *p holds the words for it, but for VMM_OK.
 */
int machine_end(struct machine *m, int r, struct problem *p);

/* What a running machine is asked through; lives as long as @m. */
struct control *machine_control(struct machine *m);

/* What the end was about, beside its status. After machine_end(). */
void machine_report(const struct machine *m, struct exit_report *ret);
/* Counters of vCPUs and devices as JSON. After machine_end(). */
void machine_write_stats(struct machine *m, FILE *f);

void machine_free(struct machine *m);
DEFINE_CLEANUP(struct machine *, machine_free)
