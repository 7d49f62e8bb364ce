/*
 * What vmlet-net may still do.
 * Input:  none.
 * Runs:   main thread, once.
 * Limits: none.
 *
 * The filter is the wall everywhere; Landlock, where the kernel has it, keeps the two calls that take a path to the
 * folders that they are for. Without it these two fail: a full file of events is emptied instead of put aside, and
 * the control socket's name stays.
 */
#include "net/jail.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/err.h"

#define ACCESS_ALL_V1 0x1fffull /* LANDLOCK_ACCESS_FS_EXECUTE to _MAKE_SYM */
#define ACCESS_REFER  (1ull << 13)
#define ACCESS_CUT    (1ull << 14)
#define SOCKET_TYPE   0xfu
#define X32_BIT       0x40000000u
#define ARG_LOW(n)    (offsetof(struct seccomp_data, args) + 8u * (n))

/* A sanitizer's runtime needs more than the program: it reads /proc, and starts a thread. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED true
#else
#define SANITIZED false
#endif

#define LOAD(field)    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (field))
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, (action))
/* If it is this call, the next @n statements are about it; else they are skipped. */
#define CALL(nr, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, (n))
#define ALLOW(nr)   CALL(nr, 1), RETURN(SECCOMP_RET_ALLOW)
#define KILL        SECCOMP_RET_KILL_PROCESS

/* syscalls: loop: all of ALLOW below, and what is filtered by argument behind them */
static struct sock_filter filter[] = {
        LOAD(offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        RETURN(KILL),
        LOAD(offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1),
        RETURN(KILL),
        /* the loop */
        ALLOW(SYS_epoll_wait),
        ALLOW(SYS_epoll_pwait),
        ALLOW(SYS_epoll_ctl),
        ALLOW(SYS_clock_gettime),
        ALLOW(SYS_read),
        ALLOW(SYS_write),
        ALLOW(SYS_close),
        ALLOW(SYS_restart_syscall),
        /* wire and sockets */
        ALLOW(SYS_recvfrom),
        ALLOW(SYS_sendto),
        ALLOW(SYS_recvmsg),
        ALLOW(SYS_sendmsg),
        ALLOW(SYS_readv),
        ALLOW(SYS_writev),
        ALLOW(SYS_connect),
        ALLOW(SYS_bind),
        ALLOW(SYS_accept4),
        ALLOW(SYS_shutdown),
        ALLOW(SYS_getsockopt),
        ALLOW(SYS_setsockopt),
        ALLOW(SYS_getsockname),
        ALLOW(SYS_getpeername),
        ALLOW(SYS_getrandom),
        ALLOW(SYS_fcntl),
        /* files of ours that are open, and the control socket's name */
        ALLOW(SYS_ftruncate),
        ALLOW(SYS_fstat),
        ALLOW(SYS_newfstatat),
        /* memory, and the way out */
        ALLOW(SYS_brk),
        ALLOW(SYS_munmap),
        ALLOW(SYS_mremap),
        ALLOW(SYS_madvise),
        ALLOW(SYS_futex),
        ALLOW(SYS_rt_sigreturn),
        ALLOW(SYS_rt_sigprocmask),
        ALLOW(SYS_rt_sigaction),
        ALLOW(SYS_getpid),
        ALLOW(SYS_gettid),
        ALLOW(SYS_exit),
        ALLOW(SYS_exit_group),
        /* Paths: set_paths() lets them through when Landlock looks after them. */
        CALL(SYS_renameat2, 1),
        RETURN(SECCOMP_RET_ERRNO | EPERM),
        CALL(SYS_unlink, 1),
        RETURN(SECCOMP_RET_ERRNO | EPERM),
        /* A signal to itself, whose number set_self() writes: abort(3). */
        CALL(SYS_tgkill, 4),
        LOAD(ARG_LOW(0)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(KILL),
        CALL(SYS_mmap, 4),
        LOAD(ARG_LOW(2)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(KILL),
        CALL(SYS_mprotect, 4),
        LOAD(ARG_LOW(2)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 1, 0),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(KILL),
        /* IP, and the kernel's list of this host's addresses. */
        CALL(SYS_socket, 6),
        LOAD(ARG_LOW(0)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 1),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(KILL),
        /* Streams, which cannot be connected to anybody else. */
        CALL(SYS_socketpair, 5),
        LOAD(ARG_LOW(1)),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, SOCKET_TYPE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 0, 1),
        RETURN(SECCOMP_RET_ALLOW),
        RETURN(KILL),
        RETURN(KILL),
};

static void set_paths(bool allowed)
{
        for (size_t i = 0; i + 1 < array_size(filter); i++)
                if (filter[i].code == (BPF_JMP | BPF_JEQ | BPF_K) &&
                    (filter[i].k == SYS_renameat2 || filter[i].k == SYS_unlink) && filter[i].jf == 1)
                        filter[i + 1].k = allowed ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM;
}

static void set_self(void)
{
        for (size_t i = 0; i + 2 < array_size(filter); i++)
                if (filter[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && filter[i].k == SYS_tgkill)
                        filter[i + 2].k = (uint32_t)getpid();
}

/* Return: whether the kernel keeps us within @folders. */
static bool lock_land(const int folders[2])
{
        long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
        struct landlock_ruleset_attr attr = { .handled_access_fs = ACCESS_ALL_V1 };
        cleanup(fd_closep) int rules = -1;

        if (version < 1)
                return false;
        attr.handled_access_fs |= (version >= 2 ? ACCESS_REFER : 0) | (version >= 3 ? ACCESS_CUT : 0);
        rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
        for (unsigned i = 0; rules >= 0 && i < 2; i++) {
                const struct landlock_path_beneath_attr beneath = {
                        .parent_fd = folders[i],
                        .allowed_access = LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG,
                };

                if (folders[i] >= 0 &&
                    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0))
                        return false;
        }
        return rules >= 0 && !syscall(SYS_landlock_restrict_self, rules, 0);
}

static int drop_privileges(void)
{
        struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct none[2] = { { 0 }, { 0 } };

        if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return err_new(-errno);
        return syscall(SYS_capset, &head, none) < 0 ? err_new(-errno) : 0;
}

int jail_enter(const int folders[2])
{
        const struct sock_fprog program = { .len = (unsigned short)array_size(filter), .filter = filter };
        int r;

        if (SANITIZED)
                return 0;
        tzset(); /* gmtime(3) reads /etc/localtime the first time, though it has no use for it */
        r = drop_privileges();
        if (r < 0)
                return err_trace(r);
        set_paths(lock_land(folders));
        set_self();
        return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0 ? err_new(-errno) : 0;
}
