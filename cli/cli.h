#pragma once
/*
 * What the subcommands share: their table, and options as a table of rows that both the parser and --help
 * read.
 */
#include <stdbool.h>
#include <stddef.h>

#include "vmm/base/compiler.h"
#include "vmm/base/err.h"

#define CLI_FAILED 125 /* the tool itself failed, as docker has it */

enum cli_kind {
        CLI_FLAG, /* bool */
        CLI_TEXT, /* const char * */
        CLI_LIST, /* struct cli_list: may be given many times */
        CLI_NAMED, /* struct cli_list: the option's name, then its value; several options in one keep their order */
        CLI_DURATION, /* uint64_t, nanoseconds */
        CLI_NUMBER,   /* uint64_t */
        CLI_SIZE,     /* uint64_t, bytes */
        CLI_KIND_NR
};

struct cli_list {
        const char **items; /* NULL-terminated once parsed */
        size_t n;
};

struct cli_option {
        char letter; /* 0: none */
        const char *name;
        enum cli_kind kind;
        const char *value; /* name of the value in the help; NULL for a flag */
        size_t offset;     /* of the field in the caller's struct */
        const char *help;
};

struct cli_command {
        const char *name;
        const char *usage;                /* what follows the name */
        const char *summary;              /* one line */
        const char *details;              /* NULL or lines behind the options */
        const struct cli_option *options; /* ends with a row without name */
        /* Return: exit status. */
        int (*run)(const struct cli_command *command, int argc, char **argv);
};

/* All of them, in the order of vmlet --help; ends with NULL (commands.c). */
extern const struct cli_command *const cli_commands[];

extern const struct cli_command cli_run, cli_create, cli_start, cli_stop, cli_kill, cli_rm;
extern const struct cli_command cli_wait, cli_ps, cli_inspect, cli_logs, cli_events, cli_system, cli_images;
extern const struct cli_command cli_version, cli_pause, cli_unpause, cli_attach, cli_completion;
extern const struct cli_command cli_doctor, cli_exec, cli_port_forward, cli_shell, cli_signal;
extern const struct cli_command cli_cp, cli_net, cli_stats, cli_top;

/*
 * cli_parse() - options, up to "--"
 * @argv: argv[0] is the subcommand; words that are no options are moved behind the options, in their order. A command
 *        that runs a COMMAND of the user takes options before the first such word only: the others are the command's
 * @to: the caller's struct, filled by the table's offsets
 * @ret_rest: index of the first word that is no option
 * Return: 0; 1 when --help was asked for (it has been printed); -1 and @problem.
 */
int must_check cli_parse(const struct cli_command *command, int argc, char **argv, void *to, int *ret_rest,
                         struct problem *problem);

/* Does it run a COMMAND of the user? */
bool cli_runs_words(const struct cli_command *command);

void cli_help(const struct cli_command *command);

/* cli_complain() - print the one line of @problem. Return: its status. */
int cli_complain(const struct cli_command *command, const struct problem *problem);
