/*
 * FILE and its answers, checked and built.
 * Input:  bytes of a peer (hostile).
 * Runs:   any thread of either side; pure, no allocation, no I/O, no state.
 * Limits: PROTOCOL_USER_MAX and PROTOCOL_PATH_MAX characters.
 */
#include "guest/protocol_file.h"

#include "guest/protocol_bytes.h"

#define FILE_FIXED   48u
#define FILE_MIN     (FILE_FIXED + 3)
#define FILE_MAX     12288u
#define MODE_MAX     07777u
#define STATUS_FIXED 64u
#define EVENT_FIXED  12u

/* The flags that each operation has. */
static const uint8_t flags_of[PROTOCOL_FILE_OP_NR] = {
        [PROTOCOL_FILE_STAT] = PROTOCOL_FILE_FOLLOW,
        [PROTOCOL_FILE_LIST] = PROTOCOL_FILE_RECURSIVE,
        [PROTOCOL_FILE_READ] = PROTOCOL_FILE_FOLLOW,
        [PROTOCOL_FILE_WRITE] = PROTOCOL_FILE_PARENTS | PROTOCOL_FILE_APPEND | PROTOCOL_FILE_EXCLUSIVE,
        [PROTOCOL_FILE_MKDIR] = PROTOCOL_FILE_PARENTS,
        [PROTOCOL_FILE_REMOVE] = PROTOCOL_FILE_RECURSIVE,
        [PROTOCOL_FILE_RENAME] = PROTOCOL_FILE_EXCLUSIVE,
        [PROTOCOL_FILE_COPY] = PROTOCOL_FILE_RECURSIVE | PROTOCOL_FILE_EXCLUSIVE,
        [PROTOCOL_FILE_SYMLINK] = 0,
        [PROTOCOL_FILE_CHMOD] = PROTOCOL_FILE_RECURSIVE,
        [PROTOCOL_FILE_CHOWN] = PROTOCOL_FILE_RECURSIVE | PROTOCOL_FILE_FOLLOW,
        [PROTOCOL_FILE_PACK] = PROTOCOL_FILE_CONTENTS | PROTOCOL_FILE_FOLLOW,
        [PROTOCOL_FILE_UNPACK] = PROTOCOL_FILE_PARENTS | PROTOCOL_FILE_NUMERIC | PROTOCOL_FILE_NO_OWNER,
        [PROTOCOL_FILE_WATCH] = PROTOCOL_FILE_RECURSIVE,
};

static int check_values(uint32_t op, uint32_t flags, uint32_t mode)
{
        if (!op || op >= PROTOCOL_FILE_OP_NR)
                return PROTOCOL_E_VALUE;
        if (flags & ~(uint32_t)flags_of[op])
                return PROTOCOL_E_FLAGS;
        if (mode > MODE_MAX && mode != PROTOCOL_FILE_KEEP)
                return PROTOCOL_E_VALUE;
        return PROTOCOL_OK;
}

/* u32 what, flags, mode, uid, gid, depth; u64 offset, length, reserved; user, path, second path. */
int protocol_parse_file(const uint8_t *p, size_t len, struct protocol_file *ret)
{
        if (len < FILE_MIN || len > FILE_MAX)
                return PROTOCOL_E_LENGTH;

        int r = check_values(get32(p), get32(p + 4), get32(p + 8));

        if (r)
                return r;
        if (get64(p + 40))
                return PROTOCOL_E_RESERVED;

        const uint8_t *at = p + FILE_FIXED, *end = p + len;
        const char *user = take_string(&at, end, PROTOCOL_USER_MAX);
        const char *path = user ? take_string(&at, end, PROTOCOL_PATH_MAX) : NULL;
        const char *to = path ? take_string(&at, end, PROTOCOL_PATH_MAX) : NULL;

        if (!to || at != end)
                return PROTOCOL_E_STRING;
        *ret = (struct protocol_file){ .op = (enum protocol_file_op)get32(p),
                                       .flags = get32(p + 4),
                                       .mode = get32(p + 8),
                                       .uid = get32(p + 12),
                                       .gid = get32(p + 16),
                                       .depth = get32(p + 20),
                                       .offset = get64(p + 24),
                                       .length = get64(p + 32),
                                       .user = user,
                                       .path = path,
                                       .to = to };
        return PROTOCOL_OK;
}

static uint8_t *put_string(uint8_t *p, const char *s, size_t max)
{
        size_t len = s ? strnlen(s, max) : 0;

        if (len)
                memcpy(p, s, len);
        p[len] = 0;
        return p + len + 1;
}

int protocol_build_file(uint8_t *out, uint32_t id, const struct protocol_file *req, size_t *ret_size)
{
        const char *strings[] = { req->user, req->path, req->to };
        size_t size = FILE_FIXED;
        int r = check_values(req->op, req->flags, req->mode);

        if (r)
                return r;
        for (size_t i = 0; i < 3; i++) {
                size_t len = strings[i] ? strlen(strings[i]) : 0;

                if (len > (i ? PROTOCOL_PATH_MAX : PROTOCOL_USER_MAX))
                        return PROTOCOL_E_STRING;
                size += len + 1;
        }
        *ret_size = PROTOCOL_HEADER_SIZE + size;
        if (!out)
                return PROTOCOL_OK;

        uint8_t *p = out + PROTOCOL_HEADER_SIZE, *at = p + FILE_FIXED;

        put32(p, req->op);
        put32(p + 4, req->flags);
        put32(p + 8, req->mode);
        put32(p + 12, req->uid);
        put32(p + 16, req->gid);
        put32(p + 20, req->depth);
        put64(p + 24, req->offset);
        put64(p + 32, req->length);
        put64(p + 40, 0);
        for (size_t i = 0; i < 3; i++)
                at = put_string(at, strings[i], PROTOCOL_PATH_MAX);
        finish(out, PROTOCOL_FILE, id, size);
        return PROTOCOL_OK;
}

/* u32 size, mode, uid, gid, links, 0; u64 size, on disk, modified, inode, device; name, target; maybe more. */
int protocol_parse_status(const uint8_t *p, size_t len, struct protocol_status *ret, size_t *ret_size)
{
        if (len < STATUS_FIXED + 2)
                return PROTOCOL_E_LENGTH;

        uint32_t size = get32(p);

        if (size < STATUS_FIXED + 2 || size > len)
                return PROTOCOL_E_LENGTH;

        const uint8_t *at = p + STATUS_FIXED, *end = p + size;
        const char *name = take_string(&at, end, PROTOCOL_PATH_MAX);
        const char *target = name ? take_string(&at, end, PROTOCOL_PATH_MAX) : NULL;

        if (!target)
                return PROTOCOL_E_STRING;
        *ret = (struct protocol_status){ .mode = get32(p + 4),
                                         .uid = get32(p + 8),
                                         .gid = get32(p + 12),
                                         .nlink = get32(p + 16),
                                         .size = get64(p + 24),
                                         .disk_bytes = get64(p + 32),
                                         .mtime_ns = get64(p + 40),
                                         .ino = get64(p + 48),
                                         .rdev = get64(p + 56),
                                         .name = name,
                                         .target = target };
        *ret_size = size;
        return PROTOCOL_OK;
}

size_t protocol_put_status(uint8_t *out, const struct protocol_status *s)
{
        uint8_t *at = put_string(out + STATUS_FIXED, s->name, PROTOCOL_PATH_MAX);

        at = put_string(at, s->target, PROTOCOL_PATH_MAX);
        put32(out, (uint32_t)(at - out));
        put32(out + 4, s->mode);
        put32(out + 8, s->uid);
        put32(out + 12, s->gid);
        put32(out + 16, s->nlink);
        put32(out + 20, 0);
        put64(out + 24, s->size);
        put64(out + 32, s->disk_bytes);
        put64(out + 40, s->mtime_ns);
        put64(out + 48, s->ino);
        put64(out + 56, s->rdev);
        return (size_t)(at - out);
}

/* u32 kind, cookie, 1 for a folder; name. */
int protocol_parse_event(const uint8_t *p, size_t len, struct protocol_event *ret)
{
        if (len < EVENT_FIXED + 1)
                return PROTOCOL_E_LENGTH;
        if (get32(p) >= PROTOCOL_EVENT_NR || get32(p + 8) > 1)
                return PROTOCOL_E_VALUE;

        const uint8_t *at = p + EVENT_FIXED;
        const char *name = take_string(&at, p + len, PROTOCOL_PATH_MAX);

        if (!name)
                return PROTOCOL_E_STRING;
        *ret = (struct protocol_event){ .kind = (enum protocol_event_kind)get32(p),
                                        .cookie = get32(p + 4),
                                        .is_dir = get32(p + 8) != 0,
                                        .name = name };
        return PROTOCOL_OK;
}

size_t protocol_put_event(uint8_t *out, uint32_t id, const struct protocol_event *e)
{
        uint8_t *p = out + PROTOCOL_HEADER_SIZE;

        put32(p, e->kind);
        put32(p + 4, e->cookie);
        put32(p + 8, e->is_dir);

        uint8_t *end = put_string(p + EVENT_FIXED, e->name, PROTOCOL_PATH_MAX);

        return finish(out, PROTOCOL_EVENT, id, (size_t)(end - p));
}
