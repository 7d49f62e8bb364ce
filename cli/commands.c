/*
 * The table of subcommands: what vmlet runs, lists in its help and completes.
 * Input:  none.
 * Runs:   at build time.
 * Limits: none.
 */
#include "cli/cli.h"

/* In the order of vmlet --help, one a line. */
/* clang-format off */
const struct cli_command *const cli_commands[] = {
        &cli_run,
        &cli_exec,
        &cli_shell,
        &cli_cp,
        &cli_ps,
        &cli_logs,
        &cli_attach,
        &cli_signal,
        &cli_top,
        &cli_stats,
        &cli_port_forward,
        &cli_net,
        &cli_create,
        &cli_start,
        &cli_stop,
        &cli_kill,
        &cli_rm,
        &cli_wait,
        &cli_pause,
        &cli_unpause,
        &cli_inspect,
        &cli_events,
        &cli_images,
        &cli_system,
        &cli_doctor,
        &cli_version,
        &cli_completion,
        NULL,
};
/* clang-format on */
