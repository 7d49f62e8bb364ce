/*
 * A file that grows no further than a limit.
 * Input:  bytes of anybody, also hostile; what lies in the folder is the user's.
 * Runs:   any thread, one at a time.
 * Limits: those that it was opened with.
 *
 * syscalls: any: writev ftruncate renameat2
 */
#include "vmm/capfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/status.h"

bool capfile_is_for(const char *path)
{
        struct stat st;

        return stat(path, &st) < 0 || S_ISREG(st.st_mode);
}

/* Return: 0, or -1 with *p filled. */
static int set_names(struct capfile *f, const char *what, const char *path, struct problem *p)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        char folder[PATH_MAX];
        size_t len = strlen(name);

        if (!len || len + 2 > NAME_MAX || strlen(path) >= sizeof(folder))
                return problem_set(p, VMM_E_USAGE, "%s: '%s' cannot be the name of a file", what, path);
        memcpy(f->names[0], name, len + 1);
        memcpy(f->names[1], name, len);
        memcpy(f->names[1] + len, ".1", 3);
        (void)snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
                       slash ? path : ".");
        f->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (f->folder < 0)
                return problem_set(p, VMM_E_INPUT, "cannot write %s to '%s': %s", what, path,
                                   strerror(errno));
        return 0;
}

int capfile_open(struct capfile *f, const char *what, const char *path, uint64_t limit_bytes, bool keep,
                 struct problem *p)
{
        int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (keep ? 0 : O_TRUNC);
        struct stat st[2];

        f->max_bytes = limit_bytes / 2;
        if (set_names(f, what, path, p))
                return -1;
        for (unsigned i = 0; i < 2; i++) {
                f->fds[i] = openat(f->folder, f->names[i], flags, 0600);
                if (f->fds[i] < 0 || fstat(f->fds[i], &st[i]) < 0)
                        return problem_set(p, VMM_E_INPUT, "cannot write %s to '%s%s': %s", what, path,
                                           i ? ".1" : "", strerror(errno));
                if (!S_ISREG(st[i].st_mode))
                        return problem_set(p, VMM_E_INPUT, "cannot write %s to '%s%s': it is no plain file",
                                           what, path, i ? ".1" : "");
        }
        f->size_bytes = (uint64_t)st[0].st_size;
        return 0;
}

void capfile_close(struct capfile *f)
{
        fd_closep(&f->folder);
        fd_closep(&f->fds[0]);
        fd_closep(&f->fds[1]);
}

/* The older part goes, the newer one becomes it. In this order nobody reads them the wrong way round. */
static void turn(struct capfile *f)
{
        int fd = f->fds[0];

        (void)!ftruncate(f->fds[1], 0);
        if (renameat2(f->folder, f->names[0], f->folder, f->names[1], RENAME_EXCHANGE) < 0) {
                (void)!ftruncate(fd, 0);
        } else {
                f->fds[0] = f->fds[1];
                f->fds[1] = fd;
        }
        f->size_bytes = 0;
}

void capfile_write(struct capfile *f, const struct iovec *parts, unsigned nr)
{
        size_t len = 0;
        ssize_t n;

        for (unsigned i = 0; i < nr; i++)
                len += parts[i].iov_len;
        if (len > f->max_bytes) {
                f->lost_bytes += len;
                return;
        }
        if (len > f->max_bytes - f->size_bytes || f->size_bytes > f->max_bytes)
                turn(f);
        do
                n = writev(f->fds[0], parts, (int)nr);
        while (n < 0 && errno == EINTR);
        if (n == (ssize_t)len) {
                f->size_bytes += len;
                return;
        }
        f->lost_bytes += len;
        if (n > 0 && ftruncate(f->fds[0], (off_t)f->size_bytes) < 0)
                f->size_bytes += (uint64_t)n;
}
