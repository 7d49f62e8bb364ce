/*
 * Unix sockets with a name: whose file is replaced, whose is not, who may connect.
 */
#include "vmm/base/uds.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "tests/unit/run.h"
#include "vmm/base/cleanup.h"

#define STATUS 3

static char folder[] = "/tmp/uds.XXXXXX";
static char path[sizeof(folder) + 8];

static void set_up(void)
{
        ck_assert_ptr_nonnull(mkdtemp(folder));
        (void)snprintf(path, sizeof(path), "%s/v", folder);
}

static void tear_down(void)
{
        (void)unlink(path);
        ck_assert_msg(!rmdir(folder), "something is left in %s", folder);
}

static int listen_at(const char *at, struct uds *uds, struct problem *p)
{
        int fd = -1;

        *p = (struct problem){ 0 };
        if (uds_listen("odd", at, STATUS, p, uds, &fd)) {
                ck_assert_int_eq(p->status, STATUS);
                ck_assert_ptr_nonnull(strstr(p->text, "odd socket"));
                return -1;
        }
        return fd;
}

START_TEST(test_listen)
{
        struct uds uds;
        struct problem p;
        struct stat st;
        int fd;

        set_up();
        (void)umask(0);
        fd = listen_at(path, &uds, &p);
        ck_assert_int_ge(fd, 0);
        ck_assert(!lstat(path, &st) && S_ISSOCK(st.st_mode));
        ck_assert_uint_eq(st.st_mode & 0777, 0600);
        ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
        ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        /* Somebody listens. */
        ck_assert_int_lt(listen_at(path, &(struct uds){ 0 }, &p), 0);
        ck_assert_ptr_nonnull(strstr(p.text, "in use"));
        /* Nobody any more: the file is replaced, and the old owner leaves the new one alone. */
        close(fd);
        fd = listen_at(path, &(struct uds){ 0 }, &p);
        ck_assert_int_ge(fd, 0);
        uds.ino++; /* file systems give the number of a removed file again */
        uds_unlink(&uds);
        ck_assert(!lstat(path, &st));
        close(fd);
        tear_down();
}
END_TEST

START_TEST(test_unlink)
{
        struct uds uds;
        struct problem p;
        struct stat st;
        int fd;

        set_up();
        fd = listen_at(path, &uds, &p);
        ck_assert_int_ge(fd, 0);
        close(fd);
        uds_unlink(&uds);
        ck_assert(lstat(path, &st) < 0 && errno == ENOENT);
        uds_unlink(&uds);
        tear_down();
}
END_TEST

START_TEST(test_not_a_socket)
{
        struct problem p;
        struct stat st;
        int fd;

        set_up();
        fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        close(fd);
        ck_assert_int_lt(listen_at(path, &(struct uds){ 0 }, &p), 0);
        ck_assert_ptr_nonnull(strstr(p.text, "not a socket"));
        ck_assert(!lstat(path, &st) && S_ISREG(st.st_mode));
        ck_assert(!unlink(path) && !symlink("/nowhere", path));
        ck_assert_int_lt(listen_at(path, &(struct uds){ 0 }, &p), 0);
        ck_assert(!unlink(path));
        ck_assert_int_lt(listen_at("/nowhere/at/all", &(struct uds){ 0 }, &p), 0);
        ck_assert_int_lt(listen_at("", &(struct uds){ 0 }, &p), 0);
        tear_down();
}
END_TEST

START_TEST(test_path_limit)
{
        char at[UDS_PATH_MAX + 2], port[UDS_PATH_MAX + 16];
        struct uds uds;
        struct problem p;
        int fd;

        set_up();
        memset(at, 'x', sizeof(at));
        memcpy(at, path, strlen(path));
        at[UDS_PATH_MAX] = 0;
        fd = listen_at(at, &uds, &p);
        ck_assert_int_ge(fd, 0);
        /* The longest name that belongs to it. */
        (void)snprintf(port, sizeof(port), "%s_%u", at, UINT32_MAX);
        ck_assert_int_eq(uds_connect(port), -ENOENT);
        close(fd);
        uds_unlink(&uds);
        at[UDS_PATH_MAX] = 'x';
        at[UDS_PATH_MAX + 1] = 0;
        ck_assert_int_lt(listen_at(at, &uds, &p), 0);
        ck_assert_ptr_nonnull(strstr(p.text, "96"));
        (void)snprintf(port, sizeof(port), "%sx%u", at, UINT32_MAX);
        ck_assert_int_eq(uds_connect(port), -ENAMETOOLONG);
        tear_down();
}
END_TEST

START_TEST(test_connect)
{
        char name[sizeof(path) + 8];
        struct uds uds;
        struct problem p;
        int server, client, fd;

        set_up();
        (void)snprintf(name, sizeof(name), "%s_80", path);
        ck_assert_int_eq(uds_connect(name), -ENOENT);
        server = listen_at(name, &uds, &p);
        ck_assert_int_ge(server, 0);
        client = uds_connect(name);
        ck_assert_int_ge(client, 0);
        ck_assert(fcntl(client, F_GETFL) & O_NONBLOCK);
        fd = accept4(server, NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        close(fd);
        close(client);
        close(server);
        ck_assert_int_eq(uds_connect(name), -ECONNREFUSED);
        uds_unlink(&uds);
        tear_down();
}
END_TEST

/* A server that accepts nobody must not make the monitor wait. */
START_TEST(test_backlog_is_full)
{
        struct sockaddr_un a = { .sun_family = AF_UNIX };
        int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int fds[4], n = 0, r;

        set_up();
        (void)snprintf(a.sun_path, sizeof(a.sun_path), "%s_1", path);
        ck_assert(!bind(server, (struct sockaddr *)&a, sizeof(a)) && !listen(server, 0));
        while ((r = uds_connect(a.sun_path)) >= 0) {
                ck_assert_int_lt(n, 4);
                fds[n++] = r;
        }
        ck_assert_int_eq(r, -EAGAIN);
        while (n)
                close(fds[--n]);
        close(server);
        ck_assert(!unlink(a.sun_path));
        tear_down();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_listen,     test_unlink,  test_not_a_socket,
                                       test_path_limit, test_connect, test_backlog_is_full };

        return run_tests("uds", tests, array_size(tests));
}
