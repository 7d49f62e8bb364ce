/*
 * LIST, REMOVE, CHMOD, CHOWN: what walks a tree.
 * Input:  a checked request; trees of the guest (hostile: any shape, changing).
 * Runs:   in a worker child.
 * Limits: those of walk.h; REMOVE goes deeper.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h> /* renameat() */
#include <string.h>
#include <unistd.h>

#include "guest/file_priv.h"

#define ROUNDS_MAX 10000u /* of REMOVE, against somebody who goes on making files */

static int walk(const struct protocol_file *req, bool follow, walk_fn *fn, void *ctx)
{
        int r = walk_tree(&file_walk, AT_FDCWD, req->path, follow, fn, ctx);

        if (r < 0)
                file_where = file_walk.path;
        return r;
}

struct list {
        struct child *c;
        const struct protocol_file *req;
        uint64_t at; /* entries so far, with those that are skipped */
        size_t len;  /* bytes that wait in out */
        uint8_t out[PROTOCOL_HEADER_SIZE + PROTOCOL_DATA_MAX];
};

static void send_entries(struct list *l)
{
        struct protocol_frame frame = { .type = PROTOCOL_ENTRIES, .id = l->c->id, .len = (uint32_t)l->len };

        if (l->len)
                child_send(l->c, l->out, protocol_put_header(l->out, &frame) + l->len);
        l->len = 0;
}

static int add_entry(struct list *l, const struct walk_entry *e)
{
        static char target[PROTOCOL_PATH_MAX + 1];
        struct protocol_status status;
        struct stat st;

        if (strlen(e->path) > PROTOCOL_PATH_MAX)
                return -ENAMETOOLONG;
        if (fstatat(e->dir, e->name, &st, AT_SYMLINK_NOFOLLOW))
                return errno == ENOENT ? 0 : -errno; /* it has gone */
        file_status(e->dir, e->name, &st, target, &status);
        status.name = e->path;
        if (l->len + PROTOCOL_STATUS_MAX > PROTOCOL_DATA_MAX)
                send_entries(l);
        l->len += protocol_put_status(l->out + PROTOCOL_HEADER_SIZE + l->len, &status);
        return 0;
}

static int on_list(void *ctx, enum walk_event event, const struct walk_entry *e)
{
        struct list *l = ctx;
        const struct protocol_file *req = l->req;

        if (event == WALK_LEAVE)
                return 0;
        if (!e->depth) /* the folder itself is not in it */
                return event == WALK_ENTER ? 0 : event == WALK_FILE ? -ENOTDIR : e->error;
        if (event == WALK_DENIED && e->error == -ENAMETOOLONG)
                return e->error;
        if (req->length && l->at >= req->offset && l->at - req->offset == req->length)
                return WALK_STOP;

        int r = l->at++ < req->offset ? 0 : add_entry(l, e);

        if (r || event != WALK_ENTER)
                return r;
        return req->flags & PROTOCOL_FILE_RECURSIVE && (!req->depth || e->depth < req->depth) ? 0 : WALK_SKIP;
}

int file_list(struct child *c, const struct protocol_file *req)
{
        static struct list list;
        uint8_t out[PROTOCOL_SMALL_MAX];

        list.c = c;
        list.req = req;

        int r = walk(req, true, on_list, &list);

        if (r < 0)
                return r;
        send_entries(&list);
        child_send(c, out, protocol_put_u64(out, PROTOCOL_DONE, c->id, r == WALK_STOP ? list.at : 0));
        return FILE_ANSWERED;
}

struct removal {
        int top; /* the folder that all of it is in */
        unsigned moved;
        bool again; /* something was left */
};

/* What lies deeper than can be walked is moved up to where it can be; the next round meets it there. */
static int move_up(struct removal *rm, const struct walk_entry *e)
{
        char name[] = ".vmlet-deep-0000";

        for (;;) {
                unsigned n = rm->moved++;

                for (size_t i = sizeof(name) - 2; name[i] != '-'; i--, n >>= 4)
                        name[i] = (char)('a' + (n & 15));
                if (!renameat(e->dir, e->name, rm->top, name))
                        break;
                if (errno != ENOTEMPTY && errno != EEXIST)
                        return -errno;
        }
        rm->again = true;
        return 0;
}

static int on_remove(void *ctx, enum walk_event event, const struct walk_entry *e)
{
        struct removal *rm = ctx;

        if (event == WALK_ENTER) {
                if (!e->depth)
                        rm->top = e->fd;
                return 0;
        }
        if (event == WALK_DENIED && e->error == -ENAMETOOLONG)
                return move_up(rm, e);
        if (!unlinkat(e->dir, e->name, event == WALK_FILE ? 0 : AT_REMOVEDIR) || errno == ENOENT)
                return 0;
        if (event == WALK_DENIED)
                return e->error;
        if (errno != ENOTEMPTY && errno != EEXIST && errno != EISDIR && errno != ENOTDIR)
                return -errno;
        rm->again = true; /* somebody made something meanwhile */
        return 0;
}

int file_remove_at(int dir, const char *name)
{
        if (!unlinkat(dir, name, 0))
                return 0;
        if (errno != EISDIR)
                return -errno;
        for (unsigned round = 0; round < ROUNDS_MAX; round++) {
                struct removal rm = { .top = -1 };
                int r = walk_tree(&file_walk, dir, name, false, on_remove, &rm);

                if (r == -ENOENT)
                        return 0;
                if (r || !rm.again)
                        return r;
        }
        return -ENOTEMPTY;
}

int file_remove(struct child *c, const struct protocol_file *req)
{
        int r;

        (void)c;
        if (!(req->flags & PROTOCOL_FILE_RECURSIVE)) {
                if (!unlink(req->path))
                        return 0;
                return errno == EISDIR && !rmdir(req->path) ? 0 : -errno;
        }
        file_walk.path[0] = 0;
        r = file_remove_at(AT_FDCWD, req->path);
        if (r)
                file_where = file_walk.path;
        return r;
}

static int on_chmod(void *ctx, enum walk_event event, const struct walk_entry *e)
{
        const struct protocol_file *req = ctx;
        struct stat st;

        if (event == WALK_ENTER)
                return 0;
        if (event == WALK_DENIED)
                return e->error;
        if (event == WALK_LEAVE) /* now, for the new mode may forbid to look into it */
                return fchmod(e->fd, req->mode) ? -errno : 0;
        if (fstatat(e->dir, e->name, &st, AT_SYMLINK_NOFOLLOW))
                return errno == ENOENT ? 0 : -errno;
        if (S_ISLNK(st.st_mode))
                return 0; /* has none */
        return fchmodat(e->dir, e->name, req->mode, 0) && errno != ENOENT ? -errno : 0;
}

int file_chmod(struct child *c, const struct protocol_file *req)
{
        struct protocol_file copy = *req;

        (void)c;
        if (req->mode == PROTOCOL_FILE_KEEP)
                return -EINVAL;
        if (req->flags & PROTOCOL_FILE_RECURSIVE)
                return walk(req, true, on_chmod, &copy);
        return chmod(req->path, req->mode) ? -errno : 0;
}

static int on_chown(void *ctx, enum walk_event event, const struct walk_entry *e)
{
        const struct protocol_file *req = ctx;
        int flags = e->depth || !(req->flags & PROTOCOL_FILE_FOLLOW) ? AT_SYMLINK_NOFOLLOW : 0;

        if (event == WALK_ENTER)
                return 0;
        if (event == WALK_DENIED)
                return e->error;
        return fchownat(e->dir, e->name, req->uid, req->gid, flags) && errno != ENOENT ? -errno : 0;
}

int file_chown(struct child *c, const struct protocol_file *req)
{
        struct protocol_file copy = *req;
        bool follow = req->flags & PROTOCOL_FILE_FOLLOW;

        (void)c;
        if (req->flags & PROTOCOL_FILE_RECURSIVE)
                return walk(req, follow, on_chown, &copy);
        return fchownat(AT_FDCWD, req->path, req->uid, req->gid, follow ? 0 : AT_SYMLINK_NOFOLLOW) ? -errno
                                                                                                   : 0;
}
