/*
 * vmlet images: root file systems and kernels of this machine.
 * Input:  the command line (the user).
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "sandbox/images.h"
#include "vmm/base/cleanup.h"

struct options {
        bool json, quiet, kernel, link, force;
};

static const struct cli_option options[] = {
        { 'f', "force", CLI_FLAG, NULL, offsetof(struct options, force),
          "rm: even if a sandbox was made from it" },
        { 0, "json", CLI_FLAG, NULL, offsetof(struct options, json), "ls: a JSON list" },
        { 0, "kernel", CLI_FLAG, NULL, offsetof(struct options, kernel), "add: it is a guest kernel" },
        { 0, "link", CLI_FLAG, NULL, offsetof(struct options, link), "add: keep its path instead of a copy" },
        { 'q', "quiet", CLI_FLAG, NULL, offsetof(struct options, quiet), "ls: names alone" },
        { 0 },
};

static const char *kind_of(const struct images_entry *e)
{
        return e->kind == IMAGES_KERNEL ? "kernel" : "image";
}

static void print_json(const struct images_entry *entries, size_t nr)
{
        struct out_json j = { .to = stdout };

        out_json_open(&j, NULL, '[');
        for (size_t i = 0; i < nr; i++) {
                char time[OUT_WORD];

                out_json_open(&j, NULL, '{');
                out_json_text(&j, "name", entries[i].name);
                out_json_text(&j, "kind", kind_of(&entries[i]));
                out_json_text(&j, "path", entries[i].path);
                out_json_number(&j, "size_bytes", entries[i].size_bytes);
                out_json_number(&j, "disk_bytes", entries[i].disk_bytes);
                out_json_text(&j, "changed", out_time(time, entries[i].changed_ns));
                out_json_bool(&j, "linked", entries[i].linked);
                out_json_bool(&j, "built", entries[i].built);
                out_json_close(&j, '}');
        }
        out_json_close(&j, ']');
        putchar('\n');
}

static int print_table(const struct images_entry *entries, size_t nr, struct problem *p)
{
        static const struct out_column columns[] = {
                { "NAME", false }, { "KIND", false }, { "SIZE", true }, { "ON DISK", true }, { "FILE", false }
        };
        cleanup(out_table_freep) struct out_table *t = NULL;
        int r = out_table_new(columns, array_size(columns), &t);

        for (size_t i = 0; !r && i < nr; i++) {
                char size[OUT_WORD], disk[OUT_WORD];

                (void)out_cell(t, "%s", entries[i].name);
                (void)out_cell(t, "%s", kind_of(&entries[i]));
                (void)out_cell(t, "%s", out_size(size, entries[i].size_bytes));
                (void)out_cell(t, "%s", out_size(disk, entries[i].disk_bytes));
                (void)out_cell(t, "%s", entries[i].path ? entries[i].path : "gone");
        }
        if (!r)
                r = out_table_print(t, stdout);
        return r < 0 ? problem_set(p, CLI_FAILED, "cannot print: %s", strerror(-r)) : 0;
}

static int list(const struct options *o, const struct paths *paths, struct problem *p)
{
        struct images_entry *entries;
        size_t nr;
        int r = 0;

        if (images_list(paths, &entries, &nr, p))
                return -1;
        if (o->json)
                print_json(entries, nr);
        else if (!o->quiet)
                r = print_table(entries, nr, p);
        for (size_t i = 0; o->quiet && !o->json && i < nr; i++)
                puts(entries[i].name);
        images_free(entries, nr);
        return r;
}

static int act(const struct options *o, int nr, char **words, struct problem *p)
{
        struct paths paths;

        if (paths_find(&paths, p))
                return -1;
        images_repair(&paths);
        if (!nr || (nr == 1 && !strcmp(words[0], "ls")))
                return list(o, &paths, p);
        if (nr == 3 && !strcmp(words[0], "add"))
                return images_add(&paths, o->kernel ? IMAGES_KERNEL : IMAGES_ROOT, words[1], words[2],
                                  o->link, p);
        if (nr < 2 || strcmp(words[0], "rm"))
                return problem_set(p, CLI_FAILED, "%.64s: vmlet images ls, add NAME FILE, or rm NAME...",
                                   words[0]);
        for (int i = 1; i < nr; i++)
                if (images_remove(&paths, words[i], o->force, p))
                        return -1;
        return 0;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct options o = { 0 };
        struct problem problem = { 0 };
        int rest = 0, r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (r > 0)
                return 0;
        if (!r)
                r = act(&o, argc - rest, argv + rest, &problem);
        return r ? cli_complain(command, &problem) : 0;
}

const struct cli_command cli_images = {
        .name = "images",
        .usage = "[OPTION]... [ls | add NAME FILE | rm NAME...]",
        .summary = "Root file systems and kernels of this machine",
        .details = "An image is a file with a file system (ext4, erofs, squashfs). The name debian stands "
                   "for the\n"
                   "newest one that image/build-root has made, unless one of that name was added.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet images add python rootfs.img\n"
                   "  vmlet images --kernel add mine vmlinux\n"
                   "  vmlet images rm python\n",
        .options = options,
        .run = run,
};
