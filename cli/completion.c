/*
 * vmlet completion: scripts for the shells, and the words that they ask for.
 * Input:  the command line so far (the user), names of the user's sandboxes and images.
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 *
 * The scripts are thin: they hand the words to `vmlet completion words`, which walks the tables that parse and
 * explain the options. So a completion is never older than the program.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "sandbox/paths.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/parse.h"

/* What the scripts take for "complete file names". */
#define FILES ":files"

static const char bash[] =
        "_vmlet() {\n"
        "    local words\n"
        "    mapfile -t words < <(vmlet completion words -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
        "    if [ \"${words[0]-}\" = " FILES " ]; then\n"
        "        COMPREPLY=()\n"
        "        compopt -o default\n"
        "    else\n"
        "        COMPREPLY=(\"${words[@]}\")\n"
        "    fi\n"
        "}\n"
        "complete -F _vmlet vmlet\n";
static const char zsh[] =
        "#compdef vmlet\n"
        "_vmlet() {\n"
        "    local -a found\n"
        "    found=(\"${(@f)$(vmlet completion words -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
        "    if [[ ${found[1]} == " FILES " ]]; then _files; else compadd -a found; fi\n"
        "}\n"
        "if [ \"$funcstack[1]\" = _vmlet ]; then _vmlet \"$@\"; else compdef _vmlet vmlet; fi\n";
static const char fish[] = "function __vmlet_words\n"
                           "    set -l words (commandline -opc) (commandline -ct)\n"
                           "    set -l found (vmlet completion words -- $words[2..-1] 2>/dev/null)\n"
                           "    if test \"$found[1]\" = " FILES "\n"
                           "        __fish_complete_path (commandline -ct)\n"
                           "    else\n"
                           "        printf '%s\\n' $found\n"
                           "    end\n"
                           "end\n"
                           "complete -c vmlet -f -a '(__vmlet_words)'\n";

static const struct {
        const char *name, *text;
} scripts[] = { { "bash", bash }, { "zsh", zsh }, { "fish", fish } };

static void offer(const char *word, const char *so_far)
{
        if (!strncmp(word, so_far, strlen(so_far)))
                puts(word);
}

/* Names in a folder of the data folder: of sandboxes, of images. */
static void offer_names(const char *folder, const char *so_far)
{
        struct problem problem = { 0 };
        struct paths paths;
        char path[PATHS_MAX + 32];
        const struct dirent *e;
        DIR *d;

        if (paths_find(&paths, &problem))
                return;
        (void)snprintf(path, sizeof(path), "%s/%s", paths.data, folder);
        d = opendir(path);
        while (d && (e = readdir(d)))
                if (*e->d_name != '.')
                        offer(e->d_name, so_far);
        if (d)
                closedir(d);
}

static void offer_options(const struct cli_command *command, const char *so_far)
{
        char word[64];

        for (const struct cli_option *o = command->options; o->name; o++) {
                (void)snprintf(word, sizeof(word), "--%s", o->name);
                offer(word, so_far);
        }
        offer("--help", so_far);
}

static const struct cli_option *find_option(const struct cli_command *command, const char *word)
{
        for (const struct cli_option *o = command->options; o->name; o++) {
                if (word[1] == '-' ? !strcmp(word + 2, o->name) : word[1] == o->letter && !word[2])
                        return o;
        }
        return NULL;
}

/* Copies the @n-th word of the usage that is no option; the last one again where it ends with dots. */
static void usage_word(const char *usage, unsigned n, char *ret, size_t size)
{
        *ret = 0;
        while (*usage) {
                size_t len = strcspn(usage, " ");

                if (strncmp(usage, "[OPTION]", 8) && strncmp(usage, "--", len)) {
                        (void)snprintf(ret, size, "%.*s", (int)len, usage);
                        if (!n--)
                                return;
                }
                usage += len + (usage[len] == ' ');
        }
        if (!strstr(ret, "..."))
                *ret = 0;
}

/* What stands for a name in the usage or for an option's value says what fits there. */
static void offer_for(const char *meaning, const char *so_far)
{
        if (strstr(meaning, "SANDBOX")) {
                offer_names("sandboxes/by-name", so_far);
                if (strstr(meaning, "PATH"))
                        puts(FILES);
        } else if (strstr(meaning, "IMAGE")) {
                offer_names("images", so_far);
        } else if (strstr(meaning, "FILE") || strstr(meaning, "DIR") || strstr(meaning, "PATH")) {
                puts(FILES);
        } else if (islower((unsigned char)meaning[*meaning == '['])) {
                char words[128], *save;

                (void)snprintf(words, sizeof(words), "%s", meaning);
                for (char *w = strtok_r(words, "[]|.", &save); w; w = strtok_r(NULL, "[]|.", &save))
                        offer(w, so_far);
        }
}

/* @argv: what stands behind "vmlet", the last one unfinished. */
static void offer_words(int argc, char **argv)
{
        const struct cli_command *const *c = cli_commands;
        const char *so_far = argc ? argv[argc - 1] : "";
        const struct cli_option *pending = NULL;
        unsigned plain = 0;
        bool only_plain = false;
        char meaning[128];

        if (argc < 2) {
                for (; *c; c++)
                        offer((*c)->name, so_far);
                offer("--help", so_far);
                offer("--version", so_far);
                return;
        }
        while (*c && strcmp((*c)->name, argv[0]))
                c++;
        if (!*c)
                return;
        for (int i = 1; i < argc - 1; i++) {
                if (pending) {
                        pending = NULL;
                } else if (!only_plain && argv[i][0] == '-' && argv[i][1]) {
                        only_plain = !strcmp(argv[i], "--");
                        pending = find_option(*c, argv[i]);
                        if (pending && pending->kind == CLI_FLAG)
                                pending = NULL;
                } else {
                        plain++;
                        only_plain = cli_runs_words(*c);
                }
        }
        if (pending) {
                offer_for(pending->value, so_far);
        } else if (!only_plain && *so_far == '-') {
                offer_options(*c, so_far);
        } else {
                usage_word((*c)->usage, plain, meaning, sizeof(meaning));
                offer_for(meaning, so_far);
        }
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct problem problem = { 0 };
        int rest = 0, r = cli_parse(command, argc, argv, NULL, &rest, &problem);

        if (r > 0)
                return 0;
        if (r)
                return cli_complain(command, &problem);
        if (rest < argc && !strcmp(argv[rest], "words")) {
                rest++;
                if (rest < argc && !strcmp(argv[rest], "--"))
                        rest++;
                offer_words(argc - rest, argv + rest);
                return 0;
        }
        for (size_t i = 0; rest + 1 == argc && i < array_size(scripts); i++) {
                if (!strcmp(argv[rest], scripts[i].name)) {
                        (void)fputs(scripts[i].text, stdout);
                        return 0;
                }
        }
        (void)!problem_set(&problem, CLI_FAILED, "for which shell? vmlet completion bash, zsh or fish");
        return cli_complain(command, &problem);
}

static const struct cli_option options[] = { { 0 } };

const struct cli_command cli_completion = {
        .name = "completion",
        .usage = "bash|zsh|fish",
        .summary = "Print a script that lets a shell complete vmlet's words.",
        .details = "\nTo load it in this shell:\n"
                   "  bash   source <(vmlet completion bash)\n"
                   "  zsh    source <(vmlet completion zsh)\n"
                   "  fish   vmlet completion fish | source\n"
                   "An installed package has done so already. The scripts call vmlet completion words.\n",
        .options = options,
        .run = run,
};
