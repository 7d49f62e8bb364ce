/*
 * Trees: depth first, one descriptor a level near the top, one in all below.
 * Input:  folders (hostile: any shape, changing).
 * Runs:   worker child of the agent; the host's thread that packs.
 * Limits: WALK_DEPTH_MAX levels, WALK_PATH_MAX characters, WALK_FDS + 2 descriptors.
 */
#include "guest/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHUNK_MIN 1024u

/* What getdents64() gives; not every libc says it the same way. */
struct record {
        uint64_t ino;
        int64_t offset;
        uint16_t size;
        uint8_t type;
        char name[];
};
enum { RECORD_UNKNOWN = 0, RECORD_DIR = 4, RECORD_FILE = 8 }; /* DT_ */

static int tell(struct walk *w, enum walk_event event, int fd, int error)
{
        struct walk_level *parent = w->depth ? &w->levels[w->depth - 1] : NULL;
        struct walk_entry e = {
                .dir = parent ? parent->fd : w->top_dir,
                .name = parent ? w->path + parent->path_len + (parent->path_len > 0) : w->top_name,
                .path = w->path,
                .depth = w->depth,
                .fd = fd,
                .is_file = w->is_file,
                .error = error,
        };

        return w->fn(w->ctx, event, &e);
}

/* Opens and tells a folder. Return: 1 if it is the new level, 0 if not, or as a walk_fn. */
static int enter(struct walk *w, int dir, const char *name, bool follow)
{
        struct stat st;
        int fd = openat(dir, name,
                        O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));

        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 && (errno == ENOTDIR || errno == ELOOP)) /* it was replaced since it was listed */
                return tell(w, WALK_FILE, -1, 0);
        if (fd < 0)
                return tell(w, WALK_DENIED, -1, -errno);

        int r = w->depth < WALK_DEPTH_MAX ? tell(w, WALK_ENTER, fd, 0)
                                          : tell(w, WALK_DENIED, -1, -ENAMETOOLONG);

        if (!r && w->depth < WALK_DEPTH_MAX && fstat(fd, &st))
                r = -errno;
        if (r || w->depth == WALK_DEPTH_MAX) {
                close(fd);
                return r == WALK_SKIP ? 0 : r;
        }

        struct walk_level *level = &w->levels[w->depth];

        *level = (struct walk_level){
                .dev = st.st_dev, .ino = st.st_ino, .fd = fd, .path_len = (uint32_t)strlen(w->path)
        };
        if (w->depth > WALK_FDS) {
                close(level[-1].fd);
                level[-1].fd = -1;
        }
        w->depth++;
        w->chunk = sizeof(w->entries);
        return 1;
}

/* The parent's descriptor, which may have been closed; only the very same folder will do. */
static int reopen_parent(const struct walk_level *level, struct walk_level *parent)
{
        struct stat st;

        if (parent->fd >= 0)
                return 0;
        parent->fd = openat(level->fd, "..", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (parent->fd < 0 || fstat(parent->fd, &st))
                return -errno;
        return st.st_dev == parent->dev && st.st_ino == parent->ino ? 0 : -ESTALE;
}

static int leave(struct walk *w)
{
        struct walk_level *level = &w->levels[w->depth - 1], *parent = w->depth > 1 ? level - 1 : NULL;
        int r = parent ? reopen_parent(level, parent) : 0;

        w->depth--;
        if (!r)
                r = tell(w, WALK_LEAVE, level->fd, 0);
        close(level->fd);
        if (r || !parent)
                return r;
        w->path[parent->path_len] = 0;
        w->chunk = CHUNK_MIN;
        return lseek(parent->fd, parent->offset, SEEK_SET) < 0 ? -errno : 0;
}

/* One entry of the folder. Return: 1 if it was entered, 0 if not, or as a walk_fn. */
static int visit(struct walk *w, const struct record *entry)
{
        struct walk_level *level = &w->levels[w->depth - 1];
        size_t len = strlen(entry->name), at = level->path_len + (level->path_len > 0);
        uint8_t type = entry->type;
        struct stat st;
        int r;

        if (at + len > WALK_PATH_MAX) { /* named in its folder only */
                struct walk_entry e = { .dir = level->fd,
                                        .name = entry->name,
                                        .path = w->path,
                                        .depth = w->depth,
                                        .fd = -1,
                                        .error = -ENAMETOOLONG };

                return w->fn(w->ctx, WALK_DENIED, &e);
        }
        if (level->path_len)
                w->path[level->path_len] = '/';
        memcpy(w->path + at, entry->name, len + 1);
        if (type == RECORD_UNKNOWN) {
                if (fstatat(level->fd, entry->name, &st, AT_SYMLINK_NOFOLLOW))
                        return errno == ENOENT ? 0 : -errno;
                type = S_ISDIR(st.st_mode) ? RECORD_DIR : S_ISREG(st.st_mode) ? RECORD_FILE : 1;
        }
        w->is_file = type == RECORD_FILE;
        r = type == RECORD_DIR ? enter(w, level->fd, entry->name, false) : tell(w, WALK_FILE, -1, 0);
        if (!r)
                w->path[level->path_len] = 0;
        return r;
}

static bool is_dots(const char *name)
{
        return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* Reads a piece of the innermost folder. Return: as visit(), once a folder was entered or the piece is over. */
static int scan(struct walk *w)
{
        struct walk_level *level = &w->levels[w->depth - 1];
        long n = syscall(SYS_getdents64, level->fd, w->entries, w->chunk);
        int r = 0;

        if (n < 0 && errno == EINVAL && w->chunk < sizeof(w->entries)) { /* a name longer than the piece */
                w->chunk = sizeof(w->entries);
                return 0;
        }
        if (n < 0 && errno != ENOENT) /* ENOENT: the folder was removed */
                return -errno;
        if (n <= 0)
                return leave(w);
        for (long at = 0; !r && at < n;) {
                /* SAFETY: the kernel aligns its records to 8, as the buffer is. */
                const struct record *entry = (const void *)((const uint8_t *)w->entries + at);

                at += entry->size;
                level->offset = entry->offset;
                if (!is_dots(entry->name))
                        r = visit(w, entry);
        }
        if (!r && w->chunk < sizeof(w->entries))
                w->chunk *= 2;
        return r;
}

int walk_tree(struct walk *w, int dir, const char *name, bool follow, walk_fn *fn, void *ctx)
{
        struct stat st;
        int r;

        w->fn = fn;
        w->ctx = ctx;
        w->top_dir = dir;
        w->top_name = name;
        w->depth = 0;
        w->path[0] = 0;
        if (fstatat(dir, name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW))
                return -errno;
        w->is_file = S_ISREG(st.st_mode);
        if (!S_ISDIR(st.st_mode)) {
                r = tell(w, WALK_FILE, -1, 0);
                return r == WALK_SKIP ? 0 : r;
        }
        r = enter(w, dir, name, follow);
        while ((r == 0 || r == 1) && w->depth)
                r = scan(w);
        while (w->depth) {
                int fd = w->levels[--w->depth].fd;

                if (fd >= 0)
                        close(fd);
        }
        return r == 1 ? 0 : r;
}
