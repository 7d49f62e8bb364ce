/*
 * Packs a tree: walks it and writes members.
 * Input:  a tree (hostile: any shape, changing while it is read).
 * Runs:   worker child of the agent; the host's thread that sends a tree.
 * Limits: see tree.h. A file that shrinks meanwhile is filled with zeros, what it grows by is left out.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "guest/tree.h"

#define ATTRIBUTE     "SCHILY.xattr."
#define SPARSE_FOLDER "GNUSparseFile.0/"
#define TIME_SIZE     32u

static int flush(struct tree_pack *p)
{
        int r = p->len ? p->write(p->ctx, p->out + TREE_HEADROOM, p->len) : 0;

        p->len = 0;
        return r;
}

/* Room for at most @want bytes, at least one. */
static int room(struct tree_pack *p, uint64_t want, uint8_t **ret, size_t *ret_len)
{
        int r = p->len == TREE_CHUNK ? flush(p) : 0;
        size_t left = TREE_CHUNK - p->len;

        *ret = p->out + TREE_HEADROOM + p->len;
        *ret_len = want < left ? (size_t)want : left;
        return r;
}

static int put(struct tree_pack *p, const void *bytes, uint64_t len)
{
        const uint8_t *from = bytes; /* NULL = zeros */

        while (len) {
                uint8_t *to;
                size_t n;
                int r = room(p, len, &to, &n);

                if (r)
                        return r;
                if (from)
                        memcpy(to, from, n);
                else
                        memset(to, 0, n);
                from = from ? from + n : NULL;
                p->len += n;
                len -= n;
        }
        return 0;
}

static int pad(struct tree_pack *p, uint64_t size)
{
        return put(p, NULL, -size % TAR_BLOCK);
}

/* A record for the next member. */
static int record(struct tree_pack *p, const char *key, const void *value, size_t len)
{
        size_t left = sizeof(p->pax) - p->pax_len,
               n = tar_put_record(p->pax + p->pax_len, left, key, value, len);

        if (n > left)
                return -E2BIG;
        p->pax_len += n;
        return 0;
}

static int record_number(struct tree_pack *p, const char *key, uint64_t n)
{
        char digits[20];

        return record(p, key, digits, tar_put_number(digits, n));
}

static int record_time(struct tree_pack *p, int64_t s, uint32_t ns)
{
        char text[TIME_SIZE];
        bool negative = s < 0;
        size_t len = negative;

        if (negative && ns) { /* -1.5 s is -2 s and 0.5 */
                s++;
                ns = 1000000000 - ns;
        }
        text[0] = '-';
        len += tar_put_number(text + len, negative ? -(uint64_t)s : (uint64_t)s);
        if (ns) {
                text[len] = '.';
                for (size_t i = 9; i; i--, ns /= 10)
                        text[len + i] = (char)('0' + ns % 10);
                len += 10;
        }
        return record(p, "mtime", text, len);
}

/* What the header has no room for. */
static int record_header(struct tree_pack *p, const struct tar_header *h, bool fits)
{
        int r = 0;

        if (h->mtime_ns || h->mtime < 0 || h->mtime >> 33)
                r = record_time(p, h->mtime, h->mtime_ns);
        if (fits)
                return r;
        if (!r)
                r = record(p, "path", h->name.s, h->name.len);
        if (!r && h->link.len)
                r = record(p, "linkpath", h->link.s, h->link.len);
        if (!r && h->size >> 33)
                r = record_number(p, "size", h->size);
        if (!r && h->uid >> 21)
                r = record_number(p, "uid", h->uid);
        if (!r && h->gid >> 21)
                r = record_number(p, "gid", h->gid);
        return r;
}

/* The records that have been collected, and the header. */
static int put_member(struct tree_pack *p, const struct tar_header *h)
{
        static const char name[] = "PaxHeaders/x";
        uint8_t block[TAR_BLOCK], pax_block[TAR_BLOCK];
        bool fits = tar_put_header(block, h);
        int r = record_header(p, h, fits);

        if (!r && p->pax_len) {
                const struct tar_header pax = {
                        .kind = TAR_PAX, .mode = 0644, .size = p->pax_len, .name = { name, sizeof(name) - 1 }
                };

                tar_put_header(pax_block, &pax);
                r = put(p, pax_block, sizeof(pax_block));
                if (!r)
                        r = put(p, p->pax, p->pax_len);
                if (!r)
                        r = pad(p, p->pax_len);
        }
        p->pax_len = 0;
        return r ? r : put(p, block, sizeof(block));
}

static int record_attributes(struct tree_pack *p, int fd)
{
        ssize_t len = flistxattr(fd, p->attributes, sizeof(p->attributes));
        char key[sizeof(ATTRIBUTE) + 256] = ATTRIBUTE;
        int r = 0;

        if (len < 0)
                return errno == ENOTSUP || errno == ENOSYS ? 0 : -errno;
        for (const char *name = p->attributes; !r && name < p->attributes + len; name += strlen(name) + 1) {
                ssize_t n = fgetxattr(fd, name, p->value, sizeof(p->value));

                memcpy(key + sizeof(ATTRIBUTE) - 1, name, strnlen(name, 255) + 1);
                if (n >= 0) /* else it has gone, or we may not */
                        r = record(p, key, p->value, (size_t)n);
        }
        return r;
}

/* The name of an earlier member for the same file, or NULL: then this is the first. */
static const char *find_link(struct tree_pack *p, const struct stat *st, const struct tar_text *name)
{
        uint64_t hash = ((uint64_t)st->st_ino ^ (uint64_t)st->st_dev << 32) * 0x9e3779b97f4a7c15u;
        struct tree_link *at;

        for (uint64_t i = hash >> 32;; i++) {
                at = &p->links[i % (2 * TREE_LINKS_MAX)];
                if (!at->name)
                        break;
                if (at->ino == st->st_ino && at->dev == st->st_dev)
                        return p->names + at->name - 1;
        }
        if (p->nr_links < TREE_LINKS_MAX && name->len < sizeof(p->names) - p->names_len) {
                *at = (struct tree_link){ .dev = st->st_dev, .ino = st->st_ino, .name = p->names_len + 1 };
                memcpy(p->names + p->names_len, name->s, name->len);
                p->names[p->names_len + name->len] = 0;
                p->names_len += (uint32_t)name->len + 1;
                p->nr_links++;
        }
        return NULL;
}

/* @len bytes at @offset, of a file that may have become shorter. */
static int put_data(struct tree_pack *p, int fd, uint64_t offset, uint64_t len)
{
        while (len) {
                uint8_t *to;
                size_t n;
                int r = room(p, len, &to, &n);

                if (r)
                        return r;

                ssize_t got = pread(fd, to, n, (off_t)offset);

                if (got < 0 && errno != EINTR)
                        return -errno;
                if (got == 0)
                        return put(p, NULL, len);
                if (got > 0) {
                        p->len += (size_t)got;
                        offset += (uint64_t)got;
                        len -= (uint64_t)got;
                }
        }
        return 0;
}

/* Return: number of pieces of data in @p->extents; -1 if it has no holes after all. */
static int find_extents(struct tree_pack *p, int fd, uint64_t size)
{
        off_t at = 0, hole;
        int nr = 0;

        while ((uint64_t)at < size && (at = lseek(fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < size) {
                hole = lseek(fd, at, SEEK_HOLE);
                if (hole < 0 || (uint64_t)hole > size || nr == TREE_EXTENTS_MAX - 1)
                        hole = (off_t)size;
                p->extents[nr++] = (struct tar_extent){ (uint64_t)at, (uint64_t)(hole - at) };
                at = hole;
        }
        if (at < 0 && errno != ENXIO) /* ENXIO: a hole up to the end */
                return -1;
        return nr == 1 && p->extents[0].len == size ? -1 : nr;
}

/* Appends a line to what is in @out, @len bytes. Return: the new length. Without @out only that. */
static size_t put_line(char *out, size_t len, uint64_t n)
{
        char line[21];
        size_t digits = tar_put_number(line, n);

        line[digits++] = '\n';
        if (out)
                memcpy(out + len, line, digits);
        return len + digits;
}

/* The map in decimal lines at @out, or its length only: how many entries, and each one's offset and length. */
static size_t put_map(const struct tree_pack *p, int nr, uint64_t size, char *out)
{
        uint64_t end = nr ? p->extents[nr - 1].offset + p->extents[nr - 1].len : 0;
        size_t len = put_line(out, 0, (uint64_t)nr + (end < size));

        for (int i = 0; i < nr; i++) {
                len = put_line(out, len, p->extents[i].offset);
                len = put_line(out, len, p->extents[i].len);
        }
        if (end < size) { /* it ends in a hole */
                len = put_line(out, len, size);
                len = put_line(out, len, 0);
        }
        return len;
}

static int put_sparse(struct tree_pack *p, int fd, const struct tar_header *h, int nr)
{
        static const char version[][20] = { "GNU.sparse.major", "GNU.sparse.minor" };
        char name[sizeof(SPARSE_FOLDER) + 64] = SPARSE_FOLDER;
        struct tar_header member = *h;
        uint64_t size = h->size;
        size_t map_len = put_map(p, nr, size, NULL), base = h->name.len;
        int r = record_number(p, version[0], 1);

        if (!r)
                r = record_number(p, version[1], 0);
        if (!r)
                r = record(p, "GNU.sparse.name", h->name.s, h->name.len);
        if (!r)
                r = record_number(p, "GNU.sparse.realsize", size);
        while (base && h->name.s[base - 1] != '/' && h->name.len - base < 64)
                base--;
        memcpy(name + sizeof(SPARSE_FOLDER) - 1, h->name.s + base, h->name.len - base);
        member.name = (struct tar_text){ name, sizeof(SPARSE_FOLDER) - 1 + h->name.len - base };
        member.size = map_len + -map_len % TAR_BLOCK;
        for (int i = 0; i < nr; i++)
                member.size += p->extents[i].len;
        if (!r)
                r = put_member(p, &member);
        if (r)
                return r;
        put_map(p, nr, size, p->pax); /* its room is free, and enough */
        r = put(p, p->pax, map_len);
        if (!r)
                r = pad(p, map_len);
        for (int i = 0; !r && i < nr; i++)
                r = put_data(p, fd, p->extents[i].offset, p->extents[i].len);
        return r ? r : pad(p, member.size);
}

static int put_file(struct tree_pack *p, int fd, const struct stat *st, struct tar_header *h)
{
        uint64_t size = (uint64_t)st->st_size;
        int r = record_attributes(p, fd);
        int nr = (uint64_t)st->st_blocks * 512 < size ? find_extents(p, fd, size) : -1;

        h->size = size;
        if (r || nr >= 0)
                return r ? r : put_sparse(p, fd, h, nr);
        r = put_member(p, h);
        if (!r)
                r = put_data(p, fd, 0, size);
        return r ? r : pad(p, size);
}

static char kind_of(mode_t mode)
{
        switch (mode & S_IFMT) {
        case S_IFREG:
                return TAR_FILE;
        case S_IFDIR:
                return TAR_DIR;
        case S_IFLNK:
                return TAR_SYMLINK;
        case S_IFCHR:
                return TAR_CHAR;
        case S_IFBLK:
                return TAR_BLOCK_DEVICE;
        case S_IFIFO:
                return TAR_FIFO;
        default:
                return 0; /* a socket lives as long as who made it */
        }
}

static struct tar_text text_of(const char *s)
{
        return (struct tar_text){ s, strlen(s) };
}

/* One of anything. @fd: itself where that can be opened, else -1. */
static int put_entry(struct tree_pack *p, const struct walk_entry *e, const struct stat *st, int fd)
{
        const char *user = owner_name(&p->owners, OWNER_USER, st->st_uid);
        const char *group = owner_name(&p->owners, OWNER_GROUP, st->st_gid);
        struct tar_header h = { .kind = kind_of(st->st_mode),
                                .mode = st->st_mode & 07777,
                                .uid = st->st_uid,
                                .gid = st->st_gid,
                                .mtime = st->st_mtim.tv_sec,
                                .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
                                .name = text_of(p->name),
                                .uname = text_of(user),
                                .gname = text_of(group) };
        int r = 0;

        if (!h.kind)
                return p->flags & TREE_WHOLE ? -EOPNOTSUPP : 0;
        if (h.kind != TAR_DIR && st->st_nlink > 1) {
                const char *first = find_link(p, st, &h.name);

                if (first) {
                        h.kind = TAR_LINK;
                        h.link = text_of(first);
                        return put_member(p, &h);
                }
        }
        if (h.kind == TAR_FILE)
                return put_file(p, fd, st, &h);
        if (h.kind == TAR_SYMLINK) {
                ssize_t n = readlinkat(e->dir, e->name, p->target, sizeof(p->target));

                if (n < 0)
                        return errno == ENOENT || errno == EINVAL ? 0 : -errno; /* it has gone */
                h.link = (struct tar_text){ p->target, (size_t)n };
        } else if (h.kind == TAR_CHAR || h.kind == TAR_BLOCK_DEVICE) {
                h.major = major(st->st_rdev);
                h.minor = minor(st->st_rdev);
        } else if (h.kind == TAR_DIR) {
                r = record_attributes(p, fd);
        }
        return r ? r : put_member(p, &h);
}

/* Its name in the stream: behind the top's, a slash after a folder's. Return: false: it has none. */
static bool set_name(struct tree_pack *p, const struct walk_entry *e, bool is_folder)
{
        bool without_top = p->flags & TREE_CONTENTS && (e->depth || is_folder);
        size_t len = strlen(e->path), at = without_top ? 0 : p->prefix_len;

        if (without_top && !e->depth)
                return false;
        if (len && at)
                p->name[at++] = '/';
        memcpy(p->name + at, e->path, len);
        at += len;
        if (is_folder)
                p->name[at++] = '/';
        p->name[at] = 0;
        return true;
}

static int on_folder(struct tree_pack *p, const struct walk_entry *e)
{
        struct stat st;

        if (fstat(e->fd, &st))
                return -errno;
        if (!e->depth)
                p->dev = st.st_dev;

        int r = set_name(p, e, true) ? put_entry(p, e, &st, e->fd) : 0;

        if (r || st.st_dev == p->dev)
                return r;
        return p->flags & TREE_WHOLE ? -EBUSY : WALK_SKIP;
}

static int on_walk(void *ctx, enum walk_event event, const struct walk_entry *e)
{
        struct tree_pack *p = ctx;
        struct stat st;
        int fd = -1, r;

        if (event == WALK_LEAVE)
                return 0;
        if (event == WALK_DENIED)
                return e->error;
        if (event == WALK_ENTER)
                return on_folder(p, e);

        /* What is open cannot be replaced by something else; only a file can be, whatever it was before. */
        bool follow = !e->depth && p->flags & TREE_FOLLOW;

        if (e->is_file)
                fd = openat(e->dir, e->name,
                            O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));
        if (fd < 0 && e->is_file && errno != ELOOP && errno != ENXIO)
                return errno == ENOENT ? 0 : -errno;
        if (fd >= 0 ? fstat(fd, &st) : fstatat(e->dir, e->name, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW))
                r = errno == ENOENT && e->depth ? 0 : -errno;
        else if (S_ISREG(st.st_mode) && fd < 0)
                r = -EACCES;
        else
                r = set_name(p, e, false) ? put_entry(p, e, &st, fd) : 0;
        if (fd >= 0)
                close(fd);
        return r;
}

/* The last name of @path, "." for "/" and where there is none to speak of; or the name that was given. */
static int set_prefix(struct tree_pack *p, const char *path)
{
        size_t end = strlen(path);

        while (end && path[end - 1] == '/')
                end--;

        size_t start = end;

        while (start && path[start - 1] != '/')
                start--;
        if (end - start > 255)
                return -ENAMETOOLONG;
        memcpy(p->name, path + start, end - start);
        p->name[end - start] = 0;
        if (start == end || !strcmp(p->name, ".."))
                memcpy(p->name, ".", 2);
        p->prefix_len = strlen(p->name);
        return 0;
}

int tree_pack(struct tree_pack *p, int dir, const char *path, unsigned flags, tree_write_fn *write, void *ctx)
{
        int r = set_prefix(p, p->top && *p->top ? p->top : path);

        p->write = write;
        p->ctx = ctx;
        p->where = "";
        p->flags = flags;
        p->len = p->pax_len = 0;
        if (p->nr_links) /* of an earlier run */
                memset(p->links, 0, sizeof(p->links));
        p->names_len = p->nr_links = 0;
        memset(&p->owners, 0, sizeof(p->owners));
        if (!r)
                r = walk_tree(&p->walk, dir, path, flags & TREE_FOLLOW, on_walk, p);
        if (r) {
                p->where = p->walk.path;
                return r;
        }
        r = put(p, NULL, 2 * TAR_BLOCK);
        return r ? r : flush(p);
}
