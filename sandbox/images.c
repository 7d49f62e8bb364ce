/*
 * Images and kernels of this machine: finding one.
 * Input:  words of the user, files of his own.
 * Runs:   any thread of the tool.
 * Limits: none of its own.
 */
#include "sandbox/images.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/parse.h"

#define NAMES_MAX 256u
/* What image/build-root of the source tree makes is Debian. */
#define BUILT_NAME "debian"
#define PATH_LEN   (PATHS_MAX + 320)

static const char *const kind_names[] = { "image", "kernel" };

int images_program_file(const char *name, char ret[static PATHS_MAX])
{
        ssize_t n = readlink("/proc/self/exe", ret, PATHS_MAX - 1);
        char *slash;

        ret[n > 0 ? n : 0] = 0;
        slash = strrchr(ret, '/');
        if (!slash || (size_t)(slash + 1 - ret) + strlen(name) >= PATHS_MAX)
                return -1;
        memcpy(slash + 1, name, strlen(name) + 1);
        return 0;
}

static int absolute(const char *path, const char *what, char **ret, struct problem *p)
{
        struct stat st;

        *ret = realpath(path, NULL);
        if (!*ret)
                return problem_set(p, SANDBOX_FAILED, "%s '%.300s': %s", what, path,
                                   errno == ENOENT ? "no such file" : strerror(errno));
        if (!stat(*ret, &st) && S_ISDIR(st.st_mode)) {
                freep(ret);
                *ret = NULL;
                return problem_set(p, SANDBOX_FAILED, "%s '%.300s' is a folder; a file is needed", what,
                                   path);
        }
        return 0;
}

/* The newest file of the cache that is called @prefix…@suffix, or in a folder so called: @prefix…/@inside. */
static bool newest(const char *cache, const char *prefix, const char *suffix, const char *inside, char *ret)
{
        DIR *d = opendir(cache);
        const struct dirent *e;
        time_t at = 0;

        while (d && (e = readdir(d))) {
                char path[PATH_LEN];
                size_t len = strlen(e->d_name);
                struct stat st;

                if (strncmp(e->d_name, prefix, strlen(prefix)) || len < strlen(suffix) ||
                    strcmp(e->d_name + len - strlen(suffix), suffix))
                        continue;
                snprintf(path, sizeof(path), "%s/%s%s", cache, e->d_name, inside);
                if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_mtime <= at)
                        continue;
                at = st.st_mtime;
                memcpy(ret, path, sizeof(path));
        }
        if (d)
                closedir(d);
        return at;
}

/* Names with a file of that kind, for words about one that is not there. */
static void suggest(const struct paths *paths, enum images_kind kind, const char *word, struct problem *p)
{
        const char *names[NAMES_MAX + 2], *meant;
        char path[PATH_LEN];
        const struct dirent *e;
        unsigned n = 0;
        DIR *d;

        snprintf(path, sizeof(path), "%s/images", paths->data);
        d = opendir(path);
        while (d && n < NAMES_MAX && (e = readdir(d))) {
                snprintf(path, sizeof(path), "%s/%s", e->d_name, kind_names[kind]);
                if (*e->d_name != '.' && !faccessat(dirfd(d), path, F_OK, 0) &&
                    (names[n] = strdup(e->d_name)))
                        n++;
        }
        if (d)
                closedir(d);
        names[n] = NULL;
        meant = parse_closest(word, names);
        if (meant)
                (void)!problem_set(p, SANDBOX_FAILED, "%s '%.64s' not found; did you mean %s?",
                                   kind_names[kind], word, meant);
        else
                (void)!problem_set(p, SANDBOX_FAILED, "%s '%.64s' not found; vmlet images lists all",
                                   kind_names[kind], word);
        while (n)
                freep(&names[--n]);
}

static int find(const struct paths *paths, enum images_kind kind, const char *word, char **ret,
                struct problem *p)
{
        char path[PATH_LEN];

        if (strchr(word, '/'))
                return absolute(word, kind_names[kind], ret, p);
        if (sandbox_is_name(word)) {
                snprintf(path, sizeof(path), "%s/images/%s/%s", paths->data, word, kind_names[kind]);
                *ret = realpath(path, NULL);
                if (*ret)
                        return 0;
                if (errno != ENOENT && errno != ENOTDIR)
                        return problem_set(p, SANDBOX_FAILED, "%s '%s': %s", kind_names[kind], word,
                                           strerror(errno));
                if (kind == IMAGES_ROOT && !strcmp(word, BUILT_NAME) &&
                    newest(paths->cache, "root-", ".img", "", path))
                        return absolute(path, kind_names[kind], ret, p);
        }
        suggest(paths, kind, word, p);
        return -1;
}

int images_find(const struct paths *paths, const char *word, char **ret, struct problem *p)
{
        return find(paths, IMAGES_ROOT, word, ret, p);
}

int images_find_kernel(const struct paths *paths, const char *word, char **ret, struct problem *p)
{
        const char *told = getenv("VMLET_KERNEL");
        char path[PATH_LEN];
        struct stat st;

        if (word)
                return find(paths, IMAGES_KERNEL, word, ret, p);
        if (told && *told) {
                snprintf(path, sizeof(path), "%.1000s", told);
                if (!stat(path, &st) && S_ISDIR(st.st_mode))
                        snprintf(path, sizeof(path), "%.1000s/vmlinux", told);
                return absolute(path, "VMLET_KERNEL", ret, p);
        }
        if (!images_program_file("../libexec/vmlet/vmlinux", path) && (*ret = realpath(path, NULL)))
                return 0;
        if (newest(paths->cache, "kernel-", "", "/vmlinux", path))
                return absolute(path, "kernel", ret, p);
        return problem_set(
                p, SANDBOX_FAILED,
                "no guest kernel: build it (kernel-config/build of the source tree), or name one with "
                "--kernel or VMLET_KERNEL");
}
