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

int lock_take(const char *folder, int *ret_fd)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        cleanup(fd_closep) int fd = open_it(folder, O_RDWR | O_CREAT);

        if (fd < 0)
                return err_trace(fd);
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                return errno == EAGAIN || errno == EACCES ? LOCK_HELD : err_new(-errno);
        *ret_fd = steal_fd(&fd);
        return 0;
}

bool lock_is_held(const char *folder)
{
        struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
        cleanup(fd_closep) int fd = open_it(folder, O_RDONLY);

        return fd >= 0 && !fcntl(fd, F_OFD_GETLK, &lock) && lock.l_type != F_UNLCK;
}
