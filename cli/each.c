/*
 * One thing done to several sandboxes.
 * Input:  the command line (the user).
 * Runs:   the tool's only thread.
 * Limits: none.
 */
#include "cli/each.h"

#include <stdio.h>

#include "sandbox/store.h"
#include "vmm/base/cleanup.h"

static int one(const struct paths *paths, const char *word, each_fn *fn, void *options, struct problem *p)
{
        cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;

        return sandbox_find(word, &s, p) ? -1 : fn(paths, &s, options, p);
}

int each_run(const struct cli_command *command, int argc, char **argv, each_fn *fn, void *options, bool echo)
{
        struct problem problem = { 0 };
        struct paths paths;
        int at = 0, status = 0, r = cli_parse(command, argc, argv, options, &at, &problem);

        if (r > 0)
                return 0;
        if (!r && at == argc)
                r = problem_set(&problem, CLI_FAILED, "which sandbox? vmlet %s %s", command->name,
                                command->usage);
        if (r || paths_find(&paths, &problem))
                return cli_complain(command, &problem);
        for (; at < argc; at++) {
                problem = (struct problem){ 0 };
                if (one(&paths, argv[at], fn, options, &problem))
                        status = cli_complain(command, &problem);
                else if (echo)
                        puts(argv[at]);
        }
        store_repair(&paths);
        return status;
}
