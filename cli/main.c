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

static const struct cli_command *const commands[] = { &cli_exec };

static void help(void)
{
        printf("Usage: vmlet COMMAND [OPTION]...\n\n"
               "Sandboxes in micro-VMs.\n\n"
               "Commands:\n");
        for (size_t i = 0; i < array_size(commands); i++)
                printf("  %-12s %s\n", commands[i]->name, commands[i]->summary);
        printf("\nOptions:\n"
               "  -h, --help     show this text; vmlet COMMAND --help shows a command's\n"
               "      --version  show the version\n");
}

static int unknown(const char *word)
{
        struct problem problem = { 0 };
        const char *names[array_size(commands) + 3] = { "--help", "--version" };

        for (size_t i = 0; i < array_size(commands); i++)
                names[i + 2] = commands[i]->name;

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
                for (size_t i = 0; i < array_size(commands); i++) {
                        if (!strcmp(word, commands[i]->name)) {
                                int status = commands[i]->run(commands[i], argc - 1, argv + 1);

                                return fflush(stdout) ? CLI_FAILED : status;
                        }
                }
                return unknown(word);
        }
        return fflush(stdout) ? CLI_FAILED : 0;
}
