/*
 * vmlet events: what happens to sandboxes, as it happens.
 * Input:  the command line (the user); lines of sandbox/.
 * Runs:   the tool's only thread, which waits.
 * Limits: none of its own.
 */
#include <stdio.h>

#include "cli/cli.h"
#include "sandbox/events.h"

struct options {
        bool past;
};

static const struct cli_option options[] = {
        { 0, "past", CLI_FLAG, NULL, offsetof(struct options, past),
          "those that were kept instead, and end" },
        { 0 },
};

static int on_line(void *ctx, const char *line, size_t len)
{
        (void)ctx;
        return fwrite(line, 1, len, stdout) < len || fflush(stdout) ? 1 : 0;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct options o = { 0 };
        struct problem problem = { 0 };
        struct paths paths;
        int rest = 0, r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (r > 0)
                return 0;
        if (!r && rest < argc)
                r = problem_set(&problem, CLI_FAILED, "unexpected '%.64s'", argv[rest]);
        if (!r)
                r = paths_find(&paths, &problem);
        if (!r)
                r = events_read(&paths, o.past, on_line, NULL, &problem);
        return r ? cli_complain(command, &problem) : 0;
}

const struct cli_command cli_events = {
        .name = "events",
        .usage = "[OPTION]...",
        .summary = "Tell what happens to sandboxes, as lines of JSON",
        .details = "Goes on until it is interrupted. Events: created, started, paused, resumed, ended, "
                   "removed.\n",
        .options = options,
        .run = run,
};
