/*
 * Worker children: a fork, its place in the system, and the client's socket as it sees it.
 * Input:  bytes of the client (hostile), only carried here.
 * Runs:   child_start() on the agent's only thread, everything else in the child.
 * Limits: one child a connection.
 */
#include "guest/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/user.h"

#define CHILD_FD 3 /* the client's socket; the agent's others are closed */

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* Whatever the agent was given to live through hard times is not for its children. */
static void be_ordinary(void)
{
        int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

        if (fd >= 0) {
                (void)!write(fd, "0", 1); /* a guest without /proc has no such protection either */
                close(fd);
        }
        setpriority(PRIO_PROCESS, 0, 0);
}

/* The client is gone: as if the agent had noticed first. */
static noreturn void give_up(void)
{
        raise(SIGTERM);
        _exit(1);
}

static noreturn void run(const struct child_plan *plan)
{
        struct child c = { .fd = CHILD_FD,
                           .id = plan->frame->id,
                           .rest = plan->payload + plan->frame->len,
                           .rest_len = plan->rest_len };
        sigset_t mask;

        if (dup2(plan->fd, CHILD_FD) < 0)
                _exit(1);
        syscall(SYS_close_range, CHILD_FD + 1, ~0u, 0);
        sigemptyset(&mask);
        sigaddset(&mask, SIGPIPE);
        sigprocmask(SIG_SETMASK, &mask, NULL);
        fcntl(c.fd, F_SETFL, 0); /* blocking: of the description, so the agent sets it back */
        be_ordinary();
        child_send(&c, plan->unsent, plan->unsent_len);
        _exit(plan->run(&c, plan->payload, plan->frame->len) ? 0 : 1);
}

pid_t child_start(const struct child_plan *plan)
{
        pid_t pid = fork();

        if (!pid)
                run(plan);
        return pid < 0 ? -errno : pid;
}

void child_send(struct child *c, const void *bytes, size_t len)
{
        for (const uint8_t *at = bytes; len;) {
                ssize_t n = write(c->fd, at, len);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        give_up();
                at += n;
                len -= (size_t)n;
        }
}

void child_receive(struct child *c, void *to, size_t len)
{
        size_t have = len < c->rest_len ? len : c->rest_len;
        uint8_t *at = to;

        memcpy(at, c->rest, have);
        c->rest += have;
        c->rest_len -= have;
        at += have;
        for (len -= have; len;) {
                ssize_t n = recv(c->fd, at, len, MSG_WAITALL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        give_up();
                at += n;
                len -= (size_t)n;
        }
}

bool child_done(struct child *c)
{
        struct protocol_frame frame = { .type = PROTOCOL_DONE, .id = c->id };
        uint8_t out[PROTOCOL_HEADER_SIZE];

        child_send(c, out, protocol_put_header(out, &frame));
        return true;
}

bool child_fail(struct child *c, uint32_t fault, int error, const char *const *parts)
{
        uint8_t out[PROTOCOL_SMALL_MAX];
        struct text why;

        text_join(&why, parts);
        child_send(c, out, protocol_put_error(out, c->id, fault, (uint32_t)error, why.s));
        return true;
}

bool child_malformed(struct child *c, const char *why)
{
        uint8_t out[PROTOCOL_SMALL_MAX];

        child_send(c, out, protocol_put_error(out, 0, PROTOCOL_FAULT_MALFORMED, 0, why));
        return false;
}

bool child_become(struct child *c, const char *name)
{
        static struct user user;
        struct text why;

        if (!*name)
                return true;
        if (!user_find(name, &user, &why)) {
                child_fail(c, PROTOCOL_FAULT_NO_USER, 0, CHILD_WORDS(why.s));
                return false;
        }
        if (!syscall(SYS_setgroups, user.nr_groups, user.groups) &&
            !syscall(SYS_setresgid, user.gid, user.gid, user.gid) &&
            !syscall(SYS_setresuid, user.uid, user.uid, user.uid))
                return true;
        child_fail(c, PROTOCOL_FAULT_NO_USER, errno,
                   CHILD_WORDS("cannot change to the user: ", strerror(errno)));
        return false;
}
