/*
 * Images and kernels of this machine: listing, adding, removing.
 * Input:  words of the user, files of his own.
 * Runs:   any thread of the tool; any number of tools at once.
 * Limits: none of its own.
 *
 * As with sandboxes: an image is filled beside as `.new-…` and renamed when it is whole.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/disk.h"
#include "sandbox/images.h"
#include "sandbox/record.h"
#include "sandbox/store.h"
#include "vmm/base/cleanup.h"

#define PATH_LEN (PATHS_MAX + 320)

static const char *const kind_names[] = { "image", "kernel" };

void images_free(struct images_entry *entries, size_t nr)
{
        for (size_t i = 0; i < nr; i++)
                free(entries[i].path);
        free(entries);
}

/* Sizes and times of what is at @path. */
static void measure(struct images_entry *e, const char *path)
{
        struct stat st;

        e->path = realpath(path, NULL);
        if (!e->path || stat(path, &st) < 0)
                return;
        e->size_bytes = (uint64_t)st.st_size;
        e->disk_bytes = (uint64_t)st.st_blocks * 512;
        e->changed_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
}

static int append(struct images_entry **list, size_t *nr, const struct images_entry *e)
{
        struct images_entry *more = realloc(*list, (*nr + 1) * sizeof(*more));

        if (!more) {
                free(e->path);
                return err_new(-ENOMEM);
        }
        *list = more;
        more[(*nr)++] = *e;
        return 0;
}

static int list_added(const struct paths *paths, struct images_entry **list, size_t *nr)
{
        char folder[PATH_LEN], path[PATH_LEN + 320];
        const struct dirent *d;
        int r = 0;
        DIR *dir;

        snprintf(folder, sizeof(folder), "%s/images", paths->data);
        dir = opendir(folder);
        while (dir && !r && (d = readdir(dir))) {
                for (int kind = IMAGES_ROOT; sandbox_is_name(d->d_name) && !r && kind <= IMAGES_KERNEL;
                     kind++) {
                        struct images_entry e = { .kind = (enum images_kind)kind };
                        struct stat st;

                        snprintf(path, sizeof(path), "%s/%s/%s", folder, d->d_name, kind_names[kind]);
                        if (lstat(path, &st) < 0)
                                continue;
                        snprintf(e.name, sizeof(e.name), "%.63s", d->d_name);
                        e.linked = S_ISLNK(st.st_mode);
                        measure(&e, path);
                        r = append(list, nr, &e);
                }
        }
        if (dir)
                closedir(dir);
        return r;
}

/* What is found by itself, under the name that finds it. */
static int list_built(const struct paths *paths, struct images_entry **list, size_t *nr)
{
        struct images_entry image = { .name = "debian", .kind = IMAGES_ROOT, .built = true };
        struct images_entry kernel = { .name = "(default)", .kind = IMAGES_KERNEL, .built = true };
        cleanup(freep) char *image_path = NULL, *kernel_path = NULL;
        struct problem ignored = { 0 };
        int r = 0;

        for (size_t i = 0; i < *nr; i++)
                if ((*list)[i].kind == IMAGES_ROOT && !strcmp((*list)[i].name, image.name))
                        image.built = false; /* one was added under that name */
        if (image.built && !images_find(paths, image.name, &image_path, &ignored)) {
                measure(&image, image_path);
                r = append(list, nr, &image);
        }
        if (!r && !images_find_kernel(paths, NULL, &kernel_path, &ignored)) {
                measure(&kernel, kernel_path);
                r = append(list, nr, &kernel);
        }
        return r;
}

int images_list(const struct paths *paths, struct images_entry **ret, size_t *ret_nr, struct problem *p)
{
        struct images_entry *list = NULL;
        size_t nr = 0;

        if (list_added(paths, &list, &nr) || list_built(paths, &list, &nr)) {
                images_free(list, nr);
                return problem_set(p, SANDBOX_FAILED, "out of memory");
        }
        *ret = list;
        *ret_nr = nr;
        return 0;
}

static int check_file(const char *path, enum images_kind kind, struct problem *p)
{
        struct stat st;

        if (stat(path, &st) < 0)
                return problem_set(p, SANDBOX_FAILED, "%.300s: %s", path, strerror(errno));
        if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
                return problem_set(p, SANDBOX_FAILED, "%.300s is no file: an %s is a file", path,
                                   kind_names[kind]);
        if (S_ISREG(st.st_mode) && (!st.st_size || (kind == IMAGES_ROOT && st.st_size % 512)))
                return problem_set(
                        p, SANDBOX_FAILED,
                        "%.300s has %lld bytes: an image is a raw file system, of whole sectors of 512", path,
                        (long long)st.st_size);
        return 0;
}

/* Return: 0 or negative errno. */
static int fill(const char *folder, enum images_kind kind, const char *from, bool link)
{
        char to[PATH_LEN + 16];

        snprintf(to, sizeof(to), "%s/%s", folder, kind_names[kind]);
        if (link)
                return symlink(from, to) < 0 ? -errno : 0;
        return disk_copy(from, to);
}

static void drop(const char *folder)
{
        char path[PATH_LEN + 340];

        for (int kind = IMAGES_ROOT; kind <= IMAGES_KERNEL; kind++) {
                snprintf(path, sizeof(path), "%s/%s", folder, kind_names[kind]);
                (void)unlink(path);
        }
        (void)rmdir(folder);
}

/* Return: the folder of all images with a lock on it (LOCK_SH, or LOCK_EX | LOCK_NB), or negative errno. */
static int lock_all(const struct paths *paths, int how)
{
        char all[PATH_LEN];
        cleanup(fd_closep) int fd = -1;

        snprintf(all, sizeof(all), "%s/images", paths->data);
        fd = open(all, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, how) < 0)
                return err_new(-errno);
        return steal_fd(&fd);
}

void images_repair(const struct paths *paths)
{
        cleanup(fd_closep) int lock = lock_all(paths, LOCK_EX | LOCK_NB);
        char all[PATH_LEN], path[PATH_LEN + 320];
        const struct dirent *e;
        DIR *d;

        if (lock < 0)
                return;
        snprintf(all, sizeof(all), "%s/images", paths->data);
        d = opendir(all);
        while (d && (e = readdir(d))) {
                if (strncmp(e->d_name, ".new-", 5) && strncmp(e->d_name, ".del-", 5))
                        continue;
                snprintf(path, sizeof(path), "%s/%s", all, e->d_name);
                drop(path);
        }
        if (d)
                closedir(d);
}

int images_add(const struct paths *paths, enum images_kind kind, const char *name, const char *from,
               bool link, struct problem *p)
{
        char all[PATH_LEN], unfinished[PATH_LEN], whole[PATH_LEN];
        cleanup(freep) char *source = NULL;
        cleanup(fd_closep) int lock = -1;
        int r;

        if (!sandbox_is_name(name))
                return problem_set(p, SANDBOX_FAILED,
                                   "'%.64s' cannot be a name: letters, digits, '_', '.' and '-'", name);
        if (check_file(from, kind, p) || !(source = realpath(from, NULL)))
                return problem_set(p, SANDBOX_FAILED, "%.300s: %s", from, strerror(errno));
        snprintf(all, sizeof(all), "%s/images", paths->data);
        snprintf(unfinished, sizeof(unfinished), "%.1060s/.new-XXXXXX", all);
        snprintf(whole, sizeof(whole), "%.1060s/%s", all, name);
        if (paths_make(all, p))
                return -1;
        lock = lock_all(paths, LOCK_SH);
        if (!mkdtemp(unfinished))
                return problem_set(p, SANDBOX_FAILED, "cannot make a folder in %.300s: %s", all,
                                   strerror(errno));
        r = fill(unfinished, kind, source, link);
        if (!r && rename(unfinished, whole) < 0)
                r = -errno;
        if (!r)
                return 0;
        drop(unfinished);
        if (r == -ENOTEMPTY || r == -EEXIST)
                return problem_set(p, SANDBOX_FAILED, "%s is there already: vmlet images rm %s", name, name);
        return problem_set(p, SANDBOX_FAILED, "cannot add %.300s: %s", from, strerror(-r));
}

/* Return: 0, or -1 with @p when a sandbox was made from it. */
static int check_unused(const struct paths *paths, const char *folder, const char *name, struct problem *p)
{
        cleanup(freep) struct store_entry *entries = NULL;
        size_t nr = 0, len = strlen(folder);

        if (store_list(paths, &entries, &nr, p))
                return -1;
        for (size_t i = 0; i < nr; i++) {
                cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
                cleanup(record_fini) struct record r = { 0 };
                struct problem ignored = { 0 };

                if (sandbox_at(paths, entries[i].id, entries[i].temporary, &s, p))
                        return -1;
                if (record_read(s.folder, &r, &ignored))
                        continue;
                if ((!strncmp(r.image_path, folder, len) && r.image_path[len] == '/') ||
                    (!strncmp(r.kernel, folder, len) && r.kernel[len] == '/'))
                        return problem_set(p, SANDBOX_FAILED,
                                           "%s: sandbox %s was made from it; --force removes it", name, s.id);
        }
        return 0;
}

int images_remove(const struct paths *paths, const char *name, bool force, struct problem *p)
{
        char folder[PATH_LEN], doomed[PATH_LEN];
        cleanup(freep) char *real = NULL;
        cleanup(fd_closep) int lock = -1;

        if (!sandbox_is_name(name))
                return problem_set(p, SANDBOX_FAILED, "image '%.64s' not found; vmlet images lists all",
                                   name);
        snprintf(folder, sizeof(folder), "%s/images/%s", paths->data, name);
        snprintf(doomed, sizeof(doomed), "%s/images/.del-XXXXXX", paths->data);
        lock = lock_all(paths, LOCK_SH);
        real = realpath(folder, NULL);
        if (!real)
                return problem_set(p, SANDBOX_FAILED,
                                   "image '%.64s' was not added here; vmlet images lists all", name);
        if (!force && check_unused(paths, real, name, p))
                return -1;
        /* Over an empty folder of a name that nobody else has. */
        if (!mkdtemp(doomed) || rename(folder, doomed) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot remove %.300s: %s", folder, strerror(errno));
        drop(doomed);
        return 0;
}
