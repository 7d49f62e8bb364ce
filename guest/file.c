/*
 * FILE: takes the request apart, becomes the user, does it, answers. And the operations of one system call.
 * Input:  the payload of a FILE frame (client, hostile).
 * Runs:   in a worker child.
 * Limits: PROTOCOL_PATH_MAX characters of a path.
 */
#include "guest/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "guest/file_priv.h"

struct walk file_walk;
const char *file_where, *file_why;

void file_status(int dir, const char *name, const struct stat *st, char *target, struct protocol_status *ret)
{
        ssize_t n = S_ISLNK(st->st_mode) ? readlinkat(dir, name, target, PROTOCOL_PATH_MAX) : 0;

        target[n > 0 ? n : 0] = 0;
        *ret = (struct protocol_status){
                .mode = st->st_mode,
                .uid = st->st_uid,
                .gid = st->st_gid,
                .nlink = (uint32_t)st->st_nlink,
                .size = (uint64_t)st->st_size,
                .disk_bytes = (uint64_t)st->st_blocks * 512,
                .mtime_ns = (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec,
                .ino = st->st_ino,
                .rdev = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode) ? st->st_rdev : 0,
                .name = name,
                .target = target,
        };
}

static int do_stat(struct child *c, const struct protocol_file *req)
{
        static uint8_t out[PROTOCOL_HEADER_SIZE + PROTOCOL_STATUS_MAX];
        static char target[PROTOCOL_PATH_MAX + 1];
        struct protocol_frame frame = { .type = PROTOCOL_STATUS, .id = c->id };
        struct protocol_status status;
        struct stat st;

        if (fstatat(AT_FDCWD, req->path, &st, req->flags & PROTOCOL_FILE_FOLLOW ? 0 : AT_SYMLINK_NOFOLLOW))
                return -errno;
        file_status(AT_FDCWD, req->path, &st, target, &status);
        frame.len = (uint32_t)protocol_put_status(out + PROTOCOL_HEADER_SIZE, &status);
        child_send(c, out, protocol_put_header(out, &frame) + frame.len);
        return FILE_ANSWERED;
}

int file_parents(const char *path)
{
        static char part[PROTOCOL_PATH_MAX + 1];

        for (const char *slash = path; (slash = strchr(slash + 1, '/'));) {
                size_t len = (size_t)(slash - path);

                memcpy(part, path, len);
                part[len] = 0;
                if (mkdir(part, 0777) && errno != EEXIST)
                        return -errno;
        }
        return 0;
}

int file_split(const char *path, const char **ret_name)
{
        static char folder[PROTOCOL_PATH_MAX + 2];
        const char *slash = strrchr(path, '/');
        size_t len = slash ? (size_t)(slash - path) + 1 : 0;
        int fd;

        memcpy(folder, path, len);
        folder[len] = '.';
        folder[len + 1] = 0;
        *ret_name = path + len;
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int do_mkdir(struct child *c, const struct protocol_file *req)
{
        bool parents = req->flags & PROTOCOL_FILE_PARENTS;
        int r = parents ? file_parents(req->path) : 0;
        struct stat st;

        (void)c;
        if (r)
                return r;
        if (mkdir(req->path, 0777)) {
                r = -errno;
                return parents && r == -EEXIST && !stat(req->path, &st) && S_ISDIR(st.st_mode) ? 0 : r;
        }

        int fd = open(req->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        return fd < 0 ? -errno : file_give(fd, req->uid, req->gid, req->mode);
}

static int do_symlink(struct child *c, const struct protocol_file *req)
{
        (void)c;
        return symlink(req->to, req->path) ? -errno : 0;
}

static file_operation *const operations[PROTOCOL_FILE_OP_NR] = {
        [PROTOCOL_FILE_STAT] = do_stat,       [PROTOCOL_FILE_LIST] = file_list,
        [PROTOCOL_FILE_READ] = file_read,     [PROTOCOL_FILE_WRITE] = file_write,
        [PROTOCOL_FILE_MKDIR] = do_mkdir,     [PROTOCOL_FILE_REMOVE] = file_remove,
        [PROTOCOL_FILE_RENAME] = file_rename, [PROTOCOL_FILE_COPY] = file_copy,
        [PROTOCOL_FILE_SYMLINK] = do_symlink, [PROTOCOL_FILE_CHMOD] = file_chmod,
        [PROTOCOL_FILE_CHOWN] = file_chown,   [PROTOCOL_FILE_PACK] = file_pack,
        [PROTOCOL_FILE_UNPACK] = file_unpack, [PROTOCOL_FILE_WATCH] = file_watch,
};

static bool has_input(const struct protocol_file *req)
{
        return req->op == PROTOCOL_FILE_WRITE || req->op == PROTOCOL_FILE_UNPACK;
}

bool file_has_input(const uint8_t *payload, uint32_t len)
{
        struct protocol_file req;

        return !protocol_parse_file(payload, len, &req) && has_input(&req);
}

/* "link/" is the link's folder to the kernel and a link to everybody else. */
static const char *trim(const char *path, char *room)
{
        size_t len = strlen(path);

        while (len > 1 && path[len - 1] == '/')
                len--;
        memcpy(room, path, len);
        room[len] = 0;
        return room;
}

static void explain(struct child *c, const struct protocol_file *req, int error)
{
        const char *second = req->op == PROTOCOL_FILE_RENAME || req->op == PROTOCOL_FILE_COPY ? req->to : "";
        const char *where = file_where ? file_where : "";

        child_fail(c, PROTOCOL_FAULT_SYSTEM, error,
                   CHILD_WORDS(req->path, *where ? " (" : "", where, *where ? ")" : "", *second ? " to " : "",
                               second, ": ", file_why ? file_why : strerror(error)));
}

bool file_serve(struct child *c, const uint8_t *payload, uint32_t len)
{
        static char path[PROTOCOL_PATH_MAX + 1], to[PROTOCOL_PATH_MAX + 1];
        struct protocol_file req;
        int r = protocol_parse_file(payload, len, &req);

        if (r)
                return child_malformed(c, protocol_strerror(r));
        if (!child_become(c, req.user))
                return !has_input(&req);
        req.path = trim(req.path, path);
        if (req.op != PROTOCOL_FILE_SYMLINK)
                req.to = trim(req.to, to);
        r = operations[req.op](c, &req);
        if (r == FILE_ANSWERED)
                return true;
        if (!r)
                return child_done(c);
        if (r == -EPROTO && has_input(&req))
                return child_malformed(c, "only STDIN may follow");
        explain(c, &req, -r);
        return !has_input(&req); /* frames of the client may be under way */
}
