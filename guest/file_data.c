/*
 * READ and WRITE: bytes of one file.
 * Input:  a checked request, the client's STDIN frames (hostile).
 * Runs:   in a worker child.
 * Limits: one frame in memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "guest/file_priv.h"

#define TEMPORARY_PREFIX ".vmlet-"
#define TEMPORARY_SIZE   (sizeof(TEMPORARY_PREFIX) + 16)

int file_read(struct child *c, const struct protocol_file *req)
{
        static uint8_t out[PROTOCOL_DATA_MAX];
        struct protocol_frame frame = { .type = PROTOCOL_DATA, .id = c->id };
        uint64_t left = req->length;
        int fd = open(req->path, O_RDONLY | O_CLOEXEC);

        if (fd < 0 || (req->offset && lseek(fd, (off_t)req->offset, SEEK_SET) < 0))
                return -errno;
        while (left) {
                size_t want = left < FILE_CHUNK ? (size_t)left : FILE_CHUNK;
                ssize_t n = read(fd, out + PROTOCOL_HEADER_SIZE, want);

                if (n < 0)
                        return -errno;
                if (!n)
                        break;
                frame.len = (uint32_t)n;
                child_send(c, out, protocol_put_header(out, &frame) + (size_t)n);
                left -= (uint64_t)n;
        }
        return 0;
}

static int take_header(struct file_input *in, const uint8_t *bytes)
{
        int r = protocol_parse_header(bytes, PROTOCOL_HEADER_SIZE, PROTOCOL_FROM_CLIENT, &in->next);

        return r || in->next.type != PROTOCOL_STDIN || in->next.id != in->c->id ? -EPROTO : 0;
}

int file_input_next(struct file_input *in)
{
        uint8_t head[PROTOCOL_HEADER_SIZE];
        int r = 0;

        if (!in->begun) {
                child_receive(in->c, head, sizeof(head));
                in->begun = true;
                r = take_header(in, head);
        }
        while (!r && !in->ended) {
                uint32_t len = in->next.len;

                in->ended = in->next.flags & PROTOCOL_STDIN_END;
                child_receive(in->c, in->bytes, len + (in->ended ? 0 : PROTOCOL_HEADER_SIZE));
                if (!in->ended)
                        r = take_header(in, in->bytes + len);
                if (!r && len)
                        return (int)len;
        }
        return r;
}

static int write_all(int fd, const uint8_t *bytes, size_t len)
{
        while (len) {
                ssize_t n = write(fd, bytes, len);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0) {
                        bytes += n;
                        len -= (size_t)n;
                }
        }
        return 0;
}

static int take_input(struct child *c, int fd)
{
        static struct file_input in;
        int n;

        in.c = c;
        while ((n = file_input_next(&in)) > 0) {
                int r = write_all(fd, in.bytes, (size_t)n);

                if (r)
                        return r;
        }
        return n;
}

/* What the handler removes. */
static int temporary_dir;
static char temporary[TEMPORARY_SIZE];

static void on_term(int signal)
{
        (void)signal;
        if (*temporary)
                (void)file_remove_at(temporary_dir, temporary);
        _exit(1);
}

/* A name that nobody has: the process and the time. */
static void name_temporary(void)
{
        static const char digits[] = "0123456789abcdef";
        struct timespec t;
        uint64_t n;
        char *s = temporary + sizeof(TEMPORARY_PREFIX) - 1;

        clock_gettime(CLOCK_MONOTONIC, &t);
        n = (uint64_t)getpid() << 40 ^ (uint64_t)t.tv_sec << 30 ^ (uint64_t)t.tv_nsec;
        for (int i = 0; i < 16; i++, n >>= 4)
                s[i] = digits[n & 15];
        s[16] = 0;
        memcpy(temporary, TEMPORARY_PREFIX, sizeof(TEMPORARY_PREFIX) - 1);
}

int file_temporary_begin(struct file_temporary *t, const char *path)
{
        const struct sigaction action = { .sa_handler = on_term };
        int dir = file_split(path, &t->name);

        if (dir < 0)
                return dir;
        t->dir = temporary_dir = dir;
        t->fd = -1;
        t->now = temporary;
        name_temporary();
        sigaction(SIGTERM, &action, NULL);
        return 0;
}

int file_temporary_open(struct file_temporary *t, const char *path, bool exclusive, struct stat *ret_old)
{
        int r = file_temporary_begin(t, path);

        if (r)
                return r;
        ret_old->st_mode = 0;
        if (!fstatat(t->dir, t->name, ret_old, AT_SYMLINK_NOFOLLOW)) {
                if (exclusive)
                        return -EEXIST;
                if (S_ISDIR(ret_old->st_mode))
                        return -EISDIR;
        } else if (errno != ENOENT) {
                return -errno;
        }
        t->fd = openat(t->dir, temporary, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return t->fd < 0 ? -errno : 0;
}

void file_temporary_abandon(struct file_temporary *t)
{
        (void)file_remove_at(t->dir, temporary);
        *temporary = 0;
}

int file_temporary_finish(struct file_temporary *t, bool exclusive)
{
        if ((t->fd >= 0 && fsync(t->fd)) ||
            syscall(SYS_renameat2, t->dir, temporary, t->dir, t->name, exclusive ? FILE_NOREPLACE : 0))
                return -errno;
        *temporary = 0;
        return fsync(t->dir) && errno != EINVAL ? -errno : 0;
}

bool file_is_device(const struct stat *old)
{
        return old->st_mode && !S_ISREG(old->st_mode) && !S_ISLNK(old->st_mode);
}

int file_give(int fd, uint32_t uid, uint32_t gid, uint32_t mode)
{
        if ((uid != PROTOCOL_FILE_KEEP || gid != PROTOCOL_FILE_KEEP) && fchown(fd, uid, gid))
                return -errno;
        return mode != PROTOCOL_FILE_KEEP && fchmod(fd, mode) ? -errno : 0;
}

static int append(struct child *c, const struct protocol_file *req)
{
        bool exclusive = req->flags & PROTOCOL_FILE_EXCLUSIVE;
        int fd = open(req->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | (exclusive ? O_EXCL : 0), 0666);
        int r = fd < 0 ? -errno : file_give(fd, req->uid, req->gid, req->mode);

        if (!r)
                r = take_input(c, fd);
        if (!r && fsync(fd) && errno != EINVAL && errno != EROFS) /* not of a device */
                r = -errno;
        return r;
}

/* Gives it the owner and mode of what it replaces where the request does not say; who may not, need not. */
static int dress(const struct file_temporary *t, const struct protocol_file *req, const struct stat *old)
{
        bool replaces = S_ISREG(old->st_mode);
        mode_t mask = umask(0);
        uint32_t mode = replaces ? old->st_mode & 07777 : 0666 & ~mask;

        if (replaces)
                (void)!fchown(t->fd, old->st_uid, old->st_gid);
        return file_give(t->fd, req->uid, req->gid, req->mode == PROTOCOL_FILE_KEEP ? mode : req->mode);
}

int file_write(struct child *c, const struct protocol_file *req)
{
        bool exclusive = req->flags & PROTOCOL_FILE_EXCLUSIVE;
        struct file_temporary t;
        struct stat old;
        int r = req->flags & PROTOCOL_FILE_PARENTS ? file_parents(req->path) : 0;

        if (!r && req->flags & PROTOCOL_FILE_APPEND)
                return append(c, req);
        if (!r)
                r = file_temporary_open(&t, req->path, exclusive, &old);
        if (r)
                return r;
        r = file_is_device(&old) ? -EINVAL : take_input(c, t.fd);
        if (!r)
                r = dress(&t, req, &old);
        if (!r)
                r = file_temporary_finish(&t, exclusive);
        if (r)
                file_temporary_abandon(&t);
        return r;
}
