/*
 * A sandbox's life.
 * Input:  files of the user's own, possibly damaged; answers of monitors.
 * Runs:   any thread of the tool, which waits.
 * Limits: STATE_MAX bytes of a state file.
 */
#include "sandbox/life.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/events.h"
#include "sandbox/lock.h"
#include "sandbox/monitor.h"
#include "sandbox/settings.h"
#include "vmm/base/cleanup.h"

#define KILL_MS  10000 /* the kernel frees the guest's memory meanwhile */
#define EXTRA_MS 2000  /* the monitor's own way out */
#define LAST_MS  5000  /* what it gives a guest beside the grace: LAST_NS of vmm/control.c */

static int open_process(pid_t pid)
{
        return (int)syscall(SYS_pidfd_open, pid, 0);
}

int life_open(const struct sandbox *s, int *ret_pidfd, struct problem *p)
{
        cleanup(fd_closep) int fd = -1, pidfd = -1;
        pid_t pid;

        if (!lock_is_held(s->folder))
                return 1;
        fd = monitor_connect(s);
        pid = fd >= 0 ? monitor_pid(fd) : 0;
        pidfd = pid > 0 ? open_process(pid) : -1;
        /* Still locked: it was not gone, and its number another's, when we took hold of it. */
        if (!lock_is_held(s->folder))
                return 1;
        if (pidfd < 0)
                return problem_set(
                        p, SANDBOX_FAILED,
                        "sandbox %s runs, but its monitor cannot be reached (%s): is it just being "
                        "started, or were its sockets removed?",
                        s->id, strerror(fd < 0 ? -fd : errno));
        *ret_pidfd = steal_fd(&pidfd);
        return 0;
}

/* Return: 0, or 1 when the time was up. A process that is gone is readable. */
static int wait_gone(int pidfd, int timeout_ms)
{
        struct pollfd fd = { .fd = pidfd, .events = POLLIN };
        int n;

        while ((n = poll(&fd, 1, timeout_ms)) < 0 && errno == EINTR)
                continue;
        (void)waitid(P_PIDFD, (id_t)pidfd, NULL, WEXITED | WNOHANG); /* if it is a child of ours */
        return n > 0 ? 0 : 1;
}

static int end(const struct sandbox *s, int pidfd, struct problem *p)
{
        if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
                return problem_set(p, SANDBOX_FAILED, "cannot end sandbox %s: %s", s->id, strerror(errno));
        if (wait_gone(pidfd, KILL_MS))
                return problem_set(p, SANDBOX_FAILED,
                                   "sandbox %s does not end: its monitor hangs in the host's kernel", s->id);
        return 0;
}

int life_kill(const struct sandbox *s, struct problem *p)
{
        cleanup(fd_closep) int pidfd = -1;
        struct problem ignored = { 0 };
        int r = life_open(s, &pidfd, p);

        if (r)
                return r > 0 ? 0 : -1;
        /* Its own way out leaves an exit file; one that is stuck or older is not waited for. */
        if (!monitor_ask(s, "kill", NULL, &ignored) && !wait_gone(pidfd, EXTRA_MS))
                return 0;
        return end(s, pidfd, p);
}

int life_stop(const struct sandbox *s, uint64_t grace_ms, struct problem *p)
{
        cleanup(fd_closep) int pidfd = -1;
        struct problem ignored = { 0 };
        char line[64];
        int r = life_open(s, &pidfd, p);

        if (r)
                return r > 0 ? 0 : -1;
        if (grace_ms > INT32_MAX / 2)
                grace_ms = INT32_MAX / 2;
        snprintf(line, sizeof(line), "stop %" PRIu64, grace_ms);
        if (monitor_ask(s, line, NULL, &ignored))
                (void)syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
        if (!wait_gone(pidfd, (int)grace_ms + LAST_MS + EXTRA_MS))
                return 0;
        return end(s, pidfd, p);
}

int life_wait(const struct sandbox *s, int timeout_ms, struct problem *p)
{
        cleanup(fd_closep) int pidfd = -1;
        int r = life_open(s, &pidfd, p);

        if (r)
                return r > 0 ? 0 : -1;
        return wait_gone(pidfd, timeout_ms);
}

/* The temporary is renamed: who reads finds the old text or the new. @begin: up to its time. */
static int write_file(const struct sandbox *s, const char *name, const char *begin, struct problem *p)
{
        char path[SANDBOX_FOLDER_MAX + 32], unfinished[SANDBOX_FOLDER_MAX + 32];
        struct timespec now;
        FILE *f;

        snprintf(path, sizeof(path), "%s/%s", s->folder, name);
        snprintf(unfinished, sizeof(unfinished), "%s/.%s", s->folder, name);
        clock_gettime(CLOCK_REALTIME, &now);
        f = fopen(unfinished, "we");
        if (f) {
                int bad = fprintf(f, "{%s: %lld%09ld}\n", begin, (long long)now.tv_sec, now.tv_nsec) < 0;

                bad |= fflush(f) || fsync(fileno(f)) < 0;
                bad |= fclose(f);
                if (!bad && !rename(unfinished, path))
                        return 0;
        }
        (void)problem_set(p, SANDBOX_FAILED, "cannot write %.300s: %s", path, strerror(errno));
        (void)unlink(unfinished);
        return -1;
}

void life_write_end(const struct sandbox *s, int code)
{
        struct problem ignored = { 0 };
        char begin[96];

        snprintf(begin, sizeof(begin),
                 "\"status\": 0, \"main\": {\"kind\": \"exited\", \"value\": %d}, \"ended_ns\"", code);
        (void)!write_file(s, "exit.json", begin, &ignored);
}

static void explain_early_end(const struct sandbox *s, pid_t pid, struct problem *p)
{
        struct life_status status;
        int ended = 0;

        while (waitpid(pid, &ended, 0) < 0 && errno == EINTR)
                continue;
        life_look_ended(s, &status);
        if (status.state == LIFE_KILLED && WIFEXITED(ended))
                (void)!problem_set(p, SANDBOX_FAILED,
                                   "its monitor ended with status %d: see vmlet logs --monitor %s",
                                   WEXITSTATUS(ended), s->id);
        else
                (void)!problem_set(p, SANDBOX_FAILED, "%.400s", status.reason);
}

/* Return: 0 and the lock of its second folder, or -1 in its place if it has none; or -1 with @p. */
static int lock_beside(const struct sandbox *s, const struct record *r, int *ret, struct problem *p)
{
        int e = s->temporary && !record_is_beside(r) ? 0 : lock_take(s->beside, ret);

        if (!e)
                return 0;
        return problem_set(p, SANDBOX_FAILED, "cannot lock %.300s: %s", s->beside,
                           strerror(e < 0 ? -e : EBUSY));
}

int life_start(const struct paths *paths, struct sandbox *s, const struct record *r, int lock,
               struct launch *ret, struct problem *p)
{
        cleanup(fd_closep) int beside = -1;
        int e;

        *ret = LAUNCH_NONE;
        if (settings_allow_start(paths, r, p))
                return -1;
        if (!s->temporary) {
                char gone[SANDBOX_FOLDER_MAX + 16];

                snprintf(gone, sizeof(gone), "%s/exit.json", s->folder);
                if (paths_make_private(paths->run, p) || paths_make_private(s->run, p) ||
                    write_file(s, "state.json", "\"started_ns\"", p))
                        return -1;
                (void)unlink(gone);
                events_forget_end(s);
        }
        if (lock_beside(s, r, &beside, p) || sandbox_set_sockets(s, p) ||
            launch_start(s, r, (const int[]){ lock, beside }, ret, p))
                return -1;
        e = launch_wait_ready(ret);
        if (!e && network_wait_ready(s, &ret->network, p)) {
                (void)kill(ret->pid, SIGKILL);
                while (waitpid(ret->pid, NULL, 0) < 0 && errno == EINTR)
                        continue;
                return -1;
        }
        if (!e) {
                events_tell(paths, s, "started", NULL);
                return 0;
        }
        if (e == -EINTR) {
                (void)kill(ret->pid, SIGKILL);
                (void)!problem_set(p, SANDBOX_FAILED, "interrupted while sandbox %s was starting", s->id);
        }
        explain_early_end(s, ret->pid, p);
        return -1;
}
