#pragma once
/*
 * A VM's life in this process: a loop, and on it one machine, started at once or when the API is asked to.
 * Main thread.
 */
#include "vmm/base/loop.h"
#include "vmm/config.h"
#include "vmm/exit_file.h"
#include "vmm/files.h"
#include "vmm/machine.h"
#include "vmm/timeline.h"

struct run {
        struct vm_config *config;  /* borrowed for good; the API fills it until the machine is started */
        struct timeline *timeline; /* borrowed */
        struct loop *loop;
        struct files files;
        struct machine *machine; /* NULL: not started yet */
        struct exit_report end;  /* of the guest, once run_to_end() is back */
};

/* Return: 0, or -1 with *p filled. run_fini() is due in either case. */
int must_check run_init(struct run *run, struct vm_config *c, struct timeline *timeline, struct problem *p);
/*
 * run_start() - judge the configuration, open all files, make the machine, let the guest run
 * Return: 0, or -1 with *p filled; then nothing of it stays, and it may be tried again.
 */
int must_check run_start(struct run *run, struct problem *p);
/*
 * run_to_end() - run the loop to the end of the guest, then write the reports
 * Return: enum vmm_status; *p holds the words for it, but for VMM_OK.
 */
int run_to_end(struct run *run, struct problem *p);
void run_fini(struct run *run);
