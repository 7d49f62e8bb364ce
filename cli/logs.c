/*
 * vmlet logs: what a sandbox has written.
 * Input:  the command line (the user); files of the monitor, checked by sandbox/.
 * Runs:   the tool's only thread, which waits.
 * Limits: those of sandbox/logs.c.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "sandbox/logs.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/parse.h"

struct options {
        bool follow, times, console, monitor;
        const char *tail;
        bool inside[LOGS_STDERR + 1]; /* a line that has begun */
};

static const struct cli_option options[] = {
        { 0, "console", CLI_FLAG, NULL, offsetof(struct options, console), "the guest's console instead" },
        { 'f', "follow", CLI_FLAG, NULL, offsetof(struct options, follow),
          "go on until the sandbox has ended" },
        { 0, "monitor", CLI_FLAG, NULL, offsetof(struct options, monitor), "the log of its monitor instead" },
        { 'n', "tail", CLI_TEXT, "LINES", offsetof(struct options, tail), "only the last lines (all)" },
        { 't', "timestamps", CLI_FLAG, NULL, offsetof(struct options, times),
          "each line with its time; not of console and monitor" },
        { 0 },
};

static void put_with_times(struct options *o, const struct logs_record *r, FILE *to)
{
        char time[OUT_WORD];

        out_time(time, r->time_ns);
        for (size_t i = 0; i < r->len; i++) {
                if (!o->inside[r->kind])
                        fprintf(to, "%s ", time);
                fputc(r->bytes[i], to);
                o->inside[r->kind] = r->bytes[i] != '\n';
        }
}

static int on_record(void *ctx, const struct logs_record *r)
{
        struct options *o = ctx;
        FILE *to = r->kind == LOGS_STDERR ? stderr : stdout;

        if (o->times && r->time_ns)
                put_with_times(o, r, to);
        else
                fwrite(r->bytes, 1, r->len, to);
        return fflush(to) ? -1 : 0;
}

static int show(const char *word, struct options *o, struct problem *p)
{
        cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
        struct logs_config config = {
                .which = o->console   ? LOGS_CONSOLE
                         : o->monitor ? LOGS_MONITOR
                                      : LOGS_OUTPUT,
                .follow = o->follow,
                .tail = UINT64_MAX,
                .on_record = on_record,
                .ctx = o,
        };

        if (o->console && o->monitor)
                return problem_set(p, CLI_FAILED, "--console and --monitor: one of them");
        if (o->times && config.which != LOGS_OUTPUT)
                return problem_set(p, CLI_FAILED, "--timestamps: console and monitor have none");
        if (o->tail && strcmp(o->tail, "all") && !parse_u64(o->tail, &config.tail))
                return problem_set(p, CLI_FAILED, "--tail %.32s: write a number of lines, or all", o->tail);
        return sandbox_find(word, &s, p) ? -1 : logs_read(&s, &config, p);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct options o = { 0 };
        struct problem problem = { 0 };
        int rest = 0, r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (r > 0)
                return 0;
        if (!r && rest + 1 != argc)
                r = problem_set(&problem, CLI_FAILED, "which sandbox? vmlet logs %s", command->usage);
        if (!r)
                r = show(argv[rest], &o, &problem);
        return r && problem.status ? cli_complain(command, &problem) : r ? CLI_FAILED : 0;
}

const struct cli_command cli_logs = {
        .name = "logs",
        .usage = "[OPTION]... SANDBOX",
        .summary = "Show what a sandbox's command has written",
        .details = "Standard output and standard error stay apart. At most 10 MiB are kept, of a sandbox "
                   "that was\n"
                   "left running with --rm 1 MiB, and of one that is watched with --rm nothing.\n",
        .options = options,
        .run = run,
};
