/*
 * Options of subcommands: reads them and explains them, from one table.
 * Input:  the command line (the user).
 * Runs:   the tool's only thread.
 * Limits: CLI_OPTIONS_MAX rows a table.
 */
#include "cli/cli.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/text.h"
#include "vmm/base/parse.h"

#define CLI_OPTIONS_MAX 32
#define HELP_COLUMN     30

/* One word or two of the command line, taken apart. */
struct word {
        const struct cli_option *option; /* NULL: --help */
        const char *value;               /* NULL: none in this word */
        const char *rest;                /* of -ew: the letters behind this one */
};

static const struct cli_option *find_letter(const struct cli_command *c, char letter)
{
        for (const struct cli_option *o = c->options; o->name; o++) {
                if (o->letter && o->letter == letter)
                        return o;
        }
        return NULL;
}

/* A whole name, or a beginning that only one name has. */
static const struct cli_option *find_name(const struct cli_command *c, const char *name, size_t len,
                                          bool *ret_ambiguous)
{
        const struct cli_option *found = NULL;

        *ret_ambiguous = false;
        for (const struct cli_option *o = c->options; o->name; o++) {
                if (strncmp(o->name, name, len))
                        continue;
                if (!o->name[len])
                        return o;
                *ret_ambiguous = found;
                found = o;
        }
        return *ret_ambiguous ? NULL : found;
}

static int unknown_name(const struct cli_command *c, const char *name, size_t len, struct problem *problem)
{
        const char *names[CLI_OPTIONS_MAX + 2] = { "help" };
        char wrong[64];
        size_t n = 1;

        for (const struct cli_option *o = c->options; o->name && n <= CLI_OPTIONS_MAX; o++)
                names[n++] = o->name;
        snprintf(wrong, sizeof(wrong), "%.*s", (int)(len < sizeof(wrong) ? len : sizeof(wrong)), name);

        const char *closest = parse_closest(wrong, names);

        if (closest)
                return problem_set(problem, CLI_FAILED, "unknown option --%s: did you mean --%s?", wrong,
                                   closest);
        return problem_set(problem, CLI_FAILED, "unknown option --%s: see vmlet %s --help", wrong, c->name);
}

static int read_name(const struct cli_command *c, const char *word, struct word *ret, struct problem *problem)
{
        const char *name = word + 2, *equals = strchr(name, '=');
        size_t len = equals ? (size_t)(equals - name) : strlen(name);
        bool ambiguous;

        *ret = (struct word){ .option = find_name(c, name, len, &ambiguous),
                              .value = equals ? equals + 1 : NULL };
        if (ambiguous)
                return problem_set(problem, CLI_FAILED,
                                   "--%.*s may mean several options: see vmlet %s --help", (int)len, name,
                                   c->name);
        if (!ret->option && !(len == 4 && !memcmp(name, "help", 4)))
                return unknown_name(c, name, len, problem);
        if (equals && (!ret->option || ret->option->kind == CLI_FLAG))
                return problem_set(problem, CLI_FAILED, "--%.*s takes no value", (int)len, name);
        return 0;
}

static int read_letter(const struct cli_command *c, const char *at, struct word *ret, struct problem *problem)
{
        const struct cli_option *o = find_letter(c, *at);

        *ret = (struct word){ .option = o };
        if (!o && *at == 'h')
                return 0;
        if (!o)
                return problem_set(problem, CLI_FAILED, "unknown option -%c: see vmlet %s --help", *at,
                                   c->name);
        if (o->kind == CLI_FLAG)
                ret->rest = at[1] ? at + 1 : NULL;
        else
                ret->value = at[1] ? at + 1 : NULL;
        return 0;
}

static int add_item(struct cli_list *list, const char *value)
{
        const char **items = realloc(list->items, (list->n + 2) * sizeof(*items));

        if (!items)
                return -1;
        items[list->n++] = value;
        items[list->n] = NULL;
        list->items = items;
        return 0;
}

static int store(const struct cli_option *o, const char *value, void *to, struct problem *problem)
{
        void *field = (char *)to + o->offset;

        switch (o->kind) {
        case CLI_FLAG:
                *(bool *)field = true;
                return 0;
        case CLI_TEXT:
                *(const char **)field = value;
                return 0;
        case CLI_LIST:
                if (add_item(field, value))
                        return problem_set(problem, CLI_FAILED, "out of memory");
                return 0;
        case CLI_NAMED:
                if (add_item(field, o->name) || add_item(field, value))
                        return problem_set(problem, CLI_FAILED, "out of memory");
                return 0;
        case CLI_DURATION:
                if (!parse_duration(value, field))
                        return problem_set(problem, CLI_FAILED,
                                           "--%s %s: not a duration: write 500ms, 30s, 5m or 1h", o->name,
                                           value);
                return 0;
        case CLI_NUMBER:
                if (!parse_u64(value, field))
                        return problem_set(problem, CLI_FAILED, "--%s %s: not a whole number", o->name,
                                           value);
                return 0;
        case CLI_SIZE:
                if (!parse_size(value, field))
                        return problem_set(problem, CLI_FAILED,
                                           "--%s %s: not a size: write bytes, or 64K, 512M, 2G", o->name,
                                           value);
                return 0;
        case CLI_KIND_NR:
                break;
        }
        return problem_set(problem, CLI_FAILED, "--%s: bad table", o->name);
}

/* One word of letters or one name, and its value. Return: 0; 1 if it was --help; -1 with @problem. */
static int parse_word(const struct cli_command *command, char **argv, int end, int *i, void *to,
                      struct problem *problem)
{
        const char *at = argv[(*i)++];
        bool is_name = at[1] == '-';

        for (at += !is_name; at;) {
                struct word w;

                if (is_name ? read_name(command, at, &w, problem) : read_letter(command, at, &w, problem))
                        return -1;
                if (!w.option) {
                        cli_help(command);
                        return 1;
                }
                if (w.option->kind != CLI_FLAG && !w.value && *i == end)
                        return problem_set(problem, CLI_FAILED, "--%s needs a value: %s", w.option->name,
                                           w.option->value);
                if (w.option->kind != CLI_FLAG && !w.value)
                        w.value = argv[(*i)++];
                if (store(w.option, w.value, to, problem))
                        return -1;
                at = w.rest;
        }
        return 0;
}

static void move_to_end(char **argv, int i, int argc)
{
        char *word = argv[i];

        memmove(argv + i, argv + i + 1, (size_t)(argc - i - 1) * sizeof(*argv));
        argv[argc - 1] = word;
}

bool cli_runs_words(const struct cli_command *command)
{
        return strstr(command->usage, "COMMAND");
}

int cli_parse(const struct cli_command *command, int argc, char **argv, void *to, int *ret_rest,
              struct problem *problem)
{
        int i = 1, end = argc; /* behind end are words that stood before options */

        while (i < end) {
                bool is_option = argv[i][0] == '-' && argv[i][1];
                int r;

                if (is_option && !strcmp(argv[i], "--")) {
                        for (i++; end > i; end--)
                                move_to_end(argv, i, argc);
                        break;
                }
                if (!is_option && cli_runs_words(command))
                        break;
                if (!is_option) {
                        move_to_end(argv, i, argc);
                        end--;
                        continue;
                }
                r = parse_word(command, argv, end, &i, to, problem);
                if (r)
                        return r;
        }
        *ret_rest = i;
        return 0;
}

static void print_option(const struct cli_option *o)
{
        char left[64];

        snprintf(left, sizeof(left), "  %c%c%s--%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
                 o->letter ? ", " : "  ", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("%-*s %s\n", HELP_COLUMN, left, o->help);
}

void cli_help(const struct cli_command *command)
{
        static const struct cli_option help = { 'h', "help", CLI_FLAG, NULL, 0, "show this text" };

        printf("Usage: vmlet %s %s\n\n%s\n\nOptions:\n", command->name, command->usage, command->summary);
        for (const struct cli_option *o = command->options; o->name; o++)
                print_option(o);
        print_option(&help);
        if (command->details)
                printf("\n%s", command->details);
}

int cli_complain(const struct cli_command *command, const struct problem *problem)
{
        char text[sizeof(problem->text)], line[sizeof(text) + 64];

        /* Words of the user, and names of files: one line, and nothing that acts on a terminal. */
        text_printable(problem->text, strlen(problem->text), text, sizeof(text));
        snprintf(line, sizeof(line), "vmlet%s%s: %s\n", command ? " " : "", command ? command->name : "",
                 text);
        fputs(line, stderr); /* in one piece: others may write to the same file */
        return problem->status;
}
