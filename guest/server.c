/*
 * Server: accepts, reaps, lets each connection do its piece in turn, and ends the machine in order.
 * Input:  connections (only the host's are taken), their frames in conn.c.
 * Runs:   the agent's only thread.
 * Limits: SERVER_CONNS_MAX connections; one more is told so and closed.
 */
#include "guest/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/machine.h"
#include "guest/vsock.h"

#define TAG_SHIFT    2
#define TAG_LISTEN   (SERVER_CONNS_MAX << TAG_SHIFT)
#define TAG_SIGNAL   (TAG_LISTEN + 1)
#define KILL_WAIT_MS 2000 /* after SIGKILL: what a process in the kernel may need to die */
#define EVENTS_MAX   64

_Static_assert(CONN_SOURCE_NR <= 1 << TAG_SHIFT, "a connection's sources fit its tag");

static int64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int watch(struct server *s, int fd, uint64_t tag)
{
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = tag };

        return epoll_ctl(s->service.epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int server_init(struct server *s, int listen_fd, const struct server_ops *ops)
{
        sigset_t mask;
        int r = 0;

        for (unsigned i = 0; i < SERVER_CONNS_MAX; i++)
                s->conns[i].fd = -1;
        s->ops = ops;
        s->listen_fd = listen_fd;
        sigemptyset(&mask);
        sigaddset(&mask, SIGPIPE);
        sigaddset(&mask, SIGCHLD);
        sigprocmask(SIG_BLOCK, &mask, NULL);
        sigdelset(&mask, SIGPIPE);
        s->service.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        s->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
        if (s->service.epoll_fd < 0 || s->signal_fd < 0)
                return -errno;
        if (listen_fd >= 0)
                r = watch(s, listen_fd, TAG_LISTEN);
        return r ? r : watch(s, s->signal_fd, TAG_SIGNAL);
}

static void set_due(struct server *s, unsigned i)
{
        s->nr_due += !s->due[i];
        s->due[i] = 1;
}

static struct conn *find_command(struct server *s, pid_t pid)
{
        for (unsigned i = 0; i < SERVER_CONNS_MAX; i++) {
                if (s->conns[i].fd >= 0 && (s->conns[i].pid == pid || s->conns[i].worker == pid))
                        return &s->conns[i];
        }
        return NULL;
}

/* Everybody's orphans end up here too; they are only buried. Return: false when no child is left at all. */
static bool reap(struct server *s)
{
        struct signalfd_siginfo info;
        struct rusage usage;
        int status;
        pid_t pid;

        (void)!read(s->signal_fd, &info, sizeof(info)); /* it only says that there is something */
        while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
                struct conn *c = find_command(s, pid);

                if (c) {
                        if (c->worker == pid)
                                conn_worker_ended(c, status);
                        else
                                conn_ended(c, status, &usage);
                        set_due(s, (unsigned)(c - s->conns));
                }
        }
        return pid == 0;
}

static bool is_host(const union vsock_any *peer)
{
        return peer->any.sa_family != VSOCK_FAMILY || peer->vm.cid == VSOCK_CID_HOST;
}

static void turn_away(int fd)
{
        uint8_t frame[PROTOCOL_SMALL_MAX];
        size_t len =
                protocol_put_error(frame, 0, PROTOCOL_FAULT_CROWDED, 0, "the agent has too many connections");

        (void)!send(fd, frame, len, MSG_NOSIGNAL); /* it is closed whether it hears or not */
        close(fd);
}

static void accept_one(struct server *s)
{
        union vsock_any peer = { 0 };
        socklen_t len = sizeof(peer);
        int fd = accept4(s->listen_fd, &peer.any, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0) {
                if (errno == ENFILE || errno == EMFILE || errno == ENOMEM || errno == ENOBUFS)
                        poll(NULL, 0, 10); /* the listener stays ready: do not spin */
                return;
        }
        if (!is_host(&peer)) { /* programs in the guest have no business here */
                close(fd);
                return;
        }
        for (unsigned i = 0; i < SERVER_CONNS_MAX; i++) {
                if (s->conns[i].fd < 0) {
                        conn_open_take(&s->conns[i], &s->service, fd, (uint64_t)i << TAG_SHIFT);
                        return;
                }
        }
        turn_away(fd);
}

static void on_event(struct server *s, const struct epoll_event *event)
{
        uint64_t tag = event->data.u64;

        if (tag == TAG_LISTEN) {
                s->has_client = true;
        } else if (tag == TAG_SIGNAL) {
                s->has_dead = true;
        } else {
                unsigned i = (unsigned)(tag >> TAG_SHIFT);

                /*
                 * A connection that was closed in this round leaves stale events, but none of another's:
                 * accept is last.
                 */
                if (s->conns[i].fd >= 0) {
                        conn_event(&s->conns[i], (enum conn_source)(tag & ((1 << TAG_SHIFT) - 1)),
                                   event->events);
                        set_due(s, i);
                }
        }
}

static void run_due(struct server *s)
{
        for (unsigned i = 0; s->nr_due && i < SERVER_CONNS_MAX; i++) {
                if (s->due[i] && !conn_run(&s->conns[i])) {
                        s->due[i] = 0;
                        s->nr_due--;
                }
        }
}

/*
 * Signals, then waits, then harder; with nobody left it goes on at once. Return: true when the machine has
 * ended.
 */
static bool step_shutdown(struct server *s, bool has_children)
{
        int64_t now = now_ms();

        if (!s->deadline_ms) {
                s->deadline_ms = now + s->service.shutdown.grace_ms + 1;
                if (s->service.frozen)
                        (void)!machine_freeze(false); /* else only SIGKILL reaches them */
                s->ops->signal_all(SIGTERM);
                return false;
        }
        if (has_children && now < s->deadline_ms)
                return false;
        if (has_children && !s->killed) {
                s->killed = true;
                s->deadline_ms = now + KILL_WAIT_MS;
                s->ops->signal_all(SIGKILL);
                return false;
        }
        for (unsigned i = 0; i < SERVER_CONNS_MAX; i++)
                conn_run(&s->conns[i]); /* a last chance for exits to be told */
        s->ops->end(s->service.shutdown.how);
        return true;
}

static int wait_ms(const struct server *s)
{
        if (s->nr_due)
                return 0;
        if (!s->service.stopping)
                return -1;
        if (!s->deadline_ms)
                return 0;

        int64_t left = s->deadline_ms - now_ms();

        return left < 0 ? 0 : left > 1000 ? 1000 : (int)left;
}

int server_run(struct server *s)
{
        struct epoll_event events[EVENTS_MAX];

        for (;;) {
                int n = epoll_wait(s->service.epoll_fd, events, EVENTS_MAX, wait_ms(s));

                if (n < 0 && errno != EINTR)
                        return -errno;
                s->has_client = s->has_dead = false;
                for (int i = 0; i < n; i++)
                        on_event(s, &events[i]);

                bool has_children = true;

                if (s->has_dead || s->service.stopping)
                        has_children = reap(s);
                run_due(s);
                if (s->has_client)
                        accept_one(s);
                if (s->service.stopping && step_shutdown(s, has_children))
                        return 0;
        }
}
