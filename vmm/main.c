/*
 * vmm: one process, one virtual machine.
 * Input:  options of a person or a program.
 * Runs:   main thread.
 * Limits: one VM a process.
 *
 * The stages, in order: read and check the options, open everything, make the machine, run it, report.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/files.h"
#include "vmm/machine.h"
#include "vmm/options.h"
#include "vmm/probe.h"
#include "vmm/status.h"

static int complain(const struct problem *p, const struct vm_config *c)
{
        if (p->status && c->log_json)
                log_err("%s", p->text);
        else if (p->status)
                (void)fprintf(stderr, "vmm%s%s: %s\n", *c->id ? " " : "", c->id, p->text);
        return p->status;
}

static int probe(enum options_mode mode)
{
        struct probe p;

        probe_run(&p);
        if (mode == OPTIONS_PROBE_JSON)
                probe_write_json(&p, stdout);
        else
                probe_write_words(&p, stdout);
        return p.verdict == PROBE_USABLE ? VMM_OK : VMM_E_KVM;
}

/* The file was opened before the guest ran; what cannot be written now is not worth the VM's status. */
static void report(int *fd, void (*write_it)(const void *what, FILE *f), const void *what)
{
        FILE *f = *fd >= 0 ? fdopen(*fd, "w") : NULL;

        if (!f)
                return;
        *fd = -1;
        write_it(what, f);
        if (fclose(f))
                log_warn("a report could not be written");
}

static void write_timeline(const void *what, FILE *f)
{
        timeline_write(what, f);
}

static void write_stats(const void *what, FILE *f)
{
        machine_write_stats(*(struct machine *const *)what, f);
}

/* Each vsock connection is a descriptor, and the usual soft limit is what select(2) could take. */
static void allow_descriptors(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void)!setrlimit(RLIMIT_NOFILE, &limit);
}

static int run(const struct vm_config *c, struct timeline *timeline, struct problem *p)
{
        cleanup(machine_freep) struct machine *m = NULL;
        struct files files;
        int status;

        if (config_check(c, p) || files_open(&files, c, p))
                return p->status;
        if (machine_new(&m, c, &files, timeline, p)) {
                files_close(&files);
                return p->status;
        }
        status = machine_run(m, p);
        report(&files.timeline, write_timeline, timeline);
        report(&files.stats, write_stats, &m);
        files_close(&files);
        return status;
}

/* A closed one would become the number of a file of ours, and our words would go into an image. */
static void keep_standard_descriptors(void)
{
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0)
                        (void)!open("/dev/null", O_RDWR);
}

int main(int argc, char **argv)
{
        struct timeline timeline = { 0 };
        struct problem problem = { 0 };
        struct options options;
        int status = VMM_OK;

        timeline_mark(&timeline, STAGE_MONITOR_START);
        keep_standard_descriptors();
        (void)signal(SIGPIPE, SIG_IGN);
        if (options_read(&options, argc, argv, &problem)) {
                status = complain(&problem, &options.config);
                options_fini(&options);
                return status;
        }
        log_setup(options.config.log_level, options.config.log_json, options.config.id);
        switch (options.mode) {
        case OPTIONS_HELP:
                options_help();
                break;
        case OPTIONS_VERSION:
                (void)puts("vmm " VMLET_VERSION);
                break;
        case OPTIONS_PROBE:
        case OPTIONS_PROBE_JSON:
                status = probe(options.mode);
                break;
        case OPTIONS_RUN:
                allow_descriptors();
                status = run(&options.config, &timeline, &problem);
                (void)complain(&problem, &options.config);
                break;
        }
        options_fini(&options);
        return status;
}
