/*
 * Where things are kept.
 * Input:  the environment (the user); what lies in /tmp and /run (anybody).
 * Runs:   any thread of the tool.
 * Limits: PATHS_MAX characters a path.
 */
#include "sandbox/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *absolute(const char *variable)
{
        const char *value = getenv(variable);

        return value && *value == '/' ? value : NULL;
}

static int join(char *ret, const char *folder, const char *rest, struct problem *p)
{
        if (snprintf(ret, PATHS_MAX, "%s%s", folder, rest) < (int)PATHS_MAX)
                return 0;
        return problem_set(p, PATHS_FAILED, "a path of more than %u characters: %.64s…", PATHS_MAX - 1,
                           folder);
}

struct place {
        const char *variable, *in_home, *of_root; /* of_root NULL: as for everybody */
};

static int find_place(const struct place *place, char *ret, struct problem *p)
{
        const char *value = absolute(place->variable), *home = absolute("HOME");

        if (value)
                return join(ret, value, "/vmlet", p);
        if (place->of_root && !geteuid())
                return join(ret, place->of_root, "", p);
        if (!home)
                return problem_set(p, PATHS_FAILED, "neither %s nor HOME is set to an absolute path: set one",
                                   place->variable);
        return join(ret, home, place->in_home, p);
}

static int find_run(char *ret, struct problem *p)
{
        const char *value = absolute("XDG_RUNTIME_DIR");
        char folder[64];
        struct stat st;

        if (value)
                return join(ret, value, "/vmlet", p);
        if (!geteuid())
                return join(ret, "/run/vmlet", "", p);
        snprintf(folder, sizeof(folder), "/run/user/%u", (unsigned)geteuid());
        if (!lstat(folder, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
                return join(ret, folder, "/vmlet", p);
        snprintf(folder, sizeof(folder), "/tmp/vmlet-%u", (unsigned)geteuid());
        return join(ret, folder, "", p);
}

static int cannot_make(const char *path, struct problem *p)
{
        return problem_set(p, PATHS_FAILED, "cannot make the folder %s: %s", path, strerror(errno));
}

static int make_with_parents(const char *path, struct problem *p)
{
        char above[PATHS_MAX + 256];
        char *slash;

        if (!mkdir(path, 0700) || errno == EEXIST)
                return 0;
        if (errno != ENOENT || snprintf(above, sizeof(above), "%s", path) >= (int)sizeof(above))
                return cannot_make(path, p);
        slash = strrchr(above, '/');
        if (!slash || slash == above)
                return cannot_make(path, p);
        *slash = 0;
        if (make_with_parents(above, p))
                return -1;
        return !mkdir(path, 0700) || errno == EEXIST ? 0 : cannot_make(path, p);
}

static int check(const char *path, const struct stat *st, struct problem *p)
{
        if (!S_ISDIR(st->st_mode))
                return problem_set(p, PATHS_FAILED, "%s is not a folder: move it away", path);
        if (st->st_uid != geteuid())
                return problem_set(p, PATHS_FAILED, "%s belongs to user %u, not to you: it cannot be trusted",
                                   path, (unsigned)st->st_uid);
        return 0;
}

static int check_private(const char *path, const struct stat *st, struct problem *p)
{
        if (check(path, st, p))
                return -1;
        if (st->st_mode & 077)
                return problem_set(p, PATHS_FAILED, "%s can be entered by others: chmod 700 %s", path, path);
        return 0;
}

static int check_run(const char *path, struct problem *p)
{
        struct stat st;

        return lstat(path, &st) < 0 ? 0 : check_private(path, &st, p);
}

int paths_find(struct paths *ret, struct problem *p)
{
        static const struct place data = { "XDG_DATA_HOME", "/.local/share/vmlet", "/var/lib/vmlet" };
        static const struct place config = { "XDG_CONFIG_HOME", "/.config/vmlet", "/etc/vmlet" };
        static const struct place cache = { "XDG_CACHE_HOME", "/.cache/vmlet", NULL };
        const char *own_cache = absolute("VMLET_CACHE");

        if (find_place(&data, ret->data, p) || find_place(&config, ret->config, p) || find_run(ret->run, p))
                return -1;
        /* Whoever could make it before us, or change it, could have us remove and trust what he likes. */
        if (check_run(ret->run, p))
                return -1;
        return own_cache ? join(ret->cache, own_cache, "", p) : find_place(&cache, ret->cache, p);
}

int paths_make(const char *path, struct problem *p)
{
        struct stat st;

        if (stat(path, &st) < 0 &&
            (make_with_parents(path, p) || (stat(path, &st) < 0 && cannot_make(path, p))))
                return -1;
        return check(path, &st, p);
}

int paths_make_private(const char *path, struct problem *p)
{
        struct stat st;

        if (lstat(path, &st) < 0 &&
            (make_with_parents(path, p) || (lstat(path, &st) < 0 && cannot_make(path, p))))
                return -1;
        return check_private(path, &st, p);
}
