/*
 * Unix sockets with a name.
 * Input:  paths of a person, and what lies there.
 * Runs:   main thread before confinement; uds_connect() on the loop thread or in a broker.
 * Limits: UDS_PATH_MAX bytes of path, BACKLOG clients that wait.
 *
 * syscalls: loop: socket connect
 */
#include "vmm/base/uds.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/err.h"

#define BACKLOG 128

/* How long the folder may be locked by somebody who looks for a dead socket as we do. */
#define LOCK_TRIES   50
#define LOCK_WAIT_MS 10

static_assert(UDS_PATH_MAX + sizeof("_4294967295") <= sizeof(((struct sockaddr_un *)0)->sun_path),
              "<path>_<port> must fit");

static struct sockaddr_un address_of(const char *path)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };

        (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
        return a;
}

static int new_socket(void)
{
        return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

int uds_connect(const char *path)
{
        cleanup(fd_closep) int fd = -1;
        struct sockaddr_un a = address_of(path);

        if (strlen(path) >= sizeof(a.sun_path))
                return err_new(-ENAMETOOLONG);
        fd = new_socket();
        if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
                return err_new(-errno);
        return steal_fd(&fd);
}

/*
 * Two who start at the same time must not both find the same socket dead and unlink each other's new
 * one. They agree by a lock on the folder. Whoever may write there may hold it, so it is not waited for
 * long, and without it only that race is open.
 */
static int lock_folder(const char *path)
{
        char folder[UDS_PATH_MAX + 1];
        struct timespec wait = { .tv_nsec = LOCK_WAIT_MS * 1000000 };
        char *slash;
        int fd;

        (void)snprintf(folder, sizeof(folder), "%s", path);
        slash = strrchr(folder, '/');
        if (!slash)
                (void)snprintf(folder, sizeof(folder), ".");
        else if (slash == folder)
                folder[1] = 0;
        else
                *slash = 0;
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        for (int i = 0; fd >= 0 && i < LOCK_TRIES && flock(fd, LOCK_EX | LOCK_NB) < 0; i++)
                (void)nanosleep(&wait, NULL);
        return fd;
}

/* The words for what goes wrong. */
struct words {
        const char *what; /* "vsock" */
        int status;
        struct problem *problem;
};

static int cannot(const struct words *w, const char *verb, const char *path)
{
        return problem_set(w->problem, w->status, "cannot %s the %s socket '%s': %s", verb, w->what, path,
                           strerror(errno));
}

/* Return: 0 when @path may be bound. */
static int make_room(const struct words *w, const char *path)
{
        cleanup(fd_closep) int peer = -1;
        struct stat st;

        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : cannot(w, "use", path);
        if (!S_ISSOCK(st.st_mode))
                return problem_set(w->problem, w->status,
                                   "the %s socket '%s' exists and is not a socket: name another", w->what,
                                   path);
        peer = uds_connect(path);
        if (peer >= 0 || peer == -EAGAIN)
                return problem_set(w->problem, w->status,
                                   "the %s socket '%s' is in use by another process: name another", w->what,
                                   path);
        errno = -peer;
        if (peer != -ECONNREFUSED)
                return cannot(w, "use", path);
        return unlink(path) < 0 ? cannot(w, "replace", path) : 0;
}

static int make(const struct words *w, const char *path, struct uds *ret, int *ret_fd)
{
        cleanup(fd_closep) int fd = -1;
        struct sockaddr_un a = address_of(path);
        struct stat st;

        if (make_room(w, path))
                return -1;
        fd = new_socket();
        /* The file that bind() makes has the socket's own mode, less the umask: 0600 from its first moment. */
        if (fd < 0 || fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
                return cannot(w, "make", path);
        if (listen(fd, BACKLOG) < 0 || lstat(path, &st) < 0) {
                (void)cannot(w, "listen on", path);
                (void)unlink(path);
                return -1;
        }
        *ret = (struct uds){ .dev = st.st_dev, .ino = st.st_ino };
        (void)snprintf(ret->path, sizeof(ret->path), "%s", path);
        *ret_fd = steal_fd(&fd);
        return 0;
}

int uds_listen(const char *what, const char *path, int status, struct problem *problem, struct uds *ret,
               int *ret_fd)
{
        const struct words w = { .what = what, .status = status, .problem = problem };
        int lock, r;

        if (!*path || strlen(path) > UDS_PATH_MAX)
                return problem_set(problem, status, "the path of the %s socket must have 1 to %u bytes: '%s'",
                                   what, UDS_PATH_MAX, path);
        lock = lock_folder(path);
        r = make(&w, path, ret, ret_fd);
        fd_closep(&lock);
        return r;
}

void uds_unlink(struct uds *uds)
{
        struct stat st;

        if (*uds->path && !lstat(uds->path, &st) && st.st_dev == uds->dev && st.st_ino == uds->ino)
                (void)unlink(uds->path);
        *uds->path = 0;
}
