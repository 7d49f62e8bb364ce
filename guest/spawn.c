/*
 * Spawn: turns a checked EXEC request into a process.
 * Input:  struct protocol_exec (checked, its strings hostile).
 * Runs:   the agent's only thread; child() in the child, on the parent's memory while that waits.
 * Limits: PROTOCOL_ARGS_MAX arguments, PROTOCOL_ENV_MAX variables and two of our own.
 */
#include "guest/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "guest/environment.h"
#include "guest/terminal.h"
#include "guest/user.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define HOME_PREFIX  "HOME="

#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#define WITH_VM     0x00000100ull /* CLONE_VM and others of <linux/sched.h> */
#define CLEAR_TID   0x00200000ull
#define INTO_CGROUP 0x200000000ull
#define FUTEX_WAIT  0 /* of <linux/futex.h> */

#define STACK_SIZE      (16u << 10) /* of the child until it is another program: a path and some frames */
#define STOPPED_LOOK_NS 50000000

enum stage { STAGE_NONE, STAGE_TERMINAL, STAGE_LIMIT, STAGE_USER, STAGE_CWD, STAGE_EXEC };

struct plan {
        const struct protocol_exec *req;
        const char *const *args, *const *env;
        const char *path;
        const struct user *user;
        int in, out, err, cgroup;
        volatile enum stage failed; /* written by the child, read once it has left our memory */
        volatile int error;
        uint32_t on_our_memory; /* cleared by the kernel, which wakes us up */
        bool stopped;
};

static void fail(struct plan *plan, enum stage stage)
{
        plan->error = errno;
        plan->failed = stage;
}

/*
 * execvp() would read our environment, and run what has no #! with a shell, which exec in a container does
 * not.
 */
static void search(struct plan *plan)
{
        const char *name = plan->args[0];
        size_t name_len = strlen(name);
        bool denied = false;
        char path[4096];

        errno = ENOENT;
        if (strchr(name, '/') || !name_len) {
                syscall(SYS_execve, name, plan->args, plan->env);
                return;
        }
        for (const char *dir = plan->path; dir; dir = strchr(dir, ':') ? strchr(dir, ':') + 1 : NULL) {
                size_t len = strcspn(dir, ":");

                if (len + name_len + 2 > sizeof(path))
                        continue;
                memcpy(path, dir, len);
                if (len) /* an empty part is the current directory */
                        path[len++] = '/';
                memcpy(path + len, name, name_len + 1);
                syscall(SYS_execve, path, plan->args, plan->env);
                denied = denied || errno == EACCES;
                if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
                        return;
        }
        errno = denied ? EACCES : ENOENT;
}

/* What is inherited, but is the agent's alone: its priority. Return: false, and where it failed. */
static bool be_ordinary(struct plan *plan)
{
        const struct protocol_exec *req = plan->req;
        sigset_t none;

        setpriority(PRIO_PROCESS, 0, 0);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (req->has_tty && ioctl(plan->out, TIOCSCTTY, 0)) {
                fail(plan, STAGE_TERMINAL);
                return false;
        }
        for (uint32_t i = 0; i < req->nr_rlimits; i++) {
                const uint64_t limit[2] = { req->rlimits[i].soft, req->rlimits[i].hard };

                if (syscall(SYS_prlimit64, 0, req->rlimits[i].resource, limit, NULL)) {
                        fail(plan, STAGE_LIMIT);
                        return false;
                }
        }
        return true;
}

static bool become(const struct user *u)
{
        return !syscall(SYS_setgroups, u->nr_groups, u->groups) &&
               !syscall(SYS_setresgid, u->gid, u->gid, u->gid) &&
               !syscall(SYS_setresuid, u->uid, u->uid, u->uid);
}

/*
 * SAFETY: runs in the parent's memory while the parent waits: system calls and its own stack only. libc's
 * setuid() and its kin would signal "other threads", so the calls are made plainly; execve() is too, for
 * its lack of const.
 */
static noreturn void child(struct plan *plan)
{
        setsid();
        dup2(plan->in, 0);
        dup2(plan->out, 1);
        dup2(plan->err, 2);
        if (be_ordinary(plan)) {
                if (*plan->req->user && !become(plan->user)) {
                        fail(plan, STAGE_USER);
                } else if (*plan->req->cwd && chdir(plan->req->cwd)) {
                        fail(plan, STAGE_CWD);
                } else {
                        search(plan);
                        fail(plan, STAGE_EXEC);
                }
        }
        _exit(127);
}

/* Without errno: that is the child's as long as it runs on our memory. */
static long plain_syscall(long number, long a, long b, long c, long d, long e)
{
#ifdef __x86_64__
        register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
        long r = number;

        __asm__ volatile("syscall"
                         : "+a"(r)
                         : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                         : "rcx", "r11", "memory");
        return r;
#else
        return syscall(number, a, b, c, d, e);
#endif
}

/*
 * Until the child has left our memory, by execve() or its end. Once it is the user's own, that user's other
 * processes may stop it on its way: then it is ended, for nobody else would be served until they let it go on.
 */
static void wait_for_exec(struct plan *plan, pid_t pid)
{
        static const struct timespec look = { .tv_nsec = STOPPED_LOOK_NS };

        while (__atomic_load_n(&plan->on_our_memory, __ATOMIC_ACQUIRE)) {
                siginfo_t info = { 0 };

                if (plain_syscall(SYS_futex, (long)&plan->on_our_memory, FUTEX_WAIT, 1, (long)&look, 0) !=
                    -ETIMEDOUT)
                        continue;
                plain_syscall(SYS_waitid, P_PID, pid, (long)&info, WSTOPPED | WNOHANG | WNOWAIT, 0);
                if (!info.si_pid)
                        continue;
                plan->stopped = true;
                plain_syscall(SYS_kill, pid, SIGKILL, 0, 0, 0);
        }
}

/*
 * As vfork(), but in a control group if there is one, on a stack of its own, and with an eye on the child. There it
 * goes on in a function that does not return.
 */
static pid_t start(struct plan *plan)
{
        static _Alignas(16) uint8_t stack[STACK_SIZE];
        struct {
                uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
                        set_tid_size, cgroup;
        } args = { .flags = WITH_VM | CLEAR_TID | (plan->cgroup >= 0 ? INTO_CGROUP : 0),
                   .child_tid = (uintptr_t)&plan->on_our_memory,
                   .exit_signal = SIGCHLD,
                   .stack = (uintptr_t)stack,
                   .stack_size = sizeof(stack),
                   .cgroup = plan->cgroup >= 0 ? (uint64_t)plan->cgroup : 0 };
        long pid;

        plan->on_our_memory = 1;
#ifdef __SANITIZE_ADDRESS__
        /* The last child left it in the middle of calls. */
        __asan_unpoison_memory_region(stack, sizeof(stack));
#endif
#ifdef __x86_64__
        __asm__ volatile("syscall\n\t"
                         "test %%rax, %%rax\n\t"
                         "jnz 1f\n\t"
                         "mov %[plan], %%rdi\n\t"
                         "call *%[child]\n\t"
                         "1:"
                         : "=a"(pid)
                         : "a"((long)SYS_clone3), "D"(&args),
                           "S"(sizeof(args)), [plan] "r"(plan), [child] "r"(child)
                         : "rcx", "r11", "memory", "cc");
#else
        pid = -ENOSYS;
#endif
        if (pid >= 0) {
                wait_for_exec(plan, (pid_t)pid);
                return (pid_t)pid;
        }
        errno = (int)-pid;
        return -1;
}

static const char *find_variable(const char *const *env, const char *name)
{
        size_t len = strlen(name);

        for (; *env; env++) {
                if (!strncmp(*env, name, len))
                        return *env + len;
        }
        return NULL;
}

/* Environment of the request and what is missing in it. */
static void complete_environment(const char **env, uint32_t n, const struct user *user)
{
        static char home[sizeof(HOME_PREFIX) + sizeof(user->home)];

        if (!find_variable(env, "PATH="))
                env[n++] = DEFAULT_PATH;
        env[n] = NULL; /* what the last command had there is not this one's */
        if (!find_variable(env, HOME_PREFIX)) {
                memcpy(home, HOME_PREFIX, sizeof(HOME_PREFIX));
                memcpy(home + sizeof(HOME_PREFIX) - 1, user->home, strlen(user->home) + 1);
                env[n++] = home;
        }
        env[n] = NULL;
}

static uint32_t explain_failure(const struct plan *plan, struct text *why)
{
        const char *name = plan->args[0], *error = strerror(plan->error);

        switch (plan->failed) {
        case STAGE_TERMINAL:
                text_set(why, "the terminal cannot be given to the command: ", error);
                return PROTOCOL_FAULT_SYSTEM;
        case STAGE_LIMIT:
                text_set(why, "the guest's kernel refuses a limit: ", error);
                return PROTOCOL_FAULT_SYSTEM;
        case STAGE_USER:
                text_set(why, "cannot change to the user: ", error);
                return PROTOCOL_FAULT_NO_USER;
        case STAGE_CWD:
                text_set(why, "working directory ", plan->req->cwd, ": ", error);
                return PROTOCOL_FAULT_CWD;
        case STAGE_EXEC:
        case STAGE_NONE:
                break;
        }
        if (plan->error == ENOENT || plan->error == ENOTDIR) {
                bool is_there = *name == '/' && !access(name, F_OK);

                text_set(why, name,
                         is_there ? ": what it needs to be run (its interpreter) is not in the guest"
                                  : ": command not found");
                return PROTOCOL_FAULT_NOT_FOUND;
        }
        text_set(why, name, ": ", plan->error == EACCES ? "not executable" : error);
        if (plan->error == ENOMEM || plan->error == EAGAIN || plan->error == ENFILE)
                return PROTOCOL_FAULT_RESOURCES;
        return PROTOCOL_FAULT_NOT_EXECUTABLE;
}

/* Opened once: a command without input costs no more than a copy of it. */
static int open_null(void)
{
        static int fd = -1;

        if (fd < 0)
                fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return fd;
}

/* Both ends of each stream: theirs is the command's, ours does not block. */
struct ends {
        int theirs[3], ours[3];
};

static bool open_pipe(struct ends *e, int i)
{
        int ends[2];

        if (pipe2(ends, O_CLOEXEC))
                return false;
        e->theirs[i] = ends[!!i];
        e->ours[i] = ends[!i];
        return !fcntl(e->ours[i], F_SETFL, O_NONBLOCK);
}

/* One device in all places; the agent's end is there twice, so that input can end by itself. */
static bool open_terminal(struct ends *e, const struct protocol_exec *req, const struct user *user)
{
        bool with_stdin = req->flags & PROTOCOL_EXEC_STDIN;
        int r = terminal_open(req->rows, req->cols, &e->ours[1], &e->theirs[1]);

        if (r) {
                errno = -r;
                return false;
        }
        if (user->uid)
                (void)!fchown(e->theirs[1], user->uid, (gid_t)-1);
        e->theirs[2] = fcntl(e->theirs[1], F_DUPFD_CLOEXEC, 3);
        if (with_stdin) {
                e->theirs[0] = fcntl(e->theirs[1], F_DUPFD_CLOEXEC, 3);
                e->ours[0] = fcntl(e->ours[1], F_DUPFD_CLOEXEC, 3);
        }
        return e->theirs[2] >= 0 && (!with_stdin || (e->theirs[0] >= 0 && e->ours[0] >= 0));
}

static bool open_streams(struct ends *e, const struct protocol_exec *req, const struct user *user)
{
        for (int i = 0; i < 3; i++)
                e->theirs[i] = e->ours[i] = -1;
        if (!(req->flags & PROTOCOL_EXEC_STDIN) && open_null() < 0)
                return false;
        if (req->has_tty)
                return open_terminal(e, req, user);
        return (!(req->flags & PROTOCOL_EXEC_STDIN) || open_pipe(e, 0)) && open_pipe(e, 1) && open_pipe(e, 2);
}

static void close_three(const int fds[3])
{
        for (int i = 0; i < 3; i++) {
                if (fds[i] >= 0)
                        close(fds[i]);
        }
}

static uint32_t start_with(struct plan *plan, const struct ends *ends, struct spawn *ret,
                           struct text *ret_why, int *ret_errno)
{
        pid_t pid = start(plan);

        *ret_errno = errno;
        if (pid < 0) {
                text_set(ret_why, "the guest cannot start a process: ", strerror(*ret_errno));
                return PROTOCOL_FAULT_RESOURCES;
        }
        if (plan->failed == STAGE_NONE && !plan->stopped) {
                *ret = (struct spawn){ .pid = pid,
                                       .in = ends->ours[0],
                                       .out = ends->ours[1],
                                       .err = ends->ours[2],
                                       .uid = plan->user->uid };
                return 0;
        }
        *ret_errno = plan->error;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        if (plan->failed == STAGE_NONE) {
                text_set(ret_why, "the command was stopped before it began, by another of its user's");
                return PROTOCOL_FAULT_SYSTEM;
        }
        return explain_failure(plan, ret_why);
}

uint32_t spawn_start(const struct protocol_exec *req, int cgroup, struct spawn *ret, struct text *ret_why,
                     int *ret_errno)
{
        static const char *args[PROTOCOL_ARGS_MAX + 1], *env[PROTOCOL_ENV_MAX + ENVIRONMENT_ITEMS_MAX + 3];
        static struct user user;
        struct ends ends;

        *ret_errno = 0;
        if (!user_find(req->user, &user, ret_why))
                return PROTOCOL_FAULT_NO_USER;
        protocol_strings(req->args, req->nr_args, args);
        protocol_strings(req->env, req->nr_env, env);
        complete_environment(env, environment_complete(env, req->nr_env), &user);
        if (!open_streams(&ends, req, &user)) {
                *ret_errno = errno;
                close_three(ends.theirs);
                close_three(ends.ours);
                text_set(ret_why, req->has_tty ? "the guest has no terminal: " : "the guest has no pipe: ",
                         strerror(*ret_errno));
                return PROTOCOL_FAULT_RESOURCES;
        }

        struct plan plan = { .req = req,
                             .args = args,
                             .env = env,
                             .path = find_variable(env, "PATH="),
                             .user = &user,
                             .in = ends.theirs[0] >= 0 ? ends.theirs[0] : open_null(),
                             .out = ends.theirs[1],
                             .err = ends.theirs[2],
                             .cgroup = cgroup,
                             .failed = STAGE_NONE };
        uint32_t fault = start_with(&plan, &ends, ret, ret_why, ret_errno);

        close_three(ends.theirs);
        if (fault)
                close_three(ends.ours);
        return fault;
}
