/*
 * Folders of sandboxes.
 * Input:  folders of the user's own, in any state.
 * Runs:   any thread of the tool; any number of tools at once.
 * Limits: none of its own.
 */
#include "sandbox/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/disk.h"
#include "sandbox/events.h"
#include "sandbox/life.h"
#include "sandbox/limits.h"
#include "sandbox/lock.h"
#include "sandbox/names.h"
#include "sandbox/network.h"
#include "vmm/base/cleanup.h"

#define FOLDER_MAX (PATHS_MAX + 64)

static void base_of(const struct paths *paths, bool temporary, char ret[FOLDER_MAX])
{
        snprintf(ret, FOLDER_MAX, "%s%s", temporary ? paths->run : paths->data,
                 temporary ? "" : "/sandboxes");
}

/* All that is in it: our folders hold nothing but files. A link is no folder of ours. */
static void remove_folder(const char *path)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        const struct dirent *e;

        if (fd < 0)
                return;
        while (d && (e = readdir(d)))
                if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
                        (void)unlinkat(dirfd(d), e->d_name, 0);
        if (d)
                closedir(d);
        (void)rmdir(path);
}

static int new_id(char ret[SANDBOX_ID_SIZE])
{
        uint8_t bytes[(SANDBOX_ID_SIZE - 1) / 2];

        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                return err_new(-EIO);
        for (size_t i = 0; i < sizeof(bytes); i++)
                snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
        return 0;
}

/* The folders that must be there, made when they are not. */
static int make_base(const struct paths *paths, const struct record *r, struct problem *p)
{
        char path[FOLDER_MAX];

        if (paths_make_private(paths->run, p))
                return -1;
        if (r->temporary && !record_is_beside(r))
                return 0;
        snprintf(path, sizeof(path), "%s/sandboxes/by-name", paths->data);
        return paths_make(path, p);
}

/* @beside: its second folder, to be made for a temporary one, whose disk is in it. */
static int fill(const struct paths *paths, const struct record *r, const char *folder, const char *beside,
                int *ret_lock, struct problem *p)
{
        cleanup(fd_closep) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), lock = -1;
        int e = fd < 0 ? -errno : lock_take(folder, &lock);

        if (e)
                return problem_set(p, SANDBOX_FAILED, "cannot lock the new sandbox in %.300s: %s", folder,
                                   strerror(e < 0 ? -e : EBUSY));
        if (r->temporary && record_is_beside(r) && mkdir(beside, 0700) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot make %.300s: %s", beside, strerror(errno));
        if (record_write(r, fd, !r->temporary, p))
                return -1;
        if (r->network && network_write(fd, r->network, !r->temporary, p))
                return -1;
        if (r->disk_bytes && disk_make(paths, r->temporary ? beside : folder, r->disk_bytes, p))
                return -1;
        if (r->name && names_take(paths, r->name, r->id, p))
                return -1;
        if (!r->temporary && fsync(fd) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot write %.300s: %s", folder, strerror(errno));
        *ret_lock = steal_fd(&lock);
        return 0;
}

static int publish(const char *base, const char *unfinished, const struct sandbox *s, struct problem *p)
{
        cleanup(fd_closep) int fd = -1;

        if (rename(unfinished, s->folder) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot make %.300s: %s", s->folder, strerror(errno));
        if (s->temporary)
                return 0;
        fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot write %.300s: %s", base, strerror(errno));
        return 0;
}

int store_new(const struct paths *paths, struct record *r, struct sandbox *ret, int *ret_lock,
              struct problem *p)
{
        static char id[SANDBOX_ID_SIZE];
        char base[FOLDER_MAX], unfinished[FOLDER_MAX + 32];
        int lock = -1;

        base_of(paths, r->temporary, base);
        if (new_id(id) < 0)
                return problem_set(p, SANDBOX_FAILED, "the host has no random numbers");
        r->id = id;
        snprintf(unfinished, sizeof(unfinished), "%s/.new-%s", base, id);
        if (make_base(paths, r, p))
                return -1;
        if (mkdir(unfinished, 0700) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot make a sandbox in %.300s: %s", base,
                                   strerror(errno));
        if (!sandbox_at(paths, id, r->temporary, ret, p) &&
            !fill(paths, r, unfinished, ret->beside, &lock, p) && !publish(base, unfinished, ret, p)) {
                if (r->name)
                        snprintf(ret->name, sizeof(ret->name), "%s", r->name);
                *ret_lock = lock;
                if (!r->temporary) /* who is told that it starts knows */
                        events_tell(paths, ret, "created", NULL);
                return 0;
        }
        remove_folder(unfinished);
        if (r->name)
                names_drop(paths, id);
        remove_folder(ret->beside);
        fd_closep(&lock);
        return -1;
}

/* It may have been found by its ID. */
static void know_name(struct sandbox *s)
{
        cleanup(record_fini) struct record r = { 0 };
        struct problem ignored = { 0 };

        if (!*s->name && !record_read(s->folder, &r, &ignored) && r.name)
                snprintf(s->name, sizeof(s->name), "%s", r.name);
}

void store_drop(const struct paths *paths, const struct sandbox *s)
{
        char base[FOLDER_MAX], doomed[FOLDER_MAX + 32];
        struct sandbox named = *s;

        if (!s->temporary)
                know_name(&named);
        base_of(paths, s->temporary, base);
        snprintf(doomed, sizeof(doomed), "%s/.del-%s", base, s->id);
        if (rename(s->folder, doomed) < 0)
                return;
        events_tell(paths, &named, "removed", NULL);
        names_drop(paths, s->id);
        remove_folder(s->beside);
        if (!geteuid())
                limits_remove(s);
        remove_folder(doomed);
}

int store_remove(const struct paths *paths, const struct sandbox *s, struct problem *p)
{
        cleanup(fd_closep) int lock = -1;
        int r = lock_take(s->folder, &lock);

        if (r == LOCK_HELD)
                return problem_set(p, SANDBOX_FAILED, "sandbox %s runs: stop it first, or use rm -f", s->id);
        if (r < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot remove sandbox %s: %.300s: %s", s->id,
                                   s->folder, strerror(-r));
        store_drop(paths, s);
        if (!access(s->folder, F_OK))
                return problem_set(p, SANDBOX_FAILED, "cannot remove sandbox %s: %.300s cannot be changed",
                                   s->id, s->folder);
        return 0;
}

static bool is_there(const char *base, const char *prefix, const char *id, const char *file)
{
        char path[FOLDER_MAX + 64];

        snprintf(path, sizeof(path), "%s/%s%.12s%s", base, prefix, id, file);
        return !access(path, F_OK);
}

static bool is_being_made(const char *base, const char *id)
{
        char path[FOLDER_MAX + 32];

        snprintf(path, sizeof(path), "%s/.new-%s", base, id);
        return lock_is_held(path);
}

/* Nobody works on it, and nobody is about to. */
static bool is_left_behind(const char *path)
{
        struct stat st;

        return !lock_is_held(path) && !stat(path, &st) && time(NULL) - st.st_mtime > STORE_NEW_S;
}

/* The second folder of a temporary one, which is all that is seen of it from where `run` is another. */
static bool lives_elsewhere(const char *data, const char *id)
{
        char path[FOLDER_MAX + 32];

        snprintf(path, sizeof(path), "%s/.tmp-%.12s", data, id);
        return !access(path, F_OK) && !is_left_behind(path);
}

bool store_has(const struct paths *paths, const char *id)
{
        char data[FOLDER_MAX];

        base_of(paths, false, data);
        return is_there(data, "", id, "") || is_there(paths->run, "", id, "/config.json") ||
               is_being_made(data, id) || is_being_made(paths->run, id) || lives_elsewhere(data, id);
}

static int list_one(const struct paths *paths, bool temporary, struct store_entry **ret, size_t *ret_nr)
{
        char base[FOLDER_MAX];
        const struct dirent *e;
        int r = 0;
        DIR *d;

        base_of(paths, temporary, base);
        d = opendir(base);
        if (!d)
                return errno == ENOENT ? 0 : err_new(-errno);
        while (!r && (e = readdir(d))) {
                struct store_entry *entries;

                if (!sandbox_is_id(e->d_name) ||
                    (temporary && !is_there(base, "", e->d_name, "/config.json")))
                        continue;
                entries = realloc(*ret, (*ret_nr + 1) * sizeof(*entries));
                if (entries) {
                        *ret = entries;
                        memcpy(entries[*ret_nr].id, e->d_name, SANDBOX_ID_SIZE);
                        entries[(*ret_nr)++].temporary = temporary;
                }
                r = entries ? 0 : err_new(-ENOMEM);
        }
        closedir(d);
        return r;
}

int store_list(const struct paths *paths, struct store_entry **ret, size_t *ret_nr, struct problem *p)
{
        cleanup(freep) struct store_entry *entries = NULL;
        size_t nr = 0;
        int r = list_one(paths, false, &entries, &nr);

        if (!r)
                r = list_one(paths, true, &entries, &nr);
        if (r < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot list the sandboxes of %.300s: %s", paths->data,
                                   strerror(-r));
        *ret = steal_ptr(&entries);
        *ret_nr = nr;
        return 0;
}

/*
 * The sockets' folder of one that was removed, if nobody lives in it: the sandbox may be in a data folder that is not
 * ours. Only who holds the lock removes it, so that it is not being started either.
 */
static void repair_sockets(const char *path)
{
        cleanup(fd_closep) int lock = -1;

        if (!lock_take(path, &lock))
                remove_folder(path);
}

/* A temporary sandbox that has ended, or the sockets' folder of one that was removed. */
static void repair_run(const struct paths *paths, const char *id)
{
        cleanup(fd_closep) int lock = -1;
        struct problem problem = { 0 };
        struct sandbox s;
        char data[FOLDER_MAX];

        base_of(paths, false, data);
        if (!is_there(paths->run, "", id, "/config.json")) {
                char path[FOLDER_MAX + 32];

                snprintf(path, sizeof(path), "%s/%.12s", paths->run, id);
                if (!is_there(data, "", id, ""))
                        repair_sockets(path);
                return;
        }
        /* Who watches it, or waits for its end, comes first. */
        if (!sandbox_at(paths, id, true, &s, &problem) && !lock_is_attended(s.folder)) {
                events_tell_end(paths, &s);
                if (!lock_take(s.folder, &lock) && lock_shut(lock))
                        store_drop(paths, &s);
        }
        sandbox_fini(&s);
}

/* Runs, and its tool was killed before it could start the command that would end it. */
static void repair_orphan(const struct paths *paths, const char *id, bool temporary)
{
        cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
        cleanup(record_fini) struct record r = { 0 };
        cleanup(fd_closep) int monitor = -1;
        struct problem ignored = { 0 };

        if (sandbox_at(paths, id, temporary, &s, &ignored) || !lock_is_orphan(s.folder) ||
            !lock_is_held(s.folder) || record_read(s.folder, &r, &ignored) || !r.args.nr ||
            life_open(&s, &monitor, &ignored))
                return;
        /* The monitor that we have hold of was there before this look: its tool has had the lock or is gone. */
        if (lock_is_orphan(s.folder))
                (void)!life_kill(&s, &ignored);
}

static void tell_end(const struct paths *paths, const char *id)
{
        cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
        struct problem ignored = { 0 };

        if (!sandbox_at(paths, id, false, &s, &ignored))
                events_tell_end(paths, &s);
}

static void repair_base(const struct paths *paths, bool temporary)
{
        char base[FOLDER_MAX], path[FOLDER_MAX + 272];
        const struct dirent *e;
        DIR *d;

        base_of(paths, temporary, base);
        d = opendir(base);
        while (d && (e = readdir(d))) {
                snprintf(path, sizeof(path), "%s/%s", base, e->d_name);
                if (!strncmp(e->d_name, ".del-", 5) ||
                    (!strncmp(e->d_name, ".new-", 5) && is_left_behind(path)) ||
                    (!strncmp(e->d_name, ".tmp-", 5) && is_left_behind(path) &&
                     !store_has(paths, e->d_name + 5)))
                        remove_folder(path);
                if (!sandbox_is_id(e->d_name))
                        continue;
                repair_orphan(paths, e->d_name, temporary);
                if (temporary)
                        repair_run(paths, e->d_name);
                else
                        tell_end(paths, e->d_name);
        }
        if (d)
                closedir(d);
}

void store_repair(const struct paths *paths)
{
        repair_base(paths, false);
        repair_base(paths, true);
        names_drop(paths, NULL);
}
