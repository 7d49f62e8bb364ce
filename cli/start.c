/*
 * vmlet start: a sandbox that was created, or has ended, runs again.
 * Input:  the command line and standard input (the user).
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include <stdio.h>
#include <string.h>

#include "cli/boot.h"
#include "cli/cli.h"
#include "cli/each.h"
#include "sandbox/lock.h"
#include "vmm/base/cleanup.h"

struct options {
        bool attach, interactive;
        int status;
};

static const struct cli_option start_options[] = {
        { 'a', "attach", CLI_FLAG, NULL, offsetof(struct options, attach),
          "stay with its command: show its output, exit as it does" },
        { 'i', "interactive", CLI_FLAG, NULL, offsetof(struct options, interactive),
          "with -a: pass standard input, if the sandbox was made with -i" },
        { 0 },
};

static int start(const struct paths *paths, struct sandbox *s, void *options, struct problem *p)
{
        cleanup(record_fini) struct record record = { 0 };
        struct options *o = options;
        struct keys keys;
        struct boot boot = { .paths = paths,
                             .sandbox = s,
                             .record = &record,
                             .lock = -1,
                             .interactive = o->interactive,
                             .keys = &keys };
        int r = lock_take(s->folder, &boot.lock);

        if (r == LOCK_HELD)
                return problem_set(p, CLI_FAILED, "sandbox %s runs already, or is just being started", s->id);
        if (r < 0)
                return problem_set(p, CLI_FAILED, "cannot lock %.300s: %s", s->folder, strerror(-r));
        if (record_read(s->folder, &record, p) || !keys_parse(KEYS_DEFAULT, &keys)) {
                fd_closep(&boot.lock);
                return -1;
        }
        boot.watch = o->attach && record.args.nr;
        r = boot_run(&boot, p);
        if (r > 0)
                o->status = r;
        return r < 0 ? -1 : 0;
}

static int run_start(const struct cli_command *command, int argc, char **argv)
{
        struct options o = { 0 };
        int status = each_run(command, argc, argv, start, &o, true);

        return status ? status : o.status;
}

const struct cli_command cli_start = {
        .name = "start",
        .usage = "[OPTION]... SANDBOX...",
        .summary = "Start sandboxes",
        .options = start_options,
        .run = run_start,
};
