/*
 * FILE: takes the request apart, becomes the user, does it, answers.
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

typedef int operation(struct child *c, const struct protocol_file *req);

static operation *const operations[PROTOCOL_FILE_OP_NR] = {
        [PROTOCOL_FILE_STAT] = do_stat,
};

bool file_has_input(const uint8_t *payload, uint32_t len)
{
        struct protocol_file req;

        return !protocol_parse_file(payload, len, &req) &&
               (req.op == PROTOCOL_FILE_WRITE || req.op == PROTOCOL_FILE_UNPACK);
}

bool file_serve(struct child *c, const uint8_t *payload, uint32_t len)
{
        struct protocol_file req;
        int r = protocol_parse_file(payload, len, &req);

        if (r)
                return child_malformed(c, protocol_strerror(r));

        bool has_input = req.op == PROTOCOL_FILE_WRITE || req.op == PROTOCOL_FILE_UNPACK;

        if (!operations[req.op]) {
                child_fail(c, PROTOCOL_FAULT_UNSUPPORTED, 0, CHILD_WORDS("this agent does not have it"));
                return !has_input;
        }
        if (!child_become(c, req.user))
                return !has_input;
        r = operations[req.op](c, &req);
        if (r == FILE_ANSWERED)
                return true;
        if (!r)
                return child_done(c);
        child_fail(c, PROTOCOL_FAULT_SYSTEM, -r, CHILD_WORDS(req.path, ": ", strerror(-r)));
        return !has_input; /* frames of the client may be under way */
}
