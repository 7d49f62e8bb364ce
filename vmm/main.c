/*
 * vmm: one process, one virtual machine.
 * Input:  options of a person or a program.
 * Runs:   main thread.
 * Limits: one VM a process.
 *
 * The stages, in order: read and check the options, open everything, make the machine, run it, report.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/base/log.h"
#include "vmm/capfile.h"
#include "vmm/options.h"
#include "vmm/probe.h"
#include "vmm/run.h"
#include "vmm/serve.h"
#include "vmm/status.h"

static int complain(const struct problem *p, const struct vm_config *c)
{
        if (p->status && (c->log_json || c->log_path))
                log_err("%s", p->text);
        if (p->status && (!c->log_json || c->log_path))
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

struct log_file {
        pthread_mutex_t lock;
        struct capfile file;
};

static bool write_log(void *ctx, const char *line, size_t len)
{
        struct log_file *log = ctx;
        union {
                const char *in;
                void *out; /* writev() only reads */
        } text = { .in = line };
        uint64_t lost;

        (void)pthread_mutex_lock(&log->lock);
        lost = log->file.lost_bytes;
        capfile_write(&log->file, &(struct iovec){ text.out, len }, 1);
        lost = log->file.lost_bytes - lost;
        (void)pthread_mutex_unlock(&log->lock);
        return !lost;
}

/* For the whole life of the process. */
static int open_log(const struct vm_config *c, struct problem *p)
{
        static struct log_file log = { .lock = PTHREAD_MUTEX_INITIALIZER };

        log.file = CAPFILE_NONE;
        if (!c->log_path)
                return 0;
        if (capfile_open(&log.file, "the log", c->log_path, c->log_limit_bytes, true, p)) {
                capfile_close(&log.file);
                return -1;
        }
        log_set_sink(write_log, &log);
        return 0;
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

static int run(struct vm_config *c, struct timeline *timeline, char **argv, struct problem *p)
{
        cleanup(exit_file_close) struct exit_file end = EXIT_FILE_NONE;
        struct run life;
        int status;

        if (c->exit_path && exit_file_open(&end, c->exit_path, p))
                return complain(p, c);
        if (run_init(&life, c, timeline, p) || open_log(c, p) || (!c->api_path && run_start(&life, p)))
                status = p->status;
        else
                status = c->api_path ? serve_run(&life, argv, p) : run_to_end(&life, p);
        run_fini(&life);
        (void)complain(p, c);
        exit_file_write(&end, status, p->text, &life.end);
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
        (void)signal(SIGXFSZ, SIG_IGN); /* a guest must not end us by writing up to our limit */
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
                status = run(&options.config, &timeline, argv, &problem);
                break;
        }
        options_fini(&options);
        return status;
}
