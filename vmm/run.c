/*
 * A VM's life in this process, in order: loop, files, machine, the end, reports.
 * Input:  a configuration.
 * Runs:   main thread = loop thread.
 * Limits: one machine at a time.
 */
#include "vmm/run.h"

#include <stdio.h>
#include <string.h>

#include "vmm/base/log.h"
#include "vmm/status.h"

int run_init(struct run *run, struct vm_config *c, struct timeline *timeline, struct problem *p)
{
        int r;

        *run = (struct run){ .config = c, .timeline = timeline };
        r = loop_new(&run->loop);
        if (r < 0)
                return problem_set(p, VMM_E_HOST, "cannot make the event loop: %s", strerror(-r));
        return 0;
}

static void drop_machine(struct run *run)
{
        machine_free(run->machine);
        run->machine = NULL;
        files_close(&run->files);
}

int run_start(struct run *run, struct problem *p)
{
        int r;

        if (config_check(run->config, p) || files_open(&run->files, run->config, p))
                return -1;
        if (machine_new(&run->machine, run->loop, run->config, &run->files, run->timeline, p)) {
                files_close(&run->files);
                return -1;
        }
        r = machine_start(run->machine);
        if (r < 0) {
                (void)machine_end(run->machine, r, p);
                drop_machine(run);
                return -1;
        }
        return 0;
}

/* The file was opened before the guest ran; what cannot be written now is not worth the VM's status. */
static void report(int *fd, void (*write_it)(struct run *run, FILE *f), struct run *run)
{
        FILE *f = *fd >= 0 ? fdopen(*fd, "w") : NULL;

        if (!f)
                return;
        *fd = -1;
        write_it(run, f);
        if (fclose(f))
                log_warn("a report could not be written");
}

static void write_timeline(struct run *run, FILE *f)
{
        timeline_write(run->timeline, f);
}

static void write_stats(struct run *run, FILE *f)
{
        machine_write_stats(run->machine, f);
}

int run_to_end(struct run *run, struct problem *p)
{
        int r = loop_run(run->loop), status;

        if (!run->machine) {
                if (r < 0)
                        (void)problem_set(p, VMM_E_HOST, "the event loop failed: %s", strerror(-r));
                (void)problem_set(p, VMM_ENDED, "ended before the VM was started");
                return p->status;
        }
        status = machine_end(run->machine, r, p);
        machine_report(run->machine, &run->end);
        report(&run->files.timeline, write_timeline, run);
        report(&run->files.stats, write_stats, run);
        return status;
}

void run_fini(struct run *run)
{
        if (run->machine)
                drop_machine(run);
        loop_free(run->loop);
        run->loop = NULL;
}
