#pragma once
/*
 * A home of its own for a test of sandboxes: every variable that names a folder leads into a temporary one.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folders_top[64];

static inline void folders_set(const char *variable, const char *below)
{
        char path[512];

        snprintf(path, sizeof(path), "%s/%s", folders_top, below);
        setenv(variable, path, 1);
}

static inline void folders_make(void)
{
        snprintf(folders_top, sizeof(folders_top), "/tmp/vmlet-unit-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folders_top));
        folders_set("HOME", "home");
        folders_set("XDG_DATA_HOME", "data");
        folders_set("XDG_RUNTIME_DIR", "run");
        folders_set("XDG_CACHE_HOME", "cache");
        folders_set("XDG_CONFIG_HOME", "config");
        unsetenv("VMLET_CACHE");
}

static inline int folders_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
        (void)st, (void)kind, (void)ftw;
        return remove(path);
}

static inline void folders_remove(void)
{
        (void)nftw(folders_top, folders_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* Makes a folder below the top, and what is above it. */
static inline void folders_add(const char *below)
{
        char path[512];

        for (const char *c = below; *c; c++)
                if (*c == '/') {
                        snprintf(path, sizeof(path), "%s/%.*s", folders_top, (int)(c - below), below);
                        mkdir(path, 0700);
                }
        snprintf(path, sizeof(path), "%s/%s", folders_top, below);
        ck_assert_int_eq(mkdir(path, 0700), 0);
}

static inline void folders_write(const char *below, const char *text)
{
        char path[512];
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", folders_top, below);
        f = fopen(path, "w");
        ck_assert_ptr_nonnull(f);
        fputs(text, f);
        fclose(f);
}
