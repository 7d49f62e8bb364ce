/*
 * vmlet ps, inspect: which sandboxes there are, and how they are.
 * Input:  the command line (the user); records and states, checked by sandbox/.
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/health.h"
#include "cli/listing.h"
#include "sandbox/store.h"
#include "vmm/base/cleanup.h"

#define SHOWN_COMMAND 40
#define SHOWN_STATUS  100

struct ps_options {
        struct cli_list filters;
        bool all, quiet, json, whole;
};

static const struct cli_option ps_options[] = {
        { 'a', "all", CLI_FLAG, NULL, offsetof(struct ps_options, all), "those too that do not run" },
        { 'f', "filter", CLI_LIST, "WHAT=VALUE", offsetof(struct ps_options, filters),
          "only those: name=NAME, label=NAME[=VALUE], status=STATE, image=IMAGE, id=ID" },
        { 0, "json", CLI_FLAG, NULL, offsetof(struct ps_options, json), "a JSON list" },
        { 0, "no-trunc", CLI_FLAG, NULL, offsetof(struct ps_options, whole), "whole commands and reasons" },
        { 'q', "quiet", CLI_FLAG, NULL, offsetof(struct ps_options, quiet), "IDs alone" },
        { 0 },
};

struct all {
        struct listing *items;
        size_t nr;
};

static void all_fini(struct all *a)
{
        for (size_t i = 0; i < a->nr; i++)
                listing_fini(&a->items[i]);
        free(a->items);
}

static int newest_first(const void *a, const void *b)
{
        uint64_t at = ((const struct listing *)a)->record.created_ns,
                 bt = ((const struct listing *)b)->record.created_ns;

        return at < bt   ? 1
               : at > bt ? -1
                         : strcmp(((const struct listing *)a)->sandbox.id,
                                  ((const struct listing *)b)->sandbox.id);
}

static int look_at_all(const struct paths *paths, struct all *ret, struct problem *p)
{
        cleanup(freep) struct store_entry *entries = NULL;
        size_t nr = 0;

        store_repair(paths);
        if (store_list(paths, &entries, &nr, p))
                return -1;
        ret->items = calloc(nr + 1, sizeof(*ret->items));
        if (!ret->items)
                return problem_set(p, CLI_FAILED, "out of memory");
        for (size_t i = 0; i < nr; i++) {
                cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;

                if (sandbox_at(paths, entries[i].id, entries[i].temporary, &s, p))
                        return -1;
                listing_fill(&s, &ret->items[ret->nr++]);
        }
        qsort(ret->items, ret->nr, sizeof(*ret->items), newest_first);
        return 0;
}

static bool has_label(const struct record *r, const char *wanted)
{
        for (size_t i = 0; i < r->labels.nr; i++) {
                const char *label = r->labels.items[i];
                size_t len = strlen(wanted);

                if (!strcmp(label, wanted) ||
                    (!strchr(wanted, '=') && !strncmp(label, wanted, len) && label[len] == '='))
                        return true;
        }
        return false;
}

static bool matches(const struct listing *l, const char *filter)
{
        const char *value = strchr(filter, '=') + 1;

        if (!strncmp(filter, "name=", 5))
                return strstr(l->sandbox.name, value);
        if (!strncmp(filter, "id=", 3))
                return !strncmp(l->sandbox.id, value, strlen(value));
        if (!strncmp(filter, "status=", 7))
                return !strcmp(life_state_names[l->status.state], value);
        if (!strncmp(filter, "image=", 6))
                return l->record.image && !strcmp(l->record.image, value);
        return has_label(&l->record, value);
}

static bool is_state(const char *word)
{
        for (size_t i = 0; i < LIFE_STATE_NR; i++)
                if (!strcmp(life_state_names[i], word))
                        return true;
        return false;
}

static int check_filters(const struct ps_options *o, struct problem *p)
{
        static const char *const known[] = { "name=", "label=", "status=", "image=", "id=" };

        for (size_t i = 0; i < o->filters.n; i++) {
                bool found = false;

                for (size_t k = 0; k < array_size(known); k++)
                        found |= !strncmp(o->filters.items[i], known[k], strlen(known[k]));
                if (!found)
                        return problem_set(
                                p, CLI_FAILED,
                                "--filter %.64s: write name=, label=, status=, image= or id= and a value",
                                o->filters.items[i]);
                if (!strncmp(o->filters.items[i], "status=", 7) && !is_state(o->filters.items[i] + 7))
                        return problem_set(
                                p, CLI_FAILED,
                                "--filter %.64s: write created, starting, running, paused, ending, "
                                "exited, failed or killed",
                                o->filters.items[i]);
        }
        return 0;
}

static bool is_wanted(const struct ps_options *o, const struct listing *l)
{
        bool by_status = false;

        for (size_t i = 0; i < o->filters.n; i++) {
                if (!matches(l, o->filters.items[i]))
                        return false;
                by_status |= !strncmp(o->filters.items[i], "status=", 7);
        }
        return o->all || by_status || life_is_alive(&l->status);
}

static int print_table(const struct ps_options *o, const struct all *all, struct problem *p)
{
        static const struct out_column columns[] = { { "ID", false },    { "NAME", false },
                                                     { "IMAGE", false }, { "COMMAND", false },
                                                     { "MEMORY", true }, { "STATUS", false } };
        cleanup(out_table_freep) struct out_table *t = NULL;
        int r = out_table_new(columns, array_size(columns), &t);

        for (size_t i = 0; !r && i < all->nr; i++) {
                const struct listing *l = &all->items[i];
                char command[4096], status[512], size[OUT_WORD];
                int cut = o->whole ? (int)sizeof(command) : SHOWN_COMMAND;

                if (!is_wanted(o, l))
                        continue;
                (void)out_cell(t, "%s", l->sandbox.id);
                (void)out_cell(t, "%s", l->sandbox.name);
                (void)out_cell(t, "%s", l->record.image ? l->record.image : "");
                (void)out_cell(t, "%.*s", cut, listing_command(l, command, sizeof(command)));
                (void)out_cell(t, "%s", l->record.memory_bytes ? out_size(size, l->record.memory_bytes) : "");
                (void)out_cell(t, "%.*s", o->whole ? 511 : SHOWN_STATUS,
                               listing_status(l, status, sizeof(status)));
        }
        if (!r)
                r = out_table_print(t, stdout);
        return r < 0 ? problem_set(p, CLI_FAILED, "cannot print: %s", strerror(-r)) : 0;
}

static void print_plain(const struct ps_options *o, const struct all *all)
{
        struct out_json j = { .to = stdout };

        if (o->json)
                out_json_open(&j, NULL, '[');
        for (size_t i = 0; i < all->nr; i++) {
                if (!is_wanted(o, &all->items[i]))
                        continue;
                if (o->json)
                        listing_json(&all->items[i], &j);
                else
                        puts(all->items[i].sandbox.id);
        }
        if (o->json) {
                out_json_close(&j, ']');
                putchar('\n');
        }
}

static int ps(const struct ps_options *o, struct problem *p)
{
        cleanup(all_fini) struct all all = { 0 };
        struct paths paths;

        if (check_filters(o, p) || paths_find(&paths, p) || look_at_all(&paths, &all, p))
                return -1;
        if (!o->json && !o->quiet)
                return print_table(o, &all, p);
        print_plain(o, &all);
        return 0;
}

static int run_ps(const struct cli_command *command, int argc, char **argv)
{
        struct ps_options o = { 0 };
        struct problem problem = { 0 };
        int rest = 0, r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (!r && rest < argc)
                r = problem_set(&problem, CLI_FAILED, "unexpected '%.64s': to choose some use --filter",
                                argv[rest]);
        if (!r)
                r = ps(&o, &problem);
        free(o.filters.items);
        return r < 0 ? cli_complain(command, &problem) : 0;
}

static int inspect(const char *word, struct out_json *j, struct problem *p)
{
        cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
        struct listing l;

        if (sandbox_find(word, &s, p))
                return -1;
        listing_fill(&s, &l);
        l.agent = health_look(&s, &l.status);
        l.is_asked = true;
        listing_json(&l, j);
        listing_fini(&l);
        return 0;
}

static int run_inspect(const struct cli_command *command, int argc, char **argv)
{
        struct out_json j = { .to = stdout, .indented = true };
        struct problem problem = { 0 };
        int rest = 0, r = cli_parse(command, argc, argv, NULL, &rest, &problem), status = 0;

        if (r > 0)
                return 0;
        if (!r && rest == argc)
                r = problem_set(&problem, CLI_FAILED, "which sandbox? vmlet inspect %s", command->usage);
        if (r)
                return cli_complain(command, &problem);
        out_json_open(&j, NULL, '[');
        for (; rest < argc; rest++) {
                problem = (struct problem){ 0 };
                if (inspect(argv[rest], &j, &problem))
                        status = cli_complain(command, &problem);
        }
        out_json_close(&j, ']');
        putchar('\n');
        return status;
}

const struct cli_command cli_ps = {
        .name = "ps",
        .usage = "[OPTION]...",
        .summary = "List sandboxes",
        .details = "Shows those that run; with -a all.\n",
        .options = ps_options,
        .run = run_ps,
};

static const struct cli_option no_options[] = { { 0 } };

const struct cli_command cli_inspect = {
        .name = "inspect",
        .usage = "SANDBOX...",
        .summary = "Tell all about sandboxes, as JSON",
        .details = "Asks the guest too, and says in \"agent\" how that is: booting, ready, busy, stuck, "
                   "paused or\n"
                   "frozen.\n",
        .options = no_options,
        .run = run_inspect,
};
