/*
 * PACK, UNPACK and COPY: whole trees as streams; a copy of a tree is a stream from one process to another.
 * Input:  a checked request, the client's STDIN frames (hostile), trees of the guest.
 * Runs:   in a worker child, COPY in two.
 * Limits: those of tree.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "guest/file_priv.h"
#include "guest/tree.h"

static struct tree_pack packer;
static struct tree_unpack unpacker;

_Static_assert(TREE_HEADROOM == PROTOCOL_HEADER_SIZE, "the header goes in front");
_Static_assert(TREE_CHUNK == FILE_CHUNK, "a piece of the stream is a frame");

static int write_frame(void *ctx, uint8_t *bytes, size_t len)
{
        struct child *c = ctx;
        struct protocol_frame frame = { .type = PROTOCOL_DATA, .id = c->id, .len = (uint32_t)len };

        protocol_put_header(bytes - PROTOCOL_HEADER_SIZE, &frame);
        child_send(c, bytes - PROTOCOL_HEADER_SIZE, PROTOCOL_HEADER_SIZE + len);
        return 0;
}

int file_pack(struct child *c, const struct protocol_file *req)
{
        unsigned flags = (req->flags & PROTOCOL_FILE_CONTENTS ? TREE_CONTENTS : 0) |
                         (req->flags & PROTOCOL_FILE_FOLLOW ? TREE_FOLLOW : 0);
        int r;

        packer.top = req->to;
        r = tree_pack(&packer, AT_FDCWD, req->path, flags, write_frame, c);

        file_where = packer.where;
        return r;
}

static ssize_t read_frame(void *ctx, const uint8_t **ret)
{
        struct file_input *in = ctx;

        *ret = in->bytes;
        return file_input_next(in);
}

/* What is wrong with a stream has no errno of its own. */
static int unpacked(int r)
{
        if (r)
                file_where = unpacker.where;
        if (r <= 0)
                return r;
        file_why = tree_strerror(r);
        return -EBADMSG;
}

int file_unpack(struct child *c, const struct protocol_file *req)
{
        static struct file_input in;
        unsigned flags = TREE_PRIVILEGED | (req->flags & PROTOCOL_FILE_NUMERIC ? TREE_NUMERIC : 0) |
                         (req->flags & PROTOCOL_FILE_NO_OWNER ? TREE_NO_OWNER : 0);
        bool parents = req->flags & PROTOCOL_FILE_PARENTS;
        int r = parents ? file_parents(req->path) : 0;

        if (r || (parents && mkdir(req->path, 0777) && errno != EEXIST))
                return r ? r : -errno;

        int fd = open(req->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        in.c = c;
        unpacker.uid = req->uid;
        unpacker.gid = req->gid;
        r = unpacked(tree_unpack(&unpacker, fd, flags, read_frame, &in));
        return r || !syncfs(fd) ? r : -errno;
}

static int write_pipe(void *ctx, uint8_t *bytes, size_t len)
{
        while (len) {
                ssize_t n = write(*(const int *)ctx, bytes, len);

                if (n < 0)
                        return -errno;
                bytes += n;
                len -= (size_t)n;
        }
        return 0;
}

static ssize_t read_pipe(void *ctx, const uint8_t **ret)
{
        static uint8_t bytes[PROTOCOL_DATA_MAX];
        ssize_t n = read(*(const int *)ctx, bytes, sizeof(bytes));

        *ret = bytes;
        return n < 0 ? -errno : n;
}

/* Attributes, owner, mode and times: in this order, for each may forbid or undo the one before. */
static int copy_attributes(int from, int to, const struct stat *st)
{
        static char names[65536], value[65536];
        const struct timespec times[2] = { st->st_atim, st->st_mtim };
        ssize_t len = flistxattr(from, names, sizeof(names));

        for (const char *name = names; name < names + len; name += strlen(name) + 1) {
                ssize_t n = fgetxattr(from, name, value, sizeof(value));

                if (n >= 0 && fsetxattr(to, name, value, (size_t)n, 0) && errno != ENOTSUP && errno != EPERM)
                        return -errno;
        }
        if (fchown(to, st->st_uid, st->st_gid) && geteuid() == 0)
                return -errno;
        return fchmod(to, st->st_mode & 07777) || futimens(to, times) ? -errno : 0;
}

static int copy_range(int from, int to, off_t at, off_t end)
{
        loff_t in = at, out = at;

        while (in < end) {
                ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(end - in), 0);

                if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
                        off_t from_at = in;

                        if (lseek(to, in, SEEK_SET) < 0)
                                return -errno;
                        n = sendfile(to, from, &from_at, (size_t)(end - in));
                        in = out = from_at;
                }
                if (n < 0)
                        return -errno;
                if (!n)
                        break; /* it became shorter */
        }
        return 0;
}

/* Data only: holes stay holes. What cannot be asked for its holes has none. */
static int copy_data(int from, int to, off_t size)
{
        off_t at = 0, end;
        int r = 0;

        while (!r && at < size) {
                off_t data = lseek(from, at, SEEK_DATA);

                if (data < 0 && errno == ENXIO)
                        break;
                at = data < 0 ? at : data;
                end = data < 0 ? size : lseek(from, at, SEEK_HOLE);
                end = end < 0 || end > size ? size : end;
                r = copy_range(from, to, at, end);
                at = end;
        }
        return r || !ftruncate(to, size) ? r : -errno;
}

static int copy_file(const struct protocol_file *req, bool exclusive)
{
        struct file_temporary t;
        struct stat st, old;
        int from = open(req->path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        int r;

        if (from < 0 || fstat(from, &st))
                return -errno;
        r = file_temporary_open(&t, req->to, exclusive, &old);
        if (r)
                return r;
        if (file_is_device(&old) && req->op != PROTOCOL_FILE_RENAME)
                r = -EINVAL;
        if (!r)
                r = copy_data(from, t.fd, st.st_size);
        if (!r)
                r = copy_attributes(from, t.fd, &st);
        if (!r)
                r = file_temporary_finish(&t, exclusive);
        if (r)
                file_temporary_abandon(&t);
        return r;
}

static int make_special(const struct file_temporary *t, const char *path, const struct stat *st)
{
        static char target[PROTOCOL_PATH_MAX + 1];
        const struct timespec times[2] = { st->st_atim, st->st_mtim };
        bool is_link = S_ISLNK(st->st_mode);

        if (is_link && readlink(path, target, PROTOCOL_PATH_MAX) < 0)
                return -errno;
        if (is_link ? symlinkat(target, t->dir, t->now) : mknodat(t->dir, t->now, st->st_mode, st->st_rdev))
                return -errno;
        if (fchownat(t->dir, t->now, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) && geteuid() == 0)
                return -errno;
        if (!is_link && fchmodat(t->dir, t->now, st->st_mode & 07777, 0))
                return -errno;
        return utimensat(t->dir, t->now, times, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

/* What is there goes only when the copy is whole: who may not make a device loses nothing. */
static int copy_special(const struct protocol_file *req, const struct stat *st, bool exclusive)
{
        struct file_temporary t;
        int r = file_temporary_begin(&t, req->to);

        if (r)
                return r;
        r = make_special(&t, req->path, st);
        if (!r)
                r = file_temporary_finish(&t, exclusive);
        if (r)
                file_temporary_abandon(&t);
        return r;
}

/* Would a copy in @fd be a part of what is copied? */
static bool is_inside(int fd, const struct stat *top)
{
        struct stat st, last = { 0 };
        bool found = false;

        for (int at = openat(fd, ".", O_PATH | O_CLOEXEC); at >= 0;) {
                int up = openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

                found = fstat(at, &st) || (st.st_dev == top->st_dev && st.st_ino == top->st_ino);
                close(at);
                at = up;
                if (found || (st.st_dev == last.st_dev && st.st_ino == last.st_ino)) { /* "/.." is "/" */
                        close(up);
                        break;
                }
                last = st;
        }
        return found;
}

/* From one process to another, so that neither has to keep anything. Return: 0 or a negative errno. */
static int stream(const struct protocol_file *req, int to)
{
        unsigned flags = TREE_CONTENTS | (req->op == PROTOCOL_FILE_RENAME ? TREE_WHOLE : 0);
        int ends[2], status = 0, r;
        pid_t pid;

        if (pipe2(ends, O_CLOEXEC) || (pid = fork()) < 0)
                return -errno;
        if (!pid) {
                close(ends[0]);
                _exit(-tree_pack(&packer, AT_FDCWD, req->path, flags, write_pipe, &ends[1]));
        }
        close(ends[1]);
        r = tree_unpack(&unpacker, to, TREE_PRIVILEGED | TREE_NUMERIC, read_pipe, &ends[0]);
        close(ends[0]);
        waitpid(pid, &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) && WEXITSTATUS(status) != EPIPE)
                return -WEXITSTATUS(status);
        return unpacked(r);
}

int file_copy_folder(const struct protocol_file *req, const struct stat *st, int dir, const char *name,
                     bool fresh)
{
        int from = open(req->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), to, r;

        if (from < 0 || (mkdirat(dir, name, 0700) && (errno != EEXIST || fresh)))
                return -errno;
        to = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (fresh ? O_NOFOLLOW : 0));
        if (to < 0)
                return -errno;
        if (is_inside(to, st)) {
                unlinkat(dir, name, AT_REMOVEDIR); /* if it was made for this */
                return -EINVAL;
        }
        r = stream(req, to);
        if (!r)
                r = copy_attributes(from, to, st);
        return r || !syncfs(to) ? r : -errno;
}

int file_copy(struct child *c, const struct protocol_file *req)
{
        bool exclusive = req->flags & PROTOCOL_FILE_EXCLUSIVE;
        struct stat st;

        (void)c;
        if (lstat(req->path, &st))
                return -errno;
        if (S_ISREG(st.st_mode))
                return copy_file(req, exclusive);
        if (!S_ISDIR(st.st_mode))
                return copy_special(req, &st, exclusive);
        if (!(req->flags & PROTOCOL_FILE_RECURSIVE))
                return -EISDIR;
        return file_copy_folder(req, &st, AT_FDCWD, req->to, exclusive);
}
