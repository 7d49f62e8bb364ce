/*
 * Spawn: turns a checked EXEC request into a process.
 * Input:  struct protocol_exec (checked, its strings hostile).
 * Runs:   the agent's only thread; child() in the child, on the parent's memory while that waits.
 * Limits: PROTOCOL_ARGS_MAX arguments, PROTOCOL_ENV_MAX variables and two of our own; BEGIN_MS for each command to
 *         begin, PLACES_MAX that hang on their way.
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
#include <time.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "guest/environment.h"
#include "guest/terminal.h"
#include "guest/user.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#define WITH_VM     0x00000100ull /* CLONE_VM and others of <linux/sched.h> */
#define CLEAR_TID   0x00200000ull
#define INTO_CGROUP 0x200000000ull
#define FUTEX_WAIT  0 /* of <linux/futex.h> */

#define STACK_SIZE (16u << 10) /* of the child until it is another program: a path and some frames */
#define LOOK_MS    50u
#define BEGIN_MS   4000u     /* a throttled disk may need seconds; who is to power off has 5 */
#define TIMEOUT_MS 500u      /* a command that may run for less has this long to begin */
#define BURY_NS    200000000 /* what was killed is gone in less, unless its file system keeps it */
#define PLACES_MAX 8u        /* more do not hang by accident; those that are not needed are not touched */

enum stage { STAGE_NONE, STAGE_NAME, STAGE_TERMINAL, STAGE_LIMIT, STAGE_USER, STAGE_CWD, STAGE_EXEC };
enum ended { ENDED_NOT, ENDED_STOPPED, ENDED_LATE };

struct plan {
        const struct protocol_exec *req;
        const char *const *args;
        const char **env;
        uint32_t nr_env;
        const char *path;
        struct user *user;
        struct text *why; /* STAGE_NAME: written by the child */
        int in, out, err, cgroup;
        volatile enum stage failed; /* written by the child, read once it has left our memory */
        volatile int error;
        volatile bool is_there; /* STAGE_EXEC: the program by its whole name */
        uint32_t on_our_memory; /* cleared by the kernel, which wakes us up */
        enum ended ended;       /* by us */
};

/*
 * A child that was killed before it was another program may hang in the kernel, which clears on_our_memory when it
 * lets it go: until then its place is not used again. It runs no more, so nothing else of ours is in danger.
 */
struct place {
        _Alignas(16) uint8_t stack[STACK_SIZE];
        struct plan plan;
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
        if (req->has_tty && ioctl(1, TIOCSCTTY, 0)) {
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

/* Here and not in the parent, for files may be on a disk that does not answer. Return: false, and why. */
static bool find_user(struct plan *plan)
{
        if (!user_find(plan->req->user, plan->user, plan->why)) {
                plan->failed = STAGE_NAME;
                return false;
        }
        plan->path = environment_finish(plan->env, plan->nr_env, plan->user->home);
        if (plan->req->has_tty && plan->user->uid)
                (void)!fchown(1, plan->user->uid, (gid_t)-1);
        return true;
}

/*
 * SAFETY: runs in the parent's memory while the parent waits: system calls, its own stack, and what the plan leads
 * to. libc's setuid() and its kin would signal "other threads", so the calls are made plainly; execve() is too,
 * for its lack of const.
 */
static noreturn void child(struct plan *plan)
{
        setsid();
        dup2(plan->in, 0);
        dup2(plan->out, 1);
        dup2(plan->err, 2);
        /* Not left to execve(): one that hangs before it would keep ends of others' pipes and connections. */
        syscall(SYS_close_range, 3, ~0u, 0);
        if (find_user(plan) && be_ordinary(plan)) {
                if (*plan->req->user && !become(plan->user)) {
                        fail(plan, STAGE_USER);
                } else if (*plan->req->cwd && chdir(plan->req->cwd)) {
                        fail(plan, STAGE_CWD);
                } else {
                        search(plan);
                        fail(plan, STAGE_EXEC);
                        plan->is_there = *plan->args[0] == '/' && !access(plan->args[0], F_OK);
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

/* A command with a limit of its own has no longer than that. */
static uint32_t patience(const struct protocol_exec *req)
{
        if (!req->timeout_ms || req->timeout_ms > BEGIN_MS)
                return BEGIN_MS;
        return req->timeout_ms > TIMEOUT_MS ? req->timeout_ms : TIMEOUT_MS;
}

/*
 * Until the child has left our memory, by execve() or its end. Nobody else is served meanwhile, so it is ended when
 * it does not get on: once it is the user's own, that user's other processes may stop it on its way; and the
 * folder, the program and the user's files may be where nothing answers.
 */
static void wait_for_exec(struct plan *plan, pid_t pid)
{
        static const struct timespec look = { .tv_nsec = LOOK_MS * 1000000 };
        uint32_t waited = 0;

        while (__atomic_load_n(&plan->on_our_memory, __ATOMIC_ACQUIRE)) {
                siginfo_t info = { 0 };

                if (plain_syscall(SYS_futex, (long)&plan->on_our_memory, FUTEX_WAIT, 1, (long)&look, 0) !=
                    -ETIMEDOUT)
                        continue;
                waited += LOOK_MS;
                plain_syscall(SYS_waitid, P_PID, pid, (long)&info, WSTOPPED | WNOHANG | WNOWAIT, 0);
                if (!info.si_pid && waited < patience(plan->req))
                        continue;
                plan->ended = info.si_pid ? ENDED_STOPPED : ENDED_LATE;
                plain_syscall(SYS_kill, pid, SIGKILL, 0, 0, 0);
                return;
        }
}

/*
 * As vfork(), but in a control group if there is one, on a stack of its own, and with an eye on the child. There it
 * goes on in a function that does not return.
 */
static pid_t start(struct place *place)
{
        struct plan *plan = &place->plan;
        struct {
                uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
                        set_tid_size, cgroup;
        } args = { .flags = WITH_VM | CLEAR_TID | (plan->cgroup >= 0 ? INTO_CGROUP : 0),
                   .child_tid = (uintptr_t)&plan->on_our_memory,
                   .exit_signal = SIGCHLD,
                   .stack = (uintptr_t)place->stack,
                   .stack_size = sizeof(place->stack),
                   .cgroup = plan->cgroup >= 0 ? (uint64_t)plan->cgroup : 0 };
        long pid;

        plan->on_our_memory = 1;
#ifdef __SANITIZE_ADDRESS__
        /* The last child left it in the middle of calls. */
        __asan_unpoison_memory_region(place->stack, sizeof(place->stack));
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
        plan->on_our_memory = 0;
        errno = (int)-pid;
        return -1;
}

static uint32_t explain_failure(const struct plan *plan, struct text *why)
{
        const char *name = plan->args[0], *error = strerror(plan->error);

        switch (plan->failed) {
        case STAGE_NAME:
                return PROTOCOL_FAULT_NO_USER;
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
                text_set(why, name,
                         plan->is_there ? ": what it needs to be run (its interpreter) is not in the guest"
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
static bool open_terminal(struct ends *e, const struct protocol_exec *req)
{
        bool with_stdin = req->flags & PROTOCOL_EXEC_STDIN;
        int r = terminal_open(req->rows, req->cols, &e->ours[1], &e->theirs[1]);

        if (r) {
                errno = -r;
                return false;
        }
        e->theirs[2] = fcntl(e->theirs[1], F_DUPFD_CLOEXEC, 3);
        if (with_stdin) {
                e->theirs[0] = fcntl(e->theirs[1], F_DUPFD_CLOEXEC, 3);
                e->ours[0] = fcntl(e->ours[1], F_DUPFD_CLOEXEC, 3);
        }
        return e->theirs[2] >= 0 && (!with_stdin || (e->theirs[0] >= 0 && e->ours[0] >= 0));
}

static bool open_streams(struct ends *e, const struct protocol_exec *req)
{
        for (int i = 0; i < 3; i++)
                e->theirs[i] = e->ours[i] = -1;
        if (!(req->flags & PROTOCOL_EXEC_STDIN) && open_null() < 0)
                return false;
        if (req->has_tty)
                return open_terminal(e, req);
        return (!(req->flags & PROTOCOL_EXEC_STDIN) || open_pipe(e, 0)) && open_pipe(e, 1) && open_pipe(e, 2);
}

static void close_three(const int fds[3])
{
        for (int i = 0; i < 3; i++) {
                if (fds[i] >= 0)
                        close(fds[i]);
        }
}

static struct place *find_place(void)
{
        static struct place places[PLACES_MAX];

        for (size_t i = 0; i < PLACES_MAX; i++) {
                if (!__atomic_load_n(&places[i].plan.on_our_memory, __ATOMIC_ACQUIRE))
                        return &places[i];
        }
        return NULL;
}

/* It was killed. If it hangs all the same, it is buried with the orphans when it can die. */
static uint32_t explain_end(const struct plan *plan, pid_t pid, struct text *why, int *ret_errno)
{
        struct timespec moment = { .tv_nsec = 1000000 };

        for (; moment.tv_nsec < BURY_NS && !waitpid(pid, NULL, WNOHANG); moment.tv_nsec *= 2)
                nanosleep(&moment, NULL);
        if (plan->ended == ENDED_STOPPED) {
                text_set(why, "the command was stopped before it began, by another of its user's");
        } else {
                *ret_errno = ETIMEDOUT;
                text_set(why, plan->args[0],
                         ": did not begin in time: what it needs for that does not answer");
        }
        return PROTOCOL_FAULT_SYSTEM;
}

static uint32_t start_with(struct place *place, const struct ends *ends, struct spawn *ret,
                           struct text *ret_why, int *ret_errno)
{
        const struct plan *plan = &place->plan;
        pid_t pid = start(place);

        *ret_errno = errno;
        if (pid < 0) {
                text_set(ret_why, "the guest cannot start a process: ", strerror(*ret_errno));
                return PROTOCOL_FAULT_RESOURCES;
        }
        *ret_errno = plan->error;
        if (plan->ended)
                return explain_end(plan, pid, ret_why, ret_errno);
        if (plan->failed == STAGE_NONE) {
                *ret = (struct spawn){ .pid = pid,
                                       .in = ends->ours[0],
                                       .out = ends->ours[1],
                                       .err = ends->ours[2],
                                       .uid = plan->user->uid };
                return 0;
        }
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        return explain_failure(plan, ret_why);
}

uint32_t spawn_start(const struct protocol_exec *req, int cgroup, struct spawn *ret, struct text *ret_why,
                     int *ret_errno)
{
        static const char *args[PROTOCOL_ARGS_MAX + 1], *env[PROTOCOL_ENV_MAX + ENVIRONMENT_ITEMS_MAX + 3];
        static struct user user;
        struct place *place = find_place();
        struct ends ends;

        *ret_errno = 0;
        if (!place) {
                text_set(ret_why, "too many commands hang in the guest before they began");
                return PROTOCOL_FAULT_SYSTEM;
        }
        protocol_strings(req->args, req->nr_args, args);
        protocol_strings(req->env, req->nr_env, env);
        if (!open_streams(&ends, req)) {
                *ret_errno = errno;
                close_three(ends.theirs);
                close_three(ends.ours);
                text_set(ret_why, req->has_tty ? "the guest has no terminal: " : "the guest has no pipe: ",
                         strerror(*ret_errno));
                return PROTOCOL_FAULT_RESOURCES;
        }
        place->plan = (struct plan){ .req = req,
                                     .args = args,
                                     .env = env,
                                     .nr_env = environment_complete(env, req->nr_env),
                                     .user = &user,
                                     .why = ret_why,
                                     .in = ends.theirs[0] >= 0 ? ends.theirs[0] : open_null(),
                                     .out = ends.theirs[1],
                                     .err = ends.theirs[2],
                                     .cgroup = cgroup };

        uint32_t fault = start_with(place, &ends, ret, ret_why, ret_errno);

        close_three(ends.theirs);
        if (fault)
                close_three(ends.ours);
        return fault;
}
