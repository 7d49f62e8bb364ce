/*
 * vmlet system: what all of it takes on the disk, and making room.
 * Input:  the command line and an answer (the user).
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "sandbox/images.h"
#include "sandbox/lock.h"
#include "sandbox/store.h"
#include "vmm/base/cleanup.h"

struct options {
        bool force, json;
};

static const struct cli_option options[] = {
        { 'f', "force", CLI_FLAG, NULL, offsetof(struct options, force), "prune: do not ask" },
        { 0, "json", CLI_FLAG, NULL, offsetof(struct options, json), "df: as JSON" },
        { 0 },
};

/* How many there are of a kind, how many are needed, what they take, and what pruning would give back. */
struct use {
        const char *name;
        uint64_t nr, active, bytes, reclaimable_bytes;
};

/* What the files of a folder take; with a @prefix, those that begin so. */
static uint64_t measure(const char *folder, const char *prefix, uint64_t *ret_nr)
{
        DIR *d = opendir(folder);
        const struct dirent *e;
        uint64_t bytes = 0;
        struct stat st;

        while (d && (e = readdir(d))) {
                if (strncmp(e->d_name, prefix, strlen(prefix)) ||
                    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                        continue;
                bytes += (uint64_t)st.st_blocks * 512;
                ++*ret_nr;
        }
        if (d)
                closedir(d);
        return bytes;
}

static int measure_sandboxes(const struct paths *paths, struct use *u, struct problem *p)
{
        cleanup(freep) struct store_entry *entries = NULL;
        size_t nr = 0;

        if (store_list(paths, &entries, &nr, p))
                return -1;
        for (size_t i = 0; i < nr; i++) {
                cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
                uint64_t files = 0, bytes;

                if (sandbox_at(paths, entries[i].id, entries[i].temporary, &s, p))
                        return -1;
                bytes = measure(s.folder, "", &files) + measure(s.beside, "", &files);
                u->nr++;
                u->bytes += bytes;
                if (lock_is_held(s.folder))
                        u->active++;
                else
                        u->reclaimable_bytes += bytes;
        }
        return 0;
}

static int measure_images(const struct paths *paths, struct use *u, struct problem *p)
{
        struct images_entry *entries;
        size_t nr;

        if (images_list(paths, &entries, &nr, p))
                return -1;
        for (size_t i = 0; i < nr; i++) {
                u->nr++;
                u->active += !!entries[i].path;
                u->bytes += entries[i].linked || entries[i].built ? 0 : entries[i].disk_bytes;
        }
        images_free(entries, nr);
        return 0;
}

static void measure_templates(const struct paths *paths, struct use *u)
{
        u->bytes = u->reclaimable_bytes = measure(paths->cache, "disk-", &u->nr);
}

static void print_json(const struct use *uses, size_t nr)
{
        struct out_json j = { .to = stdout };

        out_json_open(&j, NULL, '[');
        for (size_t i = 0; i < nr; i++) {
                out_json_open(&j, NULL, '{');
                out_json_text(&j, "kind", uses[i].name);
                out_json_number(&j, "count", uses[i].nr);
                out_json_number(&j, "active", uses[i].active);
                out_json_number(&j, "bytes", uses[i].bytes);
                out_json_number(&j, "reclaimable_bytes", uses[i].reclaimable_bytes);
                out_json_close(&j, '}');
        }
        out_json_close(&j, ']');
        putchar('\n');
}

static int print_table(const struct use *uses, size_t nr, struct problem *p)
{
        static const struct out_column columns[] = {
                { "KIND", false }, { "COUNT", true },       { "ACTIVE", true },
                { "SIZE", true },  { "RECLAIMABLE", true },
        };
        cleanup(out_table_freep) struct out_table *t = NULL;
        int r = out_table_new(columns, array_size(columns), &t);

        for (size_t i = 0; !r && i < nr; i++) {
                char size[OUT_WORD], reclaimable[OUT_WORD];

                (void)out_cell(t, "%s", uses[i].name);
                (void)out_cell(t, "%" PRIu64, uses[i].nr);
                (void)out_cell(t, "%" PRIu64, uses[i].active);
                (void)out_cell(t, "%s", out_size(size, uses[i].bytes));
                (void)out_cell(t, "%s", out_size(reclaimable, uses[i].reclaimable_bytes));
        }
        if (!r)
                r = out_table_print(t, stdout);
        return r < 0 ? problem_set(p, CLI_FAILED, "cannot print: %s", strerror(-r)) : 0;
}

static int df(const struct options *o, const struct paths *paths, struct problem *p)
{
        struct use uses[] = { { .name = "sandboxes" }, { .name = "images" }, { .name = "disk templates" } };

        if (measure_sandboxes(paths, &uses[0], p) || measure_images(paths, &uses[1], p))
                return -1;
        measure_templates(paths, &uses[2]);
        if (!o->json)
                return print_table(uses, array_size(uses), p);
        print_json(uses, array_size(uses));
        return 0;
}

static bool agrees(void)
{
        char answer[16];

        fputs("This removes all sandboxes that do not run, with their disks and logs. Go on? [y/N] ", stderr);
        return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

/* Of the cache: what is made again when it is needed. */
static void remove_templates(const struct paths *paths)
{
        DIR *d = opendir(paths->cache);
        const struct dirent *e;

        while (d && (e = readdir(d)))
                if (!strncmp(e->d_name, "disk-", 5) || !strncmp(e->d_name, "disk.", 5))
                        (void)unlinkat(dirfd(d), e->d_name, 0);
        if (d)
                closedir(d);
}

static int prune(const struct options *o, const struct paths *paths, struct problem *p)
{
        cleanup(freep) struct store_entry *entries = NULL;
        struct use before = { 0 }, templates = { 0 }, after = { 0 };
        char size[OUT_WORD];
        size_t nr = 0;

        if (!o->force && !isatty(0))
                return problem_set(p, CLI_FAILED, "nobody is there to be asked: say --force");
        if (!o->force && !agrees())
                return 0;
        if (measure_sandboxes(paths, &before, p) || store_list(paths, &entries, &nr, p))
                return -1;
        measure_templates(paths, &templates);
        for (size_t i = 0; i < nr; i++) {
                cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
                struct problem running = { 0 };

                if (sandbox_at(paths, entries[i].id, entries[i].temporary, &s, p))
                        return -1;
                /* The tool that watches it is about to, or who waits for its end. */
                if (s.temporary && (lock_is_attended(s.folder) || lock_is_waited(s.folder)))
                        continue;
                if (!store_remove(paths, &s, &running))
                        puts(s.id);
        }
        remove_templates(paths);
        if (measure_sandboxes(paths, &after, p))
                return -1;
        fprintf(stderr, "%s given back\n",
                out_size(size,
                         (before.bytes > after.bytes ? before.bytes - after.bytes : 0) + templates.bytes));
        return 0;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct options o = { 0 };
        struct problem problem = { 0 };
        struct paths paths;
        int at = 0, r = cli_parse(command, argc, argv, &o, &at, &problem);
        const char *word = r || at >= argc ? "" : argv[at];

        if (r > 0)
                return 0;
        if (!r && at + 1 < argc) /* options may follow the word, as docker has it */
                r = cli_parse(command, argc - at, argv + at, &o, &(int){ 0 }, &problem);
        if (!r)
                r = paths_find(&paths, &problem);
        if (r)
                return cli_complain(command, &problem);
        store_repair(&paths);
        images_repair(&paths);
        if (!strcmp(word, "df"))
                r = df(&o, &paths, &problem);
        else if (!strcmp(word, "prune"))
                r = prune(&o, &paths, &problem);
        else
                r = problem_set(&problem, CLI_FAILED, "%s: vmlet system df, or prune",
                                *word ? word : "what?");
        return r ? cli_complain(command, &problem) : 0;
}

const struct cli_command cli_system = {
        .name = "system",
        .usage = "df | prune [OPTION]...",
        .summary = "What sandboxes and images take on the disk, and making room",
        .details = "df shows it. prune removes all sandboxes that do not run, and the templates of their "
                   "disks;\n"
                   "images stay.\n",
        .options = options,
        .run = run,
};
