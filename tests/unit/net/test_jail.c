/*
 * The gateway's walls, from inside: what it needs goes on, everything else ends the process or is refused.
 */
#include "net/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/run.h"

static char folder[] = "/tmp/vmlet-jail-XXXXXX";

static int sockets(void)
{
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        struct ifaddrs *all = NULL;
        int ends[2], fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        char *large = malloc(32u << 20);

        if (fd < 0 || bind(fd, (const struct sockaddr *)&to, sizeof(to)) || !large)
                return 1;
        memset(large, 1, 32u << 20);
        free(large);
        return getifaddrs(&all) || socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
}

static int listens(void)
{
        return listen(0, 1);
}
static int read_file(void)
{
        return open("/etc/hostname", O_RDONLY | O_CLOEXEC);
}
static int read_fileat(void)
{
        return (int)syscall(SYS_openat, AT_FDCWD, "/etc/hostname", O_RDONLY);
}
static int make_folder(void)
{
        return mkdir("/tmp/vmlet-jail-made", 0700);
}
static int start(void)
{
        return execl("/bin/true", "true", NULL);
}
static int split(void)
{
        return (int)fork();
}
static int unix_socket(void)
{
        return socket(AF_UNIX, SOCK_STREAM, 0);
}
static int packet_socket(void)
{
        return socket(AF_PACKET, SOCK_RAW, 0);
}
static int datagrams(void)
{
        return socketpair(AF_UNIX, SOCK_DGRAM, 0, (int[2]){ 0 });
}
static int signal_other(void)
{
        return kill(1, 0);
}
static int trace(void)
{
        return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}
static int limits(void)
{
        return (int)syscall(SYS_prlimit64, 0, 0, NULL, NULL);
}
static int namespace(void)
{
        return (int)syscall(SYS_unshare, 0x10000000);
}
static int ring(void)
{
        return (int)syscall(SYS_io_uring_setup, 1, NULL);
}
static int old_abi(void)
{
        return (int)syscall(0x40000000 + SYS_getpid);
}

static int code(void)
{
        return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static const struct {
        const char *what;
        int (*call)(void);
        bool left; /* else it ends the process */
} rows[] = {
        { "sockets and memory", sockets, true },
        { "listening", listens, false },
        { "open", read_file, false },
        { "openat", read_fileat, false },
        { "mkdir", make_folder, false },
        { "execve", start, false },
        { "fork", split, false },
        { "a Unix socket", unix_socket, false },
        { "a packet socket", packet_socket, false },
        { "a pair of datagram sockets", datagrams, false },
        { "kill", signal_other, false },
        { "ptrace", trace, false },
        { "prlimit", limits, false },
        { "unshare", namespace, false },
        { "io_uring", ring, false },
        { "the other ABI", old_abi, false },
        { "memory with code", code, false },
};

static int run_inside(int (*call)(void), int fd)
{
        pid_t pid = fork();
        int status;

        if (!pid) {
                if (jail_enter((const int[]){ fd, -1 }) < 0)
                        _exit(100);
                _exit(call());
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return status;
}

START_TEST(test_calls)
{
        int status = run_inside(rows[_i].call, -1);

        if (rows[_i].left)
                ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%s: %x", rows[_i].what,
                              (unsigned)status);
        else
                ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: %x", rows[_i].what,
                              (unsigned)status);
}
END_TEST

static void make(const char *name)
{
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "%s/%s", folder, name);
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        close(fd);
}

static int folder_fd;

static int outside(void)
{
        return !(unlink("/tmp/vmlet-jail-outside") < 0 && (errno == EACCES || errno == EPERM)) ||
               !(renameat2(folder_fd, "a", AT_FDCWD, "/tmp/vmlet-jail-outside", RENAME_EXCHANGE) < 0 &&
                 (errno == EACCES || errno == EPERM || errno == EXDEV));
}

/* Without Landlock in the kernel both are refused everywhere. */
static int inside(void)
{
        char path[64];

        snprintf(path, sizeof(path), "%s/a", folder);
        return (renameat2(folder_fd, "a", folder_fd, "b", RENAME_EXCHANGE) < 0 && errno != EPERM) ||
               (unlink(path) < 0 && errno != EPERM);
}

START_TEST(test_paths)
{
        int fd, status;

        ck_assert_ptr_nonnull(mkdtemp(folder));
        make("a");
        make("b");
        fd = open("/tmp/vmlet-jail-outside", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        ck_assert_int_ge(fd, 0);
        close(fd);
        folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        status = run_inside(outside, folder_fd);
        ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%x", (unsigned)status);
        ck_assert_int_eq(access("/tmp/vmlet-jail-outside", F_OK), 0);
        status = run_inside(inside, folder_fd);
        ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status), "%x", (unsigned)status);
        (void)unlink("/tmp/vmlet-jail-outside");
        (void)unlinkat(folder_fd, "a", 0);
        (void)unlinkat(folder_fd, "b", 0);
        close(folder_fd);
        ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

int main(void)
{
        const struct run_test tests[] = { { test_calls, (int)array_size(rows) }, { test_paths, 1 } };

#ifdef __SANITIZE_ADDRESS__
        return 0; /* the filter is not put up */
#endif
        return run_loop_tests("jail", tests, array_size(tests));
}
