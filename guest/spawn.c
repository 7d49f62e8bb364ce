/*
 * Spawn: turns a checked EXEC request into a process.
 * Input:  struct protocol_exec (checked, its strings hostile).
 * Runs:   the agent's only thread; child() in the vforked child, on the parent's memory.
 * Limits: PROTOCOL_ARGS_MAX arguments, PROTOCOL_ENV_MAX variables and two of our own.
 */
#include "guest/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/environment.h"
#include "guest/user.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define HOME_PREFIX  "HOME="

enum stage { STAGE_NONE, STAGE_USER, STAGE_CWD, STAGE_EXEC };

struct plan {
        const char *const *args, *const *env;
        const char *path, *cwd;
        const struct user *user;
        bool is_root;
        int in, out, err;
        volatile enum stage failed; /* written by the child, read when vfork returns in the parent */
        volatile int error;
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

/*
 * SAFETY: runs in the parent's memory while the parent waits: system calls and its own stack only. libc's
 * setuid() and its kin would signal "other threads", so the calls are made plainly; execve() is too, for
 * its lack of const.
 */
static noreturn void child(struct plan *plan)
{
        const struct user *u = plan->user;
        sigset_t none;

        setsid();
        dup2(plan->in, 0);
        dup2(plan->out, 1);
        dup2(plan->err, 2);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (!plan->is_root && (syscall(SYS_setgroups, u->nr_groups, u->groups) ||
                               syscall(SYS_setresgid, u->gid, u->gid, u->gid) ||
                               syscall(SYS_setresuid, u->uid, u->uid, u->uid))) {
                fail(plan, STAGE_USER);
        } else if (*plan->cwd && chdir(plan->cwd)) {
                fail(plan, STAGE_CWD);
        } else {
                search(plan);
                fail(plan, STAGE_EXEC);
        }
        _exit(127);
}

static pid_t start(struct plan *plan)
{
        pid_t pid = vfork();

        if (!pid)
                child(plan);
        return pid;
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
        case STAGE_USER:
                text_set(why, "cannot change to the user: ", error);
                return PROTOCOL_FAULT_NO_USER;
        case STAGE_CWD:
                text_set(why, "working directory ", plan->cwd, ": ", error);
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

static void close_if(int fd)
{
        if (fd >= 0)
                close(fd);
}

/* Opened once: a command without input costs no more than a copy of it. */
static int open_null(void)
{
        static int fd = -1;

        if (fd < 0)
                fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return fd;
}

/* ends: [0][0] = child's stdin, [0][1] = ours, [1][0] and [2][0] = ours, [1][1] and [2][1] = child's. */
static bool open_pipes(bool with_stdin, int ends[3][2])
{
        for (int i = 0; i < 3; i++)
                ends[i][0] = ends[i][1] = -1;
        if (with_stdin) {
                if (pipe2(ends[0], O_CLOEXEC) || fcntl(ends[0][1], F_SETFL, O_NONBLOCK))
                        return false;
        }
        for (int i = 1; i < 3; i++) {
                if (pipe2(ends[i], O_CLOEXEC) || fcntl(ends[i][0], F_SETFL, O_NONBLOCK))
                        return false;
        }
        return true;
}

uint32_t spawn_start(const struct protocol_exec *req, struct spawn *ret, struct text *ret_why, int *ret_errno)
{
        static const char *args[PROTOCOL_ARGS_MAX + 1], *env[PROTOCOL_ENV_MAX + ENVIRONMENT_ITEMS_MAX + 3];
        static struct user user;
        int ends[3][2];

        *ret_errno = 0;
        if (!user_find(req->user, &user, ret_why))
                return PROTOCOL_FAULT_NO_USER;
        protocol_strings(req->args, req->nr_args, args);
        protocol_strings(req->env, req->nr_env, env);
        complete_environment(env, environment_complete(env, req->nr_env), &user);

        bool with_stdin = req->flags & PROTOCOL_EXEC_STDIN;
        bool opened = open_pipes(with_stdin, ends) && (with_stdin || open_null() >= 0);
        struct plan plan = { .args = args,
                             .env = env,
                             .path = find_variable(env, "PATH="),
                             .cwd = req->cwd,
                             .user = &user,
                             .is_root = !*req->user,
                             .in = with_stdin ? ends[0][0] : open_null(),
                             .out = ends[1][1],
                             .err = ends[2][1],
                             .failed = STAGE_NONE };
        pid_t pid = opened ? start(&plan) : -1;
        int error = errno;

        for (int i = 0; i < 3; i++)
                close_if(ends[i][i == 0 ? 0 : 1]);
        if (pid > 0 && plan.failed == STAGE_NONE) {
                *ret = (struct spawn){ .pid = pid, .in = ends[0][1], .out = ends[1][0], .err = ends[2][0] };
                return 0;
        }
        for (int i = 0; i < 3; i++)
                close_if(ends[i][i == 0 ? 1 : 0]);
        if (pid < 0) {
                *ret_errno = error;
                text_set(ret_why, "the guest cannot start a process: ", strerror(error));
                return PROTOCOL_FAULT_RESOURCES;
        }
        *ret_errno = plan.error;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
        return explain_failure(&plan, ret_why);
}
