/*
 * The table of subcommands: what vmlet runs, lists in its help and completes.
 * Input:  none.
 * Runs:   at build time.
 * Limits: none.
 */
#include "cli/cli.h"

/* In the order of vmlet --help. */
const struct cli_command *const cli_commands[] = {
        &cli_exec,
        &cli_shell,
        &cli_completion,
        NULL,
};
