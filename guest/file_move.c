/*
 * RENAME: the kernel's, or where that says EXDEV the same by a copy and a removal.
 * Input:  a checked request, trees of the guest.
 * Runs:   in a worker child.
 * Limits: those of tree.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/file_priv.h"

/*
 * The copy is whole before it gets its name, and gets it by a rename: so what may be there, and what happens to it, is
 * as in any other. What cannot work is refused before the work.
 */
static int move_folder(const struct protocol_file *req, const struct stat *st)
{
        bool exclusive = req->flags & PROTOCOL_FILE_EXCLUSIVE;
        struct file_temporary t;
        struct stat old;
        int r = file_temporary_begin(&t, req->to);

        if (r)
                return r;
        if (!fstatat(t.dir, t.name, &old, AT_SYMLINK_NOFOLLOW) && (exclusive || !S_ISDIR(old.st_mode)))
                return exclusive ? -EEXIST : -ENOTDIR;
        r = file_copy_folder(req, st, t.dir, t.now, true);
        if (!r)
                r = file_temporary_finish(&t, exclusive);
        if (r) {
                (void)!fchmodat(t.dir, t.now, 0700,
                                0); /* it may have its own mode already, without a way in */
                file_temporary_abandon(&t);
        }
        return r;
}

/* May the name of @path go away? */
static int check_source(const char *path)
{
        const char *name;
        int dir = file_split(path, &name), r;

        if (dir < 0)
                return dir;
        r = faccessat(dir, ".", W_OK | X_OK, 0) ? -errno : 0;
        close(dir);
        return r;
}

/*
 * To another file system, and for a folder of an overlay's image: all there or nothing gone, but not at once.
 */
static int move(struct child *c, const struct protocol_file *req)
{
        struct protocol_file source = *req;
        struct stat st, there;
        int r;

        if (lstat(req->path, &st))
                return -errno;
        /* Two mounts of one file system: to the kernel another one, and the copy would replace its own source. */
        if (!lstat(req->to, &there) && there.st_dev == st.st_dev && there.st_ino == st.st_ino)
                return req->flags & PROTOCOL_FILE_EXCLUSIVE ? -EEXIST : 0;
        r = check_source(req->path);
        if (r)
                return r;
        r = S_ISDIR(st.st_mode) ? move_folder(req, &st) : file_copy(c, req);
        source.flags = PROTOCOL_FILE_RECURSIVE;
        return r ? r : file_remove(c, &source);
}

int file_rename(struct child *c, const struct protocol_file *req)
{
        unsigned flags = req->flags & PROTOCOL_FILE_EXCLUSIVE ? FILE_NOREPLACE : 0;

        if (!syscall(SYS_renameat2, AT_FDCWD, req->path, AT_FDCWD, req->to, flags))
                return 0;
        return errno == EXDEV ? move(c, req) : -errno;
}
