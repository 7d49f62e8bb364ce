/*
 * vmlet cp: files and trees between this host and a guest.
 * Input:  the command line (the user); what comes out of a guest (hostile, checked in guest/tree_unpack.c).
 * Runs:   the tool's only thread; a local tree in a child.
 * Limits: constant memory, whatever is copied.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/cp_path.h"
#include "cli/out.h"
#include "cli/transfer.h"
#include "cli/tree_job.h"
#include "guest/tree.h"

struct cp_options {
        bool archive, follow, quiet;
};

static const struct cli_option options[] = {
        { 'a', "archive", CLI_FLAG, NULL, offsetof(struct cp_options, archive),
          "keep owners (else all belongs to root there, and to you here)" },
        { 'L', "follow-link", CLI_FLAG, NULL, offsetof(struct cp_options, follow),
          "if the source is a symbolic link, copy what it leads to" },
        { 'q', "quiet", CLI_FLAG, NULL, offsetof(struct cp_options, quiet), "print nothing" },
        { 0 },
};

struct copy {
        const struct cp_options *options;
        struct problem *problem;
        struct target target;
        const char *from, *to;
        struct cp_plan plan;
        bool is_file;
        uint64_t size; /* of a file */
        uint64_t bytes;
};

static int stat_guest(struct copy *c, const char *path, bool follow, struct protocol_status *ret,
                      bool *ret_missing)
{
        const struct protocol_file req = { .op = PROTOCOL_FILE_STAT,
                                           .flags = follow ? PROTOCOL_FILE_FOLLOW : 0,
                                           .mode = PROTOCOL_FILE_KEEP,
                                           .uid = PROTOCOL_FILE_KEEP,
                                           .gid = PROTOCOL_FILE_KEEP,
                                           .path = path };
        uint32_t error = 0;

        if (!ask_file(&c->target, &req, ret, &error, c->problem))
                return 0;
        if (!ret_missing || error != ENOENT)
                return -1;
        *c->problem = (struct problem){ 0 };
        *ret_missing = true;
        return 0;
}

static int stat_local(struct copy *c, const char *path, bool follow, struct stat *ret)
{
        if (!(follow ? stat(path, ret) : lstat(path, ret)))
                return 0;
        return problem_set(c->problem, CLI_FAILED, "%.300s: %s", path, strerror(errno));
}

static struct protocol_file request(const struct copy *c, enum protocol_file_op op, const char *path)
{
        bool packs = op == PROTOCOL_FILE_PACK;
        struct protocol_file req = { .op = op,
                                     .mode = PROTOCOL_FILE_KEEP,
                                     .uid = PROTOCOL_FILE_KEEP,
                                     .gid = PROTOCOL_FILE_KEEP,
                                     .path = path };

        if (packs && c->options->follow)
                req.flags |= PROTOCOL_FILE_FOLLOW;
        if (packs && c->plan.contents)
                req.flags |= PROTOCOL_FILE_CONTENTS;
        if (!packs && !c->options->archive)
                req.flags |= PROTOCOL_FILE_NO_OWNER;
        if (packs)
                req.to = c->plan.top;
        return req;
}

/* The stream as it is, from or to a pipe or file of the user's. */
static int copy_stream(struct copy *c, enum protocol_file_op op, const char *path, int fd)
{
        const struct transfer t = { .target = &c->target,
                                    .req = request(c, op, path),
                                    .fd = fd,
                                    .what = !c->options->quiet && isatty(2) && !isatty(fd) ? path : NULL };

        if (isatty(fd))
                return problem_set(c->problem, CLI_FAILED, "- is a tar stream: not from or to a terminal");
        return transfer_run(&t, &c->bytes, c->problem);
}

static int at_end(void *who, struct problem *problem)
{
        return tree_job_end(who, problem);
}

static int copy_tree(struct copy *c, struct tree_job *job, enum protocol_file_op op, const char *path)
{
        struct transfer t = { .target = &c->target,
                              .req = request(c, op, path),
                              .expected = c->size,
                              .what = !c->options->quiet && isatty(2) ? c->from : NULL,
                              .at_end = at_end,
                              .who = job };
        int r;

        if (tree_job_start(job, c->problem))
                return -1;
        t.fd = job->fd;
        r = transfer_run(&t, &c->bytes, c->problem);
        /* What it says of its own end comes first: a broken pipe is only what we saw of it. */
        return tree_job_end(job, c->problem) ? -1 : r;
}

static int into_guest(struct copy *c, const char *to)
{
        struct tree_job job = { .packs = true, .path = c->from };
        struct cp_side side = { .path = to };
        struct protocol_status there;
        struct stat here = { 0 };
        bool missing = false;

        if (!strcmp(c->from, "-"))
                return copy_stream(c, PROTOCOL_FILE_UNPACK, to, 0);
        if (stat_local(c, c->from, c->options->follow || cp_path_is_folder(c->from), &here) ||
            stat_guest(c, to, true, &there, &missing))
                return -1;
        side.exists = !missing;
        side.is_folder = !missing && S_ISDIR(there.mode);
        if (cp_plan(c->from, S_ISDIR(here.st_mode), &side, &c->plan, c->problem))
                return -1;
        c->is_file = S_ISREG(here.st_mode);
        c->size = c->is_file ? (uint64_t)here.st_size : 0;
        job.top = c->plan.top;
        job.flags = (c->plan.contents ? TREE_CONTENTS : 0) | (c->options->follow ? TREE_FOLLOW : 0);
        return copy_tree(c, &job, PROTOCOL_FILE_UNPACK, c->plan.folder);
}

static int out_of_guest(struct copy *c, const char *from)
{
        struct tree_job job = { .packs = false };
        struct cp_side side = { .path = c->to };
        struct protocol_status there;
        struct stat here = { 0 };

        if (stat_guest(c, from, c->options->follow || cp_path_is_folder(from), &there, NULL))
                return -1;
        if (!strcmp(c->to, "-"))
                return copy_stream(c, PROTOCOL_FILE_PACK, from, 1);
        side.exists = !stat(c->to, &here);
        side.is_folder = side.exists && S_ISDIR(here.st_mode);
        if (cp_plan(from, S_ISDIR(there.mode), &side, &c->plan, c->problem))
                return -1;
        c->is_file = S_ISREG(there.mode);
        c->size = c->is_file ? there.size : 0;
        job.path = c->plan.folder;
        job.top = c->plan.top;
        job.flags = c->options->archive ? 0 : TREE_NO_OWNER;
        return copy_tree(c, &job, PROTOCOL_FILE_PACK, from);
}

static int copy(struct copy *c, const char *from, const char *to)
{
        char sandbox[PATH_MAX];
        const char *path = NULL;
        bool out;
        int r;

        c->from = from;
        c->to = to;
        out = cp_path_split(from, sandbox, &path);
        if (out && cp_path_split(to, sandbox, &path))
                return problem_set(c->problem, CLI_FAILED,
                                   "from one sandbox to another: use vmlet cp A:PATH - | vmlet cp - B:PATH");
        if (!out && !cp_path_split(to, sandbox, &path))
                return problem_set(c->problem, CLI_FAILED,
                                   "one of the two must be in a sandbox: SANDBOX:PATH");
        if (target_find(sandbox, &c->target, c->problem))
                return -1;
        r = out ? out_of_guest(c, path) : into_guest(c, path);
        if (!r && !c->options->quiet && strcmp(to, "-")) {
                char size[OUT_WORD];

                fprintf(stderr, "copied %s to %s\n", out_size(size, c->is_file ? c->size : c->bytes), to);
        }
        return r;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct cp_options o = { 0 };
        struct problem problem = { 0 };
        struct copy c = { .options = &o, .problem = &problem, .target = TARGET_NONE };
        int at = 0, r = cli_parse(command, argc, argv, &o, &at, &problem);

        if (r > 0)
                return 0;
        if (!r && at + 2 != argc)
                r = problem_set(&problem, CLI_FAILED, "from where to where? vmlet cp %s", command->usage);
        (void)!signal(SIGPIPE, SIG_IGN); /* writing tells it */
        if (!r)
                r = copy(&c, argv[at], argv[at + 1]);
        target_fini(&c.target);
        return r ? cli_complain(command, &problem) : 0;
}

const struct cli_command cli_cp = {
        .name = "cp",
        .usage = "[OPTION]... SANDBOX:PATH PATH|- | PATH|- SANDBOX:PATH",
        .summary = "Copy files and trees between this host and a sandbox",
        .details = "Into a folder that is there, the source is copied under its own name; a source that ends "
                   "with /. is\n"
                   "copied as what is in it. Else PATH is the new name, in a folder that is there. - is a "
                   "tar stream.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet cp project box:/srv\n"
                   "  vmlet cp box:/var/log/syslog .\n"
                   "  vmlet cp box:/srv/. results\n"
                   "  tar c . | vmlet cp - box:/srv\n",
        .options = options,
        .run = run,
};
