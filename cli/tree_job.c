/*
 * Packs and unpacks local trees in a child.
 * Input:  a local tree; a tar stream of a guest (hostile; checked in guest/tree_unpack.c).
 * Runs:   the tool's only thread, and the child's.
 * Limits: those of guest/tree.h.
 */
#include "cli/tree_job.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "cli/cli.h"
#include "guest/tree.h"
#include "sandbox/text.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/io.h"

static int write_pipe(void *ctx, uint8_t *bytes, size_t len)
{
        return io_write_all(*(int *)ctx, bytes, len);
}

static ssize_t read_pipe(void *ctx, const uint8_t **ret)
{
        static uint8_t bytes[65536];
        ssize_t n;

        do
                n = read(*(int *)ctx, bytes, sizeof(bytes));
        while (n < 0 && errno == EINTR);
        *ret = bytes;
        return n < 0 ? -errno : n;
}

/* Names in a stream are the guest's own words. */
static void say(int report, const char *where, const char *what)
{
        char name[200], line[400];
        int n;

        text_printable(where, strlen(where), name, sizeof(name));
        n = snprintf(line, sizeof(line), "%s%s%s", name, *name ? ": " : "", what);
        (void)!write(report, line, (size_t)n);
}

static int pack(const struct tree_job *job, int fd, int report)
{
        cleanup(freep) struct tree_pack *p = calloc(1, sizeof(*p)); /* too large for a stack */
        int r = p ? 0 : -ENOMEM;

        if (!r) {
                p->top = job->top;
                r = tree_pack(p, AT_FDCWD, job->path, job->flags, write_pipe, &fd);
        }
        if (r && r != -EPIPE)
                say(report, p && *p->where ? p->where : job->path, r < 0 ? strerror(-r) : tree_strerror(r));
        return r ? 1 : 0;
}

static int unpack(const struct tree_job *job, int fd, int report)
{
        cleanup(fd_closep) int root = open(job->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cleanup(freep) struct tree_unpack *u = calloc(1, sizeof(*u));
        int r;

        if (root < 0 || !u) {
                say(report, job->path, strerror(errno));
                return 1;
        }
        u->uid = u->gid = TREE_KEEP;
        u->only = job->top;
        r = tree_unpack(u, root, job->flags, read_pipe, &fd);
        if (r)
                say(report, u->where, r < 0 ? strerror(-r) : tree_strerror(r));
        return r ? 1 : 0;
}

int tree_job_start(struct tree_job *job, struct problem *problem)
{
        int data[2] = { -1, -1 }, report[2] = { -1, -1 };
        int mine = job->packs ? 0 : 1;

        job->pid = 0;
        if (!pipe2(data, O_CLOEXEC) && !pipe2(report, O_CLOEXEC))
                job->pid = fork();
        else
                job->pid = -1;
        if (!job->pid) {
                (void)!prctl(PR_SET_PDEATHSIG, SIGTERM);
                close(data[mine]);
                _exit(job->packs ? pack(job, data[1], report[1]) : unpack(job, data[0], report[1]));
        }
        fd_closep(&data[!mine]);
        fd_closep(&report[1]);
        if (job->pid < 0) {
                fd_closep(&data[mine]);
                fd_closep(&report[0]);
                return problem_set(problem, CLI_FAILED, "%s", strerror(errno));
        }
        job->fd = data[mine];
        job->report = report[0];
        return 0;
}

int tree_job_end(struct tree_job *job, struct problem *problem)
{
        char text[400] = "";
        ssize_t n;
        int status = 0;

        if (job->pid <= 0)
                return 0;
        fd_closep(&job->fd);
        n = read(job->report, text, sizeof(text) - 1); /* until it has said something, or ended */
        text[n > 0 ? n : 0] = 0;
        fd_closep(&job->report);
        while (waitpid(job->pid, &status, 0) < 0 && errno == EINTR)
                continue;
        job->pid = 0;
        if (*text)
                *problem = (struct problem){ 0 }; /* it knows better than those who only saw its pipe break */
        if (*text)
                return problem_set(problem, CLI_FAILED, "%s", text);
        return !status ? 0 : problem_set(problem, CLI_FAILED, "the local side was ended by a signal");
}
