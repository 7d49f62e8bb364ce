/*
 * Drives the agent's client over a Unix socket, on a loop.
 * Input:  frames of the guest's agent (hostile; checked in agent.c).
 * Runs:   the loop's thread; nothing waits.
 * Limits: answer_ms until WELCOME, and for each answer that a living agent gives at once; while a command runs, three
 *         times quiet_ms without a word.
 */
#include "sandbox/link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "sandbox/dial.h"
#include "sandbox/text.h"
#include "vmm/base/num.h"

#define RETRY_NS       20000000ull   /* a guest that is still booting has nobody listening yet */
#define SOCKET_WAIT_NS 1000000000ull /* for a socket that is not there yet */
#define TEXT_SHOWN     400

struct link {
        struct loop *loop;
        const struct link_ops *ops;
        void *owner;
        char *socket, *name; /* name: for people */
        uint64_t answer_ns, quiet_ns, started_ns;
        struct agent *agent;
        struct ev ev;       /* fd -1: not connected */
        uint32_t waits_for; /* events of epoll */
        struct loop_timer retry, patience, quiet;
        bool paused, half, end_asked, end_sent;
        bool heard;     /* since the quiet timer was set */
        bool doubted;   /* it was silent, and is asked */
        uint32_t probe; /* the PING that asks, until its answer comes; 0 = none */
        bool ended, freed;
        unsigned busy; /* callbacks that are on the stack */
        struct problem problem;
};

static void pump(struct link *l);

/* Every callback between enter() and leave(): whoever frees the link in one, frees it at the outermost leave(). */
static void enter(struct link *l)
{
        l->busy++;
}

static void leave(struct link *l)
{
        l->busy--;
        if (l->freed && !l->busy)
                free(l);
}

static void disconnect(struct link *l)
{
        if (l->ev.fd < 0)
                return;
        loop_remove(l->loop, &l->ev);
        close(l->ev.fd);
        l->ev.fd = -1;
}

void link_free(struct link *l)
{
        if (!l)
                return;
        disconnect(l);
        loop_timer_clear(l->loop, &l->retry);
        loop_timer_clear(l->loop, &l->patience);
        loop_timer_clear(l->loop, &l->quiet);
        agent_free(l->agent);
        l->agent = NULL;
        free(l->socket);
        free(l->name);
        l->socket = l->name = NULL;
        l->ended = l->freed = true;
        if (!l->busy)
                free(l);
}

struct agent *link_agent(struct link *l)
{
        return l->agent;
}

/* Tells the end, once, and lets go of the socket. */
static void end(struct link *l)
{
        if (l->ended)
                return;
        l->ended = true;
        disconnect(l);
        loop_timer_clear(l->loop, &l->retry);
        loop_timer_clear(l->loop, &l->patience);
        loop_timer_clear(l->loop, &l->quiet);
        l->ops->on_end(l->owner, &l->problem);
}

static void fail(struct link *l, const char *what)
{
        (void)!problem_set(&l->problem, LINK_FAILED, "%.200s: %s", l->name, what);
        end(l);
}

static void fail_unanswered(struct link *l)
{
        unsigned long long s = l->answer_ns / 1000000000;

        if (agent_is_greeted(l->agent))
                (void)!problem_set(&l->problem, LINK_FAILED,
                                   "%.200s: the agent has stopped answering (%llu s): the guest hangs, or is "
                                   "paused",
                                   l->name, s);
        else
                (void)!problem_set(
                        &l->problem, LINK_FAILED,
                        "%.200s: the agent does not answer within %llu s: is it paused, is the guest "
                        "still booting, or without an agent?",
                        l->name, s);
        end(l);
}

static void update(struct link *l)
{
        uint32_t events;
        size_t unsent;

        if (l->ended || l->ev.fd < 0 || !l->ev.armed)
                return;
        agent_out(l->agent, &unsent);
        events = (l->paused || l->half ? 0 : EPOLLIN) | (unsent ? EPOLLOUT : 0);
        if (events != l->waits_for && loop_change(l->loop, &l->ev, events) < 0) {
                fail(l, strerror(errno));
                return;
        }
        l->waits_for = events;
        if (!agent_is_waiting(l->agent))
                loop_timer_clear(l->loop, &l->patience);
        else if (!l->patience.at_ns)
                loop_timer_set(l->loop, &l->patience, l->answer_ns);
        if (l->ops->is_paused && !l->quiet.at_ns && agent_is_running(l->agent)) {
                l->heard = false;
                loop_timer_set(l->loop, &l->quiet, l->quiet_ns);
        }
}

/* Sends what the socket takes. A peer that is gone shows when it is read: it may have said why. */
static void send_out(struct link *l)
{
        size_t len;
        const uint8_t *bytes = agent_out(l->agent, &len);

        while (len) {
                ssize_t n = send(l->ev.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno != EAGAIN && errno != EINTR)
                        agent_sent(l->agent, len);
                if (n < 0)
                        break;
                agent_sent(l->agent, (size_t)n);
                bytes = agent_out(l->agent, &len);
        }
        agent_out(l->agent, &len);
        if (!len && l->end_asked && !l->end_sent) {
                (void)!shutdown(l->ev.fd, SHUT_WR);
                l->end_sent = true;
        }
}

static void on_gone(struct link *l)
{
        if (!agent_is_connected(l->agent) && loop_now_ns() - l->started_ns >= l->answer_ns) {
                fail_unanswered(l);
        } else if (!agent_is_connected(l->agent)) { /* nobody listens yet */
                disconnect(l);
                agent_restart(l->agent);
                loop_timer_set(l->loop, &l->retry, RETRY_NS);
        } else if (agent_is_stream(l->agent) && l->ops->on_half) {
                l->half = true;
                l->ops->on_half(l->owner);
        } else if (!agent_is_greeted(l->agent)) {
                fail(l, "the connection was closed before the agent answered");
        } else {
                fail(l, "the connection has ended: the VM ended, or its agent gave this client up");
        }
}

static void receive(struct link *l)
{
        size_t size;
        uint8_t *room = agent_room(l->agent, &size);
        ssize_t n = recv(l->ev.fd, room, size, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                on_gone(l);
                return;
        }
        l->heard = true;
        agent_fed(l->agent, (size_t)n);
        pump(l);
}

/* Events, until there are none or nobody wants more. */
static void pump(struct link *l)
{
        struct agent_event event;

        while (!l->ended && !l->paused) {
                int r = agent_next(l->agent, &event);

                if (r) {
                        fail(l, r < 0 ? strerror(-r) : agent_strerror(r));
                        return;
                }
                if (event.kind == AGENT_NOTHING)
                        return;
                if (l->probe && event.id == l->probe && event.of == PROTOCOL_PING)
                        l->probe = 0;
                else
                        l->ops->on_event(l->owner, &event);
        }
}

static void offer_room(struct link *l)
{
        if (!l->ended && l->ops->on_room && agent_input_room(l->agent))
                l->ops->on_room(l->owner);
}

static int on_socket(struct ev *ev, uint32_t events)
{
        struct link *l = container_of(ev, struct link, ev);

        enter(l);
        if (events & EPOLLOUT)
                send_out(l);
        if (!l->paused && !l->half && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(l);
        else if (l->half && events & (EPOLLHUP | EPOLLERR))
                fail(l, "the connection has ended");
        else if (events &
                 (EPOLLHUP | EPOLLERR)) /* told whether asked for or not: look once it is wanted again */
                loop_remove(l->loop, &l->ev);
        if (!l->ended && l->ev.fd >= 0)
                offer_room(l);
        update(l);
        leave(l);
        return 0;
}

/* Connects once. */
static void attempt(struct link *l)
{
        bool waited = loop_now_ns() - l->started_ns >= num_min(SOCKET_WAIT_NS, l->answer_ns);
        int fd = dial_connect(l->socket);

        if (fd < 0 && (fd == -EAGAIN || ((fd == -ENOENT || fd == -ECONNREFUSED) && !waited))) {
                loop_timer_set(l->loop, &l->retry, RETRY_NS);
                return;
        }
        if (fd < 0) {
                dial_explain(l->socket, l->name, fd, &l->problem);
                loop_timer_set(l->loop, &l->retry, 0);
                return;
        }
        l->ev = (struct ev){ .call = on_socket, .fd = fd };
        l->waits_for = EPOLLIN;
        if (loop_add(l->loop, &l->ev, EPOLLIN) < 0) {
                (void)!problem_set(&l->problem, LINK_FAILED, "%.200s: %s", l->name, strerror(errno));
                loop_timer_set(l->loop, &l->retry, 0);
                return;
        }
        send_out(l);
        update(l);
}

static int on_retry(struct loop_timer *timer)
{
        struct link *l = container_of(timer, struct link, retry);

        enter(l);
        if (l->problem.status)
                end(l);
        else
                attempt(l);
        leave(l);
        return 0;
}

static int on_patience(struct loop_timer *timer)
{
        struct link *l = container_of(timer, struct link, patience);

        enter(l);
        /* What is paused may have been answered: nobody has looked. */
        if (l->paused)
                loop_timer_set(l->loop, &l->patience, l->answer_ns);
        else if (agent_is_waiting(l->agent))
                fail_unanswered(l);
        leave(l);
        return 0;
}

/* Silence while a command runs: is it busy, or is its agent stuck? */
static void doubt(struct link *l)
{
        if (!l->doubted) {
                l->doubted = true;
                if (!l->probe && !agent_probe(l->agent))
                        l->probe = agent_id(l->agent);
                send_out(l);
        } else if (!l->ops->is_paused(l->owner)) {
                (void)!problem_set(&l->problem, LINK_FAILED,
                                   "the agent of %.200s has not answered for %llu s: the guest is stuck (its "
                                   "kernel or agent hangs)",
                                   l->name, (unsigned long long)(3 * l->quiet_ns / 1000000000));
                end(l);
                return;
        }
        loop_timer_set(l->loop, &l->quiet, 2 * l->quiet_ns);
}

static int on_quiet(struct loop_timer *timer)
{
        struct link *l = container_of(timer, struct link, quiet);

        enter(l);
        if (!agent_is_running(l->agent)) {
                leave(l);
                return 0;
        }
        /* What is paused may have been answered: nobody has looked. */
        if (l->heard || l->paused) {
                l->heard = l->doubted = false;
                loop_timer_set(l->loop, &l->quiet, l->quiet_ns);
        } else {
                doubt(l);
        }
        update(l);
        leave(l);
        return 0;
}

int link_new(struct loop *loop, const struct link_config *config, struct link **ret)
{
        cleanup(link_freep) struct link *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return err_new(-ENOMEM);
        l->loop = loop;
        l->ev.fd = -1;
        l->retry.call = on_retry;
        l->patience.call = on_patience;
        l->quiet.call = on_quiet;
        l->ops = config->ops;
        l->owner = config->owner;
        l->answer_ns = config->answer_ms * 1000000;
        l->quiet_ns = (config->quiet_ms ? config->quiet_ms : LINK_QUIET_MS) * 1000000;
        l->socket = strdup(config->socket);
        l->name = strdup(config->name ? config->name : config->socket);
        if (!l->socket || !l->name)
                return err_new(-ENOMEM);
        r = agent_new(&l->agent);
        if (r < 0)
                return err_trace(r);
        *ret = steal_ptr(&l);
        return 0;
}

void link_start(struct link *l)
{
        l->started_ns = loop_now_ns();
        attempt(l);
}

void link_flush(struct link *l)
{
        if (l->ended || l->ev.fd < 0)
                return;
        enter(l);
        send_out(l);
        update(l);
        leave(l);
}

void link_pause(struct link *l)
{
        l->paused = true;
        if (!l->busy)
                update(l);
}

void link_resume(struct link *l)
{
        if (!l->paused || l->ended)
                return;
        l->paused = false;
        l->heard = true; /* what came meanwhile is still to be read */
        if (l->busy)
                return; /* pump() goes on by itself */
        enter(l);
        if (l->ev.fd >= 0 && !l->ev.armed) { /* it had hung up while paused */
                l->waits_for = EPOLLIN;
                if (loop_add(l->loop, &l->ev, EPOLLIN) < 0)
                        fail(l, strerror(errno));
        }
        pump(l);
        if (!l->ended)
                update(l);
        leave(l);
}

void link_end_stream(struct link *l)
{
        l->end_asked = true;
        link_flush(l);
}

int link_explain(const struct protocol_error *error, struct problem *ret)
{
        char text[TEXT_SHOWN];
        int status = LINK_FAILED;

        text_printable(error->text, error->text_len, text, sizeof(text));
        if (error->code == PROTOCOL_FAULT_NOT_FOUND)
                status = LINK_NOT_FOUND;
        else if (error->code == PROTOCOL_FAULT_NOT_EXECUTABLE)
                status = LINK_NOT_EXECUTABLE;
        if (error->code == PROTOCOL_FAULT_MALFORMED || error->code == PROTOCOL_FAULT_UNSUPPORTED)
                return problem_set(ret, status,
                                   "the agent refuses the request (%s): is it of an older vmlet?",
                                   *text ? text : protocol_fault_name(error->code));
        return problem_set(ret, status, "%s", *text ? text : protocol_fault_name(error->code));
}
