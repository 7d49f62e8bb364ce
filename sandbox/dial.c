/*
 * Connects to a socket by its path.
 * Input:  a path (the user, or a sandbox's folder).
 * Runs:   any thread; does not wait.
 * Limits: PATH_MAX.
 */
#include "sandbox/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"

#define DIAL_FAILED 125

/*
 * An address holds 107 characters: a longer path goes by a descriptor of its folder. Not inlined: what most do
 * without would cost them two pages of stack.
 */
static noinline int fill_by_folder(const char *path, struct sockaddr_un *ret, int *ret_folder)
{
        const char *slash = strrchr(path, '/');
        char folder[PATH_MAX];
        int n;

        if (!slash || (size_t)(slash - path) >= sizeof(folder))
                return err_new(-ENAMETOOLONG);
        memcpy(folder, path, (size_t)(slash - path));
        folder[slash - path] = 0;
        *ret_folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (*ret_folder < 0)
                return err_new(-errno);
        n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", *ret_folder, slash + 1);
        return n < (int)sizeof(ret->sun_path) ? 0 : err_new(-ENAMETOOLONG);
}

static int fill(const char *path, struct sockaddr_un *ret, int *ret_folder)
{
        size_t len = strlen(path);

        ret->sun_family = AF_UNIX;
        if (!len)
                return err_new(-EINVAL);
        if (len >= sizeof(ret->sun_path))
                return fill_by_folder(path, ret, ret_folder);
        memcpy(ret->sun_path, path, len + 1);
        return 0;
}

int dial_connect(const char *path)
{
        struct sockaddr_un address = { 0 };
        cleanup(fd_closep) int folder = -1;
        cleanup(fd_closep) int fd = -1;
        int r = fill(path, &address, &folder);

        if (r < 0)
                return err_trace(r);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)))
                return err_new(-errno);
        return steal_fd(&fd);
}

static const char *explain(const char *path, int error)
{
        struct stat st;

        switch (-error) {
        case ENOENT:
        case ENOTDIR:
                return "no such socket: is the VM running, with --vsock?";
        case ECONNREFUSED:
                if (!stat(path, &st) && !S_ISSOCK(st.st_mode))
                        return "not a socket: give the path that the VM was started with";
                return "nobody listens on it: the VM that made it has ended";
        case EPROTOTYPE:
                return "not a stream socket: give the path that the VM was started with";
        case EINVAL:
                return "a socket path has at least one character";
        default:
                return strerror(-error);
        }
}

void dial_explain(const char *path, const char *name, int error, struct problem *ret)
{
        (void)!problem_set(ret, DIAL_FAILED, "%.200s: %s", name, explain(path, error));
}
