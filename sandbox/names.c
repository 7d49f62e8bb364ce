/*
 * Names of sandboxes.
 * Input:  links in a folder of the user's own.
 * Runs:   any thread of the tool.
 * Limits: SANDBOX_NAME_MAX characters a name.
 */
#include "sandbox/names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "sandbox/store.h"
#include "vmm/base/cleanup.h"

/* Return: the locked folder, or negative errno. */
static int open_folder(const struct paths *paths)
{
        char path[PATHS_MAX + 32];
        cleanup(fd_closep) int fd = -1;

        snprintf(path, sizeof(path), "%s/sandboxes/by-name", paths->data);
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX) < 0)
                return err_new(-errno);
        return steal_fd(&fd);
}

/* Return: whether the link is one of ours to a sandbox that is there or being made; its ID in any case. */
static bool leads_somewhere(const struct paths *paths, int folder, const char *name, char id[SANDBOX_ID_SIZE])
{
        char target[SANDBOX_ID_SIZE + 1];
        ssize_t n = readlinkat(folder, name, target, sizeof(target));

        *id = 0;
        if (n != SANDBOX_ID_SIZE - 1)
                return false;
        target[n] = 0;
        if (!sandbox_is_id(target))
                return false;
        memcpy(id, target, SANDBOX_ID_SIZE);
        return store_has(paths, id);
}

int names_take(const struct paths *paths, const char *name, const char *id, struct problem *p)
{
        cleanup(fd_closep) int folder = open_folder(paths);
        char other[SANDBOX_ID_SIZE];

        if (folder < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot open the folder of names in %.300s: %s",
                                   paths->data, strerror(-folder));
        if (!symlinkat(id, folder, name))
                return 0;
        if (errno == EEXIST) {
                if (leads_somewhere(paths, folder, name, other))
                        return problem_set(
                                p, SANDBOX_FAILED,
                                "the name %s is in use by sandbox %s: remove that, or take another name",
                                name, other);
                if (unlinkat(folder, name, 0) == 0 && !symlinkat(id, folder, name))
                        return 0;
        }
        return problem_set(p, SANDBOX_FAILED, "cannot make the name %s: %s", name, strerror(errno));
}

void names_drop(const struct paths *paths, const char *id)
{
        int folder = open_folder(paths);
        char of[SANDBOX_ID_SIZE];
        const struct dirent *e;
        DIR *d = folder >= 0 ? fdopendir(folder) : NULL;

        if (!d) {
                fd_closep(&folder);
                return;
        }
        while ((e = readdir(d))) {
                bool used;

                if (*e->d_name == '.')
                        continue;
                used = leads_somewhere(paths, dirfd(d), e->d_name, of);
                if (id ? !strcmp(of, id) : !used)
                        (void)unlinkat(dirfd(d), e->d_name, 0);
        }
        closedir(d);
}
