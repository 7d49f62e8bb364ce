/*
 * The lock of a running sandbox.
 * Input:  folders of the user's own.
 * Runs:   any thread of the tool.
 * Limits: none.
 */
#include "sandbox/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/sandbox.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/err.h"

static int open_it(const char *folder, int flags)
{
        char path[SANDBOX_FOLDER_MAX + 16];
        int fd;

        snprintf(path, sizeof(path), "%s/running", folder);
        fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
        return fd < 0 ? err_new(-errno) : fd;
}

/* A byte each: the monitor's, that of the tool that starts a command or watches it, those of who waits for the end. */
enum { ALIVE, ATTENDED, WAITED };

static struct flock lock_of(off_t byte, short type)
{
        return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
}

static int take(int fd, off_t byte, short type)
{
        struct flock lock = lock_of(byte, type);

        if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                return errno == EAGAIN || errno == EACCES ? LOCK_HELD : err_new(-errno);
        return 0;
}

static bool is_held(int fd, off_t byte)
{
        struct flock lock = lock_of(byte, F_RDLCK);

        return !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}

int lock_take(const char *folder, int *ret_fd)
{
        cleanup(fd_closep) int fd = open_it(folder, O_RDWR | O_CREAT);
        int r;

        if (fd < 0)
                return err_trace(fd);
        r = take(fd, ALIVE, F_WRLCK);
        if (!r)
                *ret_fd = steal_fd(&fd);
        return r;
}

bool lock_is_held(const char *folder)
{
        cleanup(fd_closep) int fd = open_it(folder, O_RDONLY);

        return fd >= 0 && is_held(fd, ALIVE);
}

int lock_begin(const char *folder)
{
        cleanup(fd_closep) int fd = open_it(folder, O_RDWR);
        int r;

        if (fd < 0)
                return err_trace(fd);
        r = take(fd, ATTENDED, F_WRLCK);
        if (!r && ftruncate(fd, 0) < 0)
                r = err_new(-errno);
        if (r)
                return r == LOCK_HELD ? err_new(-EBUSY) : r;
        return steal_fd(&fd);
}

void lock_mark(int fd)
{
        (void)!pwrite(fd, "m", 1, 0);
}

bool lock_is_orphan(const char *folder)
{
        cleanup(fd_closep) int fd = open_it(folder, O_RDONLY);
        struct stat st;

        return fd >= 0 && !fstat(fd, &st) && !st.st_size && !is_held(fd, ATTENDED);
}

bool lock_is_attended(const char *folder)
{
        cleanup(fd_closep) int fd = open_it(folder, O_RDONLY);

        return fd >= 0 && is_held(fd, ATTENDED);
}

bool lock_is_waited(const char *folder)
{
        cleanup(fd_closep) int fd = open_it(folder, O_RDONLY);

        return fd >= 0 && is_held(fd, WAITED);
}

int lock_wait(const char *folder, int *ret_fd)
{
        cleanup(fd_closep) int fd = open_it(folder, O_RDONLY);
        struct stat st;
        int r;

        if (fd < 0)
                return err_trace(fd);
        r = take(fd, WAITED, F_RDLCK);
        if (!r && (fstat(fd, &st) < 0 || !st.st_nlink)) /* removed since it was opened */
                r = err_new(-ENOENT);
        if (!r)
                *ret_fd = steal_fd(&fd);
        return r;
}

void lock_wait_unattended(int fd)
{
        struct flock lock = lock_of(ATTENDED, F_RDLCK);

        while (fcntl(fd, F_OFD_SETLKW, &lock) < 0 && errno == EINTR)
                continue;
}

bool lock_shut(int fd)
{
        return !take(fd, WAITED, F_WRLCK);
}
