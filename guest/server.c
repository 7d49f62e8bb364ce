/*
 * Server: accepts, reaps, lets each connection do its piece in turn, and ends the machine in order.
 * Input:  connections (only the host's are taken), their frames in conn.c.
 * Runs:   the agent's only thread.
 * Limits: SERVER_CONNS_MAX connections; one more is told so and closed. REAPS_PER_ROUND dead a round.
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
#include "guest/exec.h"
#include "guest/vsock.h"

#define SLOT_LISTEN     SERVICE_SLOTS
#define SLOT_SIGNAL     (SERVICE_SLOTS + 1)
#define KILL_WAIT_MS    2000 /* after SIGKILL: what a process in the kernel may need to die */
#define WAIT_MAX_MS     (24 * 3600 * 1000)
#define EVENTS_MAX      64
#define LAST_ROUNDS     32 /* a ring is read in less */
#define REAPS_PER_ROUND 64u

_Static_assert(SERVER_CONNS_MAX == SERVICE_CONNS, "every connection has its slot");

static int64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int watch(struct server *s, int fd, unsigned slot)
{
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = conn_tag(slot, 0) };

        return epoll_ctl(s->service.epoll_fd, EPOLL_CTL_ADD, fd, &event) ? -errno : 0;
}

int server_init(struct server *s, int listen_fd, const struct server_ops *ops)
{
        sigset_t mask;
        int r = 0;

        for (unsigned i = 0; i < SERVER_CONNS_MAX; i++)
                s->conns[i].fd = -1;
        s->service.conns = s->conns;
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
                r = watch(s, listen_fd, SLOT_LISTEN);
        return r ? r : watch(s, s->signal_fd, SLOT_SIGNAL);
}

static struct conn *find_worker(struct server *s, pid_t pid)
{
        for (unsigned i = 0; i < SERVER_CONNS_MAX; i++) {
                if (s->conns[i].fd >= 0 && s->conns[i].worker == pid)
                        return &s->conns[i];
        }
        return NULL;
}

/*
 * Everybody's orphans end up here too; they are only buried, some a round: on many processors they may die faster
 * than that goes. Return: false when no child is left at all.
 */
static bool reap(struct server *s)
{
        struct signalfd_siginfo info;

        (void)!read(s->signal_fd, &info, sizeof(info)); /* it only says that there is something */
        s->has_dead = false;
        for (unsigned n = 0; n < REAPS_PER_ROUND; n++) {
                struct rusage usage;
                int status;
                pid_t pid = wait4(-1, &status, WNOHANG, &usage);

                if (pid <= 0)
                        return !pid;

                struct conn *c = exec_reap(&s->service, pid, status, &usage) ? NULL : find_worker(s, pid);

                if (c) {
                        conn_worker_ended(c, status);
                        conn_wake(&s->service, c->reader.slot);
                }
        }
        s->has_dead = true;
        return true;
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
                        conn_open_take(&s->conns[i], &s->service, fd);
                        return;
                }
        }
        turn_away(fd);
}

static void on_event(struct server *s, const struct epoll_event *event)
{
        unsigned slot = (unsigned)(event->data.u64 >> CONN_TAG_SHIFT);
        unsigned source = event->data.u64 & ((1u << CONN_TAG_SHIFT) - 1);

        if (slot == SLOT_LISTEN) {
                s->has_client = true;
        } else if (slot == SLOT_SIGNAL) {
                s->has_dead = true;
        } else if (slot < EXECS_MAX) {
                exec_event(&s->service, slot, source, event->events);
        } else if (s->conns[slot - EXECS_MAX].fd >= 0) {
                /*
                 * A connection that was closed in this round leaves stale events, but none of another's:
                 * accept is last.
                 */
                conn_event(&s->conns[slot - EXECS_MAX], event->events);
                conn_wake(&s->service, slot);
        }
}

/* Execs come first: what they read goes out in the same round. */
static void run_due(struct service *s)
{
        uint8_t *at = s->due, *end = s->due + SERVICE_SLOTS;

        while (s->nr_due && (at = memchr(at, 1, (size_t)(end - at)))) {
                unsigned slot = (unsigned)(at - s->due);

                *at++ = 0;
                s->nr_due--;
                if (slot < EXECS_MAX ? exec_run(s, slot) : conn_run(&s->conns[slot - EXECS_MAX]))
                        conn_wake(s, slot);
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
        exec_finish_all(&s->service);
        for (int i = 0; i < LAST_ROUNDS && s->service.nr_due; i++)
                run_due(&s->service); /* a last chance for exits to be told */
        s->ops->end(s->service.shutdown.how);
        return true;
}

static int wait_ms(const struct server *s)
{
        int64_t next = s->service.stopping ? s->deadline_ms : exec_next_ms();

        if (s->service.nr_due || s->has_dead || (s->service.stopping && !next))
                return 0;
        if (!next)
                return -1;

        int64_t left = next - now_ms();

        return left < 0 ? 0 : left > WAIT_MAX_MS ? WAIT_MAX_MS : (int)left;
}

int server_run(struct server *s)
{
        struct epoll_event events[EVENTS_MAX];

        for (;;) {
                int n = epoll_wait(s->service.epoll_fd, events, EVENTS_MAX, wait_ms(s));

                if (n < 0 && errno != EINTR)
                        return -errno;
                s->has_client = false;
                for (int i = 0; i < n; i++)
                        on_event(s, &events[i]);

                if (!n || exec_next_ms())
                        exec_tick(&s->service, now_ms());

                bool has_children = true;

                if (s->has_dead || s->service.stopping)
                        has_children = reap(s);
                run_due(&s->service);
                if (s->has_client)
                        accept_one(s);
                if (s->service.stopping && step_shutdown(s, has_children))
                        return 0;
        }
}
