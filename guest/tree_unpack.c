/*
 * Unpacks a tree: reads members and makes them.
 * Input:  a tar stream (hostile).
 * Runs:   worker child of the agent; the host's thread that receives a tree. Changes the umask meanwhile.
 * Limits: see tree.h. Nothing grows with the stream.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "guest/tree_priv.h"

#define ATTRIBUTE "SCHILY.xattr."

struct owner {
        uint32_t uid, gid; /* TREE_KEEP: as it is */
};

/* Who a member is to belong to, if that has to be said at all. */
static struct owner owner_of(struct tree_unpack *u, const struct tar_header *h)
{
        struct owner o = { h->uid, h->gid };

        if (u->flags & TREE_NO_OWNER)
                return (struct owner){ u->uid, u->gid };
        if (u->euid)
                return (struct owner){ TREE_KEEP, TREE_KEEP };
        if (!(u->flags & TREE_NUMERIC)) {
                o.uid = owner_id(&u->owners, OWNER_USER, h->uname.s, h->uname.len, h->uid);
                o.gid = owner_id(&u->owners, OWNER_GROUP, h->gname.s, h->gname.len, h->gid);
        }
        return o;
}

static bool is_given(const struct tree_unpack *u, struct owner o)
{
        return (o.uid == TREE_KEEP || o.uid == u->euid) &&
               (o.gid == TREE_KEEP || (o.gid == u->egid && !u->parent_gives_group));
}

static uint32_t mode_of(const struct tree_unpack *u, const struct tar_header *h)
{
        return u->flags & TREE_PRIVILEGED && !(u->flags & TREE_NO_OWNER) ? h->mode : h->mode & 01777;
}

static int set_attributes(struct tree_unpack *u, int fd)
{
        const size_t skip = sizeof(ATTRIBUTE) - 1;
        struct tar_text key, value;
        char name[256];
        size_t size;

        for (size_t at = 0; at < u->pax_len; at += size) {
                int r = tar_parse_record(u->pax + at, u->pax_len - at, &key, &value, &size);

                if (r)
                        return r;
                if (key.len <= skip || key.len - skip >= sizeof(name) || memcmp(key.s, ATTRIBUTE, skip) != 0)
                        continue;
                memcpy(name, key.s + skip, key.len - skip);
                name[key.len - skip] = 0;
                if (!(u->flags & TREE_PRIVILEGED) && strncmp(name, "user.", 5) != 0)
                        continue;
                if (!fsetxattr(fd, name, value.s, value.len, 0))
                        continue;
                if (errno != ENOTSUP && errno != EPERM && errno != EACCES && errno != EINVAL)
                        return -errno;
                u->attributes_lost++;
        }
        return 0;
}

static void times_of(const struct tar_header *h, struct timespec ret[2])
{
        ret[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
        ret[1] = (struct timespec){ .tv_sec = h->mtime, .tv_nsec = (long)h->mtime_ns };
}

/* What is in the way of a member that is no folder. Return: 0, or why it stays. */
static int clear(int dir, const char *name)
{
        return unlinkat(dir, name, 0) && errno != ENOENT ? -errno : 0;
}

static int make_file(struct tree_unpack *u, struct tar_header *h, int dir, const char *name)
{
        const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
        struct owner o = owner_of(u, h);
        uint32_t mode = mode_of(u, h);
        struct timespec times[2];
        int r = tree_read_sparse(u, h);
        int fd = r ? -1 : openat(dir, name, flags, mode & 0777);

        if (r)
                return r;
        if (fd < 0 && errno == EEXIST) {
                r = clear(dir, name);
                if (r)
                        return r;
                fd = openat(dir, name, flags, mode & 0777);
        }
        if (fd < 0)
                return -errno;
        r = tree_write_data(u, fd, h->size);
        if (r)
                (void)!unlinkat(dir, name, 0); /* half a file is worse than none */
        if (!r && !is_given(u, o) && fchown(fd, o.uid, o.gid))
                r = -errno;
        if (!r && mode & 07000 && fchmod(fd, mode))
                r = -errno;
        if (!r && u->pax_len)
                r = set_attributes(u, fd);
        times_of(h, times);
        if (!r && futimens(fd, times))
                r = -errno;
        if (close(fd) && !r)
                r = -errno;
        return r;
}

/* Sets what a folder is to have once nothing more is put into it. It is looked up again, beneath the root. */
static int finish_folder(struct tree_unpack *u, const struct tree_folder *f)
{
        struct tar_header h = { .mtime = f->mtime, .mtime_ns = f->mtime_ns };
        struct timespec times[2];
        int fd = tree_open_folder(u, u->folder_path, f->path_len, O_RDONLY), r = 0;

        if (fd < 0)
                return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? 0 : fd; /* replaced since */
        times_of(&h, times);
        if ((f->set_mode && fchmod(fd, f->mode)) || futimens(fd, times))
                r = -errno;
        close(fd);
        return r;
}

/* Folders that u->path does not lie in are done. "" = all. */
static int leave_folders(struct tree_unpack *u)
{
        int r = 0;

        while (!r && u->nr_folders) {
                const struct tree_folder *f = &u->folders[u->nr_folders - 1];

                if (!strncmp(u->path, u->folder_path, f->path_len) && u->path[f->path_len] == '/')
                        break;
                u->nr_folders--;
                r = finish_folder(u, f);
        }
        return r;
}

static int make_folder(struct tree_unpack *u, const struct tar_header *h, int dir, const char *name)
{
        struct owner o = owner_of(u, h);
        uint32_t mode = mode_of(u, h), first = (mode & 0777) | 0700;
        bool was_there = false;
        struct stat st;
        int r = mkdirat(dir, name, first) ? -errno : 0;

        if (r == -EEXIST && !fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
                was_there = S_ISDIR(st.st_mode);
                r = was_there ? 0 : clear(dir, name);
                if (!r && !was_there)
                        r = mkdirat(dir, name, first) ? -errno : 0;
        }
        if (!r && (was_there || !is_given(u, o)) && (o.uid & o.gid) != TREE_KEEP &&
            fchownat(dir, name, o.uid, o.gid, AT_SYMLINK_NOFOLLOW))
                r = -errno;

        struct tree_folder f = { .path_len = (uint32_t)strlen(u->path),
                                 .mode = mode,
                                 .set_mode = was_there || mode != first,
                                 .mtime = h->mtime,
                                 .mtime_ns = h->mtime_ns };

        memcpy(u->folder_path, u->path, f.path_len + 1);
        if (!r && u->pax_len) {
                int fd = tree_open_folder(u, u->path, f.path_len, O_RDONLY);

                r = fd < 0 ? fd : set_attributes(u, fd);
                if (fd >= 0)
                        close(fd);
        }
        if (r)
                return r;
        if (u->nr_folders == TREE_PENDING_MAX)
                return finish_folder(u, &f);
        u->folders[u->nr_folders++] = f;
        return 0;
}

/* Is it, or is it in, the only name that is taken? */
static bool is_wanted(const struct tree_unpack *u, const char *path)
{
        size_t len = u->only ? strlen(u->only) : 0;

        return !u->only || (!strncmp(path, u->only, len) && (!path[len] || path[len] == '/'));
}

static int make_link(struct tree_unpack *u, const struct tar_header *h, int dir, const char *name)
{
        int r = tree_set_name(u->link, (struct tar_text){ 0 }, h->link);
        const char *slash = strrchr(u->link, '/'), *target = slash ? slash + 1 : u->link;

        if (r || !*target || !is_wanted(u, u->link))
                return TREE_E_NAME;
        if (!strcmp(u->link, u->path))
                return 0;

        int from = tree_open_folder(u, u->link, slash ? (size_t)(slash - u->link) : 0, O_PATH);

        if (from < 0)
                return from;
        r = linkat(from, target, dir, name, 0) ? -errno : 0;
        if (r == -EEXIST) {
                r = clear(dir, name);
                if (!r && linkat(from, target, dir, name, 0))
                        r = -errno;
        }
        close(from);
        return r;
}

static int make_node(struct tree_unpack *u, const struct tar_header *h, int dir, const char *name)
{
        mode_t mode = mode_of(u, h);

        if (h->kind == TAR_SYMLINK) {
                memcpy(u->link, h->link.s, h->link.len);
                u->link[h->link.len] = 0;
                return symlinkat(u->link, dir, name) ? -errno : 0;
        }
        if (h->kind == TAR_FIFO)
                return mknodat(dir, name, mode | S_IFIFO, 0) ? -errno : 0;
        mode |= h->kind == TAR_CHAR ? S_IFCHR : S_IFBLK;
        return mknodat(dir, name, mode, makedev(h->major, h->minor)) ? -errno : 0;
}

/* Links, pipes, devices: made, and then dressed by name. */
static int make_special(struct tree_unpack *u, const struct tar_header *h, int dir, const char *name)
{
        struct owner o = owner_of(u, h);
        struct timespec times[2];

        if (h->kind == TAR_SYMLINK && h->link.len > WALK_PATH_MAX)
                return TREE_E_NAME;

        int r = make_node(u, h, dir, name);

        if (r == -EEXIST) {
                r = clear(dir, name);
                if (!r)
                        r = make_node(u, h, dir, name);
        }
        times_of(h, times);
        if (!r && !is_given(u, o) && fchownat(dir, name, o.uid, o.gid, AT_SYMLINK_NOFOLLOW))
                r = -errno;
        if (!r && utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW))
                r = -errno;
        return r;
}

static int make_member(struct tree_unpack *u, struct tar_header *h)
{
        bool is_file = h->kind == TAR_FILE || h->kind == TAR_CONTIGUOUS || h->kind == TAR_GNU_SPARSE;
        bool is_device = h->kind == TAR_CHAR || h->kind == TAR_BLOCK_DEVICE;
        uint64_t padded = h->size + -h->size % TAR_BLOCK;
        const char *name;
        int r = tree_set_name(u->path, h->prefix, h->name);

        if (!r)
                r = leave_folders(u);
        if (r)
                return r;
        if (!*u->path) /* the root itself belongs to who made it */
                return is_file ? TREE_E_NAME : tree_skip(u, padded);
        if (!is_wanted(u, u->path))
                return TREE_E_NAME;
        if ((is_device && !(u->flags & TREE_PRIVILEGED)) || h->kind < TAR_FILE ||
            (h->kind > TAR_CONTIGUOUS && !is_file)) {
                u->skipped++;
                return tree_skip(u, padded);
        }

        int dir = tree_parent(u, &name);

        if (dir < 0)
                return dir;
        if (is_file)
                return make_file(u, h, dir, name);
        if (h->kind == TAR_DIR)
                r = make_folder(u, h, dir, name);
        else if (h->kind == TAR_LINK)
                r = make_link(u, h, dir, name);
        else
                r = make_special(u, h, dir, name);
        return r ? r : tree_skip(u, padded);
}

/* A payload that says something about the next member. */
static int take_text(struct tree_unpack *u, uint64_t size, char *to, size_t max, size_t *ret_len)
{
        if (size > max)
                return max == TAR_PAX_MAX ? TREE_E_LARGE : TREE_E_NAME;

        int r = tree_read(u, to, (size_t)size);

        to[size] = 0;
        *ret_len = r ? 0 : (size_t)size;
        return r ? r : tree_skip(u, -size % TAR_BLOCK);
}

/* What was said before is put into the header. */
static int apply(struct tree_unpack *u, struct tar_header *h)
{
        struct tar_text key, value, real = { 0 };
        size_t size;
        int r = 0;

        if (u->long_name_len) {
                h->name = (struct tar_text){ u->long_name, strlen(u->long_name) };
                h->prefix = (struct tar_text){ 0 };
        }
        if (u->long_link_len)
                h->link = (struct tar_text){ u->long_link, strlen(u->long_link) };
        for (size_t at = 0; !r && at < u->pax_len; at += size) {
                r = tar_parse_record(u->pax + at, u->pax_len - at, &key, &value, &size);
                if (!r && tar_text_is(key, "GNU.sparse.name"))
                        real = value;
                else if (!r)
                        r = tar_apply_record(key, value, h);
        }
        if (real.s) { /* then "path" is that of its stand-in */
                h->name = real;
                h->prefix = (struct tar_text){ 0 };
        }
        return r;
}

/* One header and what belongs to it. Return: 0, 1 at the end of the stream, or an error. */
static int step(struct tree_unpack *u, bool *ret_end)
{
        struct tar_header h;
        int r = tree_read(u, u->block, TAR_BLOCK);

        if (r)
                return r;
        *ret_end = tar_is_end(u->block);
        if (*ret_end)
                return 0;
        r = tar_parse_header(u->block, &h);
        if (r)
                return r;
        switch (h.kind) {
        case TAR_PAX:
                return take_text(u, h.size, u->pax, TAR_PAX_MAX, &u->pax_len);
        case TAR_GNU_NAME:
                return take_text(u, h.size, u->long_name, WALK_PATH_MAX, &u->long_name_len);
        case TAR_GNU_LINK:
                return take_text(u, h.size, u->long_link, WALK_PATH_MAX, &u->long_link_len);
        case TAR_PAX_GLOBAL:
                return tree_skip(u, h.size + -h.size % TAR_BLOCK);
        default:
                break;
        }
        r = apply(u, &h);
        if (!r)
                r = make_member(u, &h);
        u->pax_len = u->long_name_len = u->long_link_len = 0;
        return r;
}

int tree_unpack(struct tree_unpack *u, int root, unsigned flags, tree_read_fn *read, void *ctx)
{
        mode_t mask = umask(0);
        bool end = false;
        int r = 0;

        u->read = read;
        u->ctx = ctx;
        u->where = u->path;
        u->flags = flags;
        u->skipped = u->attributes_lost = 0;
        u->root = root;
        u->parent = -1;
        u->euid = geteuid();
        u->egid = getegid();
        u->nr_folders = 0;
        u->left = u->pax_len = u->long_name_len = u->long_link_len = 0;
        u->path[0] = 0;
        memset(&u->owners, 0, sizeof(u->owners));
        while (!r && !end)
                r = step(u, &end);
        if (!r) {
                u->path[0] = 0;
                r = leave_folders(u);
        }
        while (!r) { /* a second block of zeros, and what fills up the last record */
                u->left = 0;

                ssize_t n = u->read(u->ctx, &u->at);

                if (n <= 0) {
                        r = (int)n;
                        break;
                }
        }
        tree_forget_parent(u);
        umask(mask);
        return r;
}

const char *tree_strerror(int error)
{
        switch (error) {
        case TREE_E_CUT:
                return "the tar stream ends too early";
        case TREE_E_NAME:
                return "a name of the tar stream leads out of the folder, or is too long";
        case TREE_E_LARGE:
                return "an extended header of the tar stream is too large";
        default:
                return tar_strerror(error);
        }
}
