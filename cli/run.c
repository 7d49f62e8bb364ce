/*
 * vmlet run, create: a new sandbox.
 * Input:  the command line and standard input (the user).
 * Runs:   the tool's only thread.
 * Limits: those of asked.h.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/asked.h"
#include "cli/boot.h"
#include "vmm/base/cleanup.h"

static const struct cli_option options[] = {
        { 0, "allow", CLI_NAMED, "RULE", offsetof(struct asked, rules),
          "give it a network that reaches this: api.example.com:443, '*.example.org', 10.1.0.0/16:5432" },
        { 0, "boot-timeout", CLI_DURATION, "TIME", offsetof(struct asked, boot_timeout_ns),
          "give the guest that long to be ready (60s)" },
        { 0, "cpus", CLI_TEXT, "N[.M]", offsetof(struct asked, cpus),
          "processors (1); with a fraction, no more time than that" },
        { 'c', "cpu-shares", CLI_NUMBER, "N", offsetof(struct asked, cpu_shares),
          "share of the host's processors when they are busy (1024)" },
        { 0, "deny", CLI_NAMED, "RULE", offsetof(struct asked, rules),
          "what it must not reach; of --allow and --deny the first that fits decides" },
        { 'd', "detach", CLI_FLAG, NULL, offsetof(struct asked, detach),
          "leave it running, and print its ID" },
        { 0, "detach-keys", CLI_TEXT, "KEYS", offsetof(struct asked, detach_keys),
          "keys that leave it running (ctrl-p,ctrl-q); '' for none" },
        { 0, "disk", CLI_TEXT, "SIZE|none", offsetof(struct asked, disk),
          "for what the guest writes (8G; with --rm none: in memory)" },
        { 0, "disk-rate", CLI_TEXT, "WORDS", offsetof(struct asked, disk_rate),
          "limit of that disk, a second, such as bw=20M,iops=500" },
        { 'e', "env", CLI_LIST, "NAME[=VALUE]", offsetof(struct asked, env_words),
          "set a variable; without a value, the one of this shell" },
        { 0, "env-file", CLI_LIST, "FILE", offsetof(struct asked, env_files),
          "set the variables of a file, one a line" },
        { 0, "hostname", CLI_TEXT, "NAME", offsetof(struct asked, hostname),
          "what the guest calls itself (the name or ID)" },
        { 'i', "interactive", CLI_FLAG, NULL, offsetof(struct asked, interactive),
          "pass standard input to the command" },
        { 0, "kernel", CLI_TEXT, "NAME|FILE", offsetof(struct asked, kernel), "another guest kernel" },
        { 'l', "label", CLI_LIST, "NAME[=VALUE]", offsetof(struct asked, labels), "something to find it by" },
        { 0, "lifetime", CLI_DURATION, "TIME", offsetof(struct asked, lifetime_ns),
          "stop the sandbox that long after its start" },
        { 'm', "memory", CLI_SIZE, "SIZE", offsetof(struct asked, memory_bytes),
          "memory of the guest (512M)" },
        { 0, "name", CLI_TEXT, "NAME", offsetof(struct asked, name), "call it so" },
        { 0, "pids-limit", CLI_NUMBER, "N", offsetof(struct asked, pids),
          "at most that many processes in the guest" },
        { 0, "net", CLI_TEXT, "MODE|FILE", offsetof(struct asked, net),
          "network: none (the default), deny, allow, public, or a file with a policy" },
        { 'p', "publish", CLI_LIST, "[ADDRESS:]PORT:GUEST_PORT", offsetof(struct asked, ports),
          "lead a port of this host into the guest, while it runs" },
        { 0, "rm", CLI_FLAG, NULL, offsetof(struct asked, rm), "remove it when it has ended" },
        { 0, "shell", CLI_FLAG, NULL, offsetof(struct asked, line),
          "COMMAND is one word: a line for the guest's /bin/sh -c" },
        { 't', "tty", CLI_FLAG, NULL, offsetof(struct asked, tty), "give the command a terminal" },
        { 'u', "user", CLI_TEXT, "USER[:GROUP]", offsetof(struct asked, user),
          "run the command as this user of the guest (root)" },
        { 'w', "workdir", CLI_TEXT, "DIR", offsetof(struct asked, workdir),
          "start the command in this directory (/)" },
        { 0 },
};

static int start(struct asked *a, const struct paths *paths, struct problem *p)
{
        cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
        struct boot boot = { .paths = paths,
                             .sandbox = &s,
                             .record = &a->record,
                             .lock = -1,
                             .watch = !a->detach,
                             .interactive = a->interactive,
                             .keys = &a->keys };
        int status;

        if (!a->detach && !a->record.args.nr)
                return problem_set(p, CLI_FAILED,
                                   "which command? For a shell use -it, to leave the sandbox running -d");
        if (a->tty && a->interactive && !a->detach && !isatty(0))
                return problem_set(p, CLI_FAILED, "-it: standard input is no terminal: leave out -t");
        a->record.watched = boot.watch;
        if (asked_make(a, paths, &s, &boot.lock, p))
                return -1;
        status = boot_run(&boot, p);
        if (!status && a->detach)
                puts(s.id);
        return status;
}

static int make(struct asked *a, const struct paths *paths, struct problem *p)
{
        cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
        cleanup(fd_closep) int lock = -1;

        if (a->rm)
                return problem_set(p, CLI_FAILED,
                                   "--rm is for run: what was only created would be gone at once");
        if (a->detach || a->detach_keys)
                return problem_set(p, CLI_FAILED,
                                   "--detach%s is for run: nothing runs yet; vmlet start leaves it running",
                                   a->detach ? "" : "-keys");
        if (asked_make(a, paths, &s, &lock, p))
                return -1;
        puts(s.id);
        return 0;
}

/* What is asked for, then @act, which says what run() returns, or -1 with a problem. */
static int read_and(int (*act)(struct asked *a, const struct paths *paths, struct problem *p),
                    const struct cli_command *command, int argc, char **argv)
{
        cleanup(asked_fini) struct asked a = { 0 };
        struct problem problem = { 0 };
        struct paths paths;
        int status = paths_find(&paths, &problem);

        if (!status)
                status = asked_read(command, argc, argv, &paths, &a, &problem);
        if (status > 0)
                return 0;
        if (!status)
                status = act(&a, &paths, &problem);
        return status < 0 ? cli_complain(command, &problem) : status;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        return read_and(start, command, argc, argv);
}

static int create(const struct cli_command *command, int argc, char **argv)
{
        return read_and(make, command, argc, argv);
}

const struct cli_command cli_run = {
        .name = "run",
        .usage = "[OPTION]... IMAGE [COMMAND [ARG]...]",
        .summary = "Make a sandbox and run a command in it",
        .details = "IMAGE is a name that `vmlet images` lists, or the path of a file. Without a command, -it "
                   "gives a\n"
                   "shell, and -d a sandbox that waits for `vmlet exec`. The sandbox ends with its command.\n"
                   "\n"
                   "The exit status is the command's own; 128 and the signal's number if a signal ended it;\n"
                   "127 if there is no such command, 126 if it cannot be run, 124 if the lifetime was over,\n"
                   "125 if vmlet itself failed.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet run --rm debian python3 -c 'print(6 * 7)'\n"
                   "  vmlet run --rm --shell debian 'cd /tmp && ls | wc -l'\n"
                   "  vmlet run --rm -it debian\n"
                   "  vmlet run -d --name box -m 2G --cpus 2 debian\n",
        .options = options,
        .run = run,
};

const struct cli_command cli_create = {
        .name = "create",
        .usage = "[OPTION]... IMAGE [COMMAND [ARG]...]",
        .summary = "Make a sandbox without starting it",
        .details = "Prints its ID. `vmlet start` starts it.\n",
        .options = options,
        .run = create,
};
