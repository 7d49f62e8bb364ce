/*
 * vmlet: the tool. Finds the subcommand and leaves the rest to it.
 * Input:  the command line (the user).
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include <errno.h>
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

static const struct cli_command *find(const char *word)
{
        for (const struct cli_command *const *c = cli_commands; *c; c++)
                if (!strcmp(word, (*c)->name))
                        return *c;
        return NULL;
}

static int finish(int status)
{
        bool failed = ferror(stdout); /* of an earlier write, whose reason is gone */

        if (fflush(stdout))
                fprintf(stderr, "vmlet: cannot write: %s\n", strerror(errno));
        else if (failed)
                fprintf(stderr, "vmlet: cannot write all of the output\n");
        else
                return status;
        return CLI_FAILED;
}

int main(int argc, char **argv)
{
        if (argc < 2) {
                fputs("vmlet: which command? See vmlet --help\n", stderr);
                return CLI_FAILED;
        }

        const char *word = argv[1];
        int status = 0;

        if (!strcmp(word, "help") && argc > 2) {
                const struct cli_command *of = find(argv[2]);

                if (!of)
                        return unknown(argv[2]);
                cli_help(of);
        } else if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help")) {
                help();
        } else if (!strcmp(word, "--version")) {
                puts("vmlet " VMLET_VERSION);
        } else {
                const struct cli_command *c = find(word);

                if (!c)
                        return unknown(word);
                cli_is_last = true;
                status = c->run(c, argc - 1, argv + 1);
        }
        return finish(status);
}
