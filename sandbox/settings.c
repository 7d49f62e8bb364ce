/*
 * The user's settings and total limits.
 * Input:  config.toml (the user); records of sandboxes, possibly damaged.
 * Runs:   any thread of the tool.
 * Limits: FILE_MAX bytes of settings.
 */
#include "sandbox/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/lock.h"
#include "sandbox/store.h"
#include "vmm/base/io.h"

#define FILE_MAX (64u << 10)

int settings_read(const struct paths *paths, struct settings *ret, struct problem *p)
{
        char path[PATHS_MAX + 32];
        cleanup(freep) char *text = NULL;
        unsigned line;
        int r;

        *ret = (struct settings){ 0 };
        snprintf(path, sizeof(path), "%s/config.toml", paths->config);
        r = io_read_file(path, FILE_MAX, &text);
        if (r == -ENOENT || r == -ENOTDIR)
                return 0;
        if (r < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot read %.300s: %s", path, strerror(-r));
        r = settings_parse(text, strlen(text), ret, &line);
        if (r)
                return problem_set(p, SANDBOX_FAILED, "%.300s:%u: %s", path, line, settings_strerror(r));
        return 0;
}

struct total {
        uint64_t sandboxes, memory_bytes, disk_bytes;
};

/* Of all others: what runs, and what disks there are. A damaged one counts as far as it can be read. */
static int count_others(const struct paths *paths, const char *id, struct total *ret, struct problem *p)
{
        cleanup(freep) struct store_entry *entries = NULL;
        size_t nr = 0;

        *ret = (struct total){ 0 };
        if (store_list(paths, &entries, &nr, p))
                return -1;
        for (size_t i = 0; i < nr; i++) {
                cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
                cleanup(record_fini) struct record r = { 0 };
                struct problem ignored = { 0 };
                bool known;

                if (!strcmp(entries[i].id, id))
                        continue;
                if (sandbox_at(paths, entries[i].id, entries[i].temporary, &s, p))
                        return -1;
                known = !record_read(s.folder, &r, &ignored);
                if (known)
                        ret->disk_bytes += r.disk_bytes;
                if (!lock_is_held(s.folder))
                        continue;
                ret->sandboxes++;
                ret->memory_bytes += known ? r.memory_bytes : 0;
        }
        return 0;
}

static bool fits_sandboxes(const struct settings *s, const struct total *others)
{
        return !s->max_sandboxes || others->sandboxes < s->max_sandboxes;
}

static bool fits_memory(const struct settings *s, const struct total *others, const struct record *r)
{
        return !s->max_memory_bytes || others->memory_bytes + r->memory_bytes <= s->max_memory_bytes;
}

static bool fits_disk(const struct settings *s, const struct total *others, const struct record *r)
{
        return !s->max_disk_bytes || others->disk_bytes + r->disk_bytes <= s->max_disk_bytes;
}

/* Nothing is refused for what a tool that was killed left behind: that is put in order first. */
static int repair_and_count(const struct paths *paths, const char *id, struct total *ret, struct problem *p)
{
        store_repair(paths);
        return count_others(paths, id, ret, p);
}

int settings_allow_start(const struct paths *paths, const struct record *r, struct problem *p)
{
        struct settings settings;
        struct total others;

        if (settings_read(paths, &settings, p))
                return -1;
        if (!settings.max_sandboxes && !settings.max_memory_bytes)
                return 0;
        if (count_others(paths, r->id, &others, p))
                return -1;
        if (fits_sandboxes(&settings, &others) && fits_memory(&settings, &others, r))
                return 0;
        if (repair_and_count(paths, r->id, &others, p))
                return -1;
        if (!fits_sandboxes(&settings, &others))
                return problem_set(p, SANDBOX_FAILED,
                                   "%" PRIu64
                                   " sandboxes run, as many as %.200s/config.toml allows: stop one",
                                   others.sandboxes, paths->config);
        if (!fits_memory(&settings, &others, r))
                return problem_set(p, SANDBOX_FAILED,
                                   "its %" PRIu64 " MiB of memory and the %" PRIu64
                                   " MiB of those that run are more than "
                                   "the %" PRIu64 " MiB that %.200s/config.toml allows",
                                   r->memory_bytes >> 20, others.memory_bytes >> 20,
                                   settings.max_memory_bytes >> 20, paths->config);
        return 0;
}

int settings_allow_disk(const struct paths *paths, const struct record *r, struct problem *p)
{
        struct settings settings;
        struct total others;

        if (!r->disk_bytes)
                return 0;
        if (settings_read(paths, &settings, p))
                return -1;
        if (!settings.max_disk_bytes)
                return 0;
        if (count_others(paths, r->id, &others, p))
                return -1;
        if (fits_disk(&settings, &others, r))
                return 0;
        if (repair_and_count(paths, r->id, &others, p))
                return -1;
        if (fits_disk(&settings, &others, r))
                return 0;
        return problem_set(
                p, SANDBOX_FAILED,
                "its disk of %" PRIu64 " MiB and the %" PRIu64 " MiB of other disks are more than the "
                "%" PRIu64 " MiB that %.200s/config.toml allows",
                r->disk_bytes >> 20, others.disk_bytes >> 20, settings.max_disk_bytes >> 20, paths->config);
}
