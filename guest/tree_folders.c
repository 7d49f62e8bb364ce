/*
 * Names of a stream, and the folders they lead to: the wall around the root.
 * Input:  names (hostile).
 * Runs:   worker child of the agent; the host's thread that receives a tree.
 * Limits: WALK_PATH_MAX characters.
 *
 * No name keeps ".." or a slash in front; folders are opened with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS, or
 * where the kernel lacks that, name by name with O_NOFOLLOW; and the last name is only ever made, linked,
 * renamed or removed, never opened if it is there.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/tree_priv.h"

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#define BENEATH_NO_LINKS 0x0eu /* RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS */

static int append_name(char *out, size_t *len, struct tar_text name)
{
        const char *at = name.s, *end = name.len ? name.s + name.len : at;

        while (at < end) {
                const char *slash = memchr(at, '/', (size_t)(end - at));
                size_t n = (size_t)((slash ? slash : end) - at);

                if (n == 2 && at[0] == '.' && at[1] == '.')
                        return TREE_E_NAME;
                if (memchr(at, 0, n) || n + 1 > WALK_PATH_MAX - *len)
                        return TREE_E_NAME;
                if (n && !(n == 1 && *at == '.')) {
                        if (*len)
                                out[(*len)++] = '/';
                        memcpy(out + *len, at, n);
                        *len += n;
                }
                at += n + 1;
        }
        return 0;
}

int tree_set_name(char *out, struct tar_text prefix, struct tar_text name)
{
        size_t len = 0;
        int r = append_name(out, &len, prefix);

        if (!r)
                r = append_name(out, &len, name);
        out[len] = 0;
        return r;
}

/* Name by name from the root. @make: what is missing. */
static int walk_down(const struct tree_unpack *u, const char *path, size_t len, int flags, bool make)
{
        char name[256];
        int at = openat(u->root, ".", flags), next;

        if (at < 0)
                return -errno;
        for (size_t start = 0; at >= 0 && start < len; at = next) {
                const char *slash = memchr(path + start, '/', len - start);
                size_t n = slash ? (size_t)(slash - path) - start : len - start;

                next = -ENAMETOOLONG;
                if (n < sizeof(name)) {
                        memcpy(name, path + start, n);
                        name[n] = 0;
                        next = make && mkdirat(at, name, 0755) && errno != EEXIST ? -errno : 0;
                        if (!next && (next = openat(at, name, flags)) < 0)
                                next = -errno;
                }
                close(at);
                start += n + 1;
        }
        return at;
}

int tree_open_folder(const struct tree_unpack *u, const char *path, size_t len, int flags)
{
        struct {
                uint64_t flags, mode, resolve;
        } how = { 0, 0, BENEATH_NO_LINKS };
        static char name[4096];
        long fd;

        flags |= O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
        how.flags = (uint64_t)flags;
        if (len >= sizeof(name))
                return walk_down(u, path, len, flags, false);
        memcpy(name, path, len);
        memcpy(name + len, len ? "" : ".", len ? 1 : 2);
        fd = syscall(SYS_openat2, u->root, name, &how, sizeof(how));
        if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EAGAIN))
                return walk_down(u, path, len, flags, false);
        return fd < 0 ? -errno : (int)fd;
}

void tree_forget_parent(struct tree_unpack *u)
{
        if (u->parent >= 0)
                close(u->parent);
        u->parent = -1;
}

int tree_parent(struct tree_unpack *u, const char **ret_name)
{
        const char *slash = strrchr(u->path, '/');
        size_t len = slash ? (size_t)(slash - u->path) : 0;
        struct stat st;
        int fd;

        *ret_name = slash ? slash + 1 : u->path;
        if (u->parent >= 0 && strlen(u->parent_path) == len && !memcmp(u->parent_path, u->path, len))
                return u->parent;
        tree_forget_parent(u);
        fd = tree_open_folder(u, u->path, len, O_PATH);
        if (fd == -ENOENT)
                fd = walk_down(u, u->path, len, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, true);
        if (fd < 0)
                return fd;
        u->parent_gives_group = !fstat(fd, &st) && st.st_mode & S_ISGID;
        u->parent = fd;
        memcpy(u->parent_path, u->path, len);
        u->parent_path[len] = 0;
        return fd;
}
