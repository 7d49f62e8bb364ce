/*
 * vmlet: the tool. Finds the subcommand and leaves the rest to it.
 * Input:  the command line (the user).
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "vmm/base/parse.h"

#define NAMES_MAX 64u

static void help(void)
{
        printf("Usage: vmlet COMMAND [OPTION]...\n\n"
               "Sandboxes in micro-VMs.\n\n"
               "Commands:\n");
        for (const struct cli_command *const *c = cli_commands; *c; c++)
                printf("  %-12s %s\n", (*c)->name, (*c)->summary);
        printf("\nOptions:\n"
               "  -h, --help     show this text; vmlet COMMAND --help shows a command's\n"
               "      --version  show the version\n");
}

static int unknown(const char *word)
{
        struct problem problem = { 0 };
        const char *names[NAMES_MAX] = { "--help", "--version" };

        for (size_t i = 0; cli_commands[i] && i + 3 < NAMES_MAX; i++)
                names[i + 2] = cli_commands[i]->name;

        const char *closest = parse_closest(word, names);

        if (closest)
                (void)!problem_set(&problem, CLI_FAILED, "unknown command %.64s: did you mean %s?", word,
                                   closest);
        else
                (void)!problem_set(&problem, CLI_FAILED, "unknown command %.64s: see vmlet --help", word);
        return cli_complain(NULL, &problem);
}

int main(int argc, char **argv)
{
        if (argc < 2) {
                fputs("vmlet: which command? See vmlet --help\n", stderr);
                return CLI_FAILED;
        }

        const char *word = argv[1];

        if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
                help();
        } else if (!strcmp(word, "--version")) {
                puts("vmlet " VMLET_VERSION);
        } else {
                for (const struct cli_command *const *c = cli_commands; *c; c++) {
                        if (!strcmp(word, (*c)->name)) {
                                int status = (*c)->run(*c, argc - 1, argv + 1);

                                return fflush(stdout) ? CLI_FAILED : status;
                        }
                }
                return unknown(word);
        }
        return fflush(stdout) ? CLI_FAILED : 0;
}
