/*
 * The host's side of vsock: clients that connect, their sockets, and time.
 * Input:  connections, first lines and timing (local clients, hostile).
 * Runs:   loop thread.
 * Limits: VSOCK_CONNS_MAX connections, a client a round of the loop, one timeout for all who wait.
 *
 * syscalls: loop: accept4
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "virtio/vsock/vsock_priv.h"

/* How often deadlines are looked at within a timeout. */
#define TICKS 8u

void vsock_host_set_tick(struct vsock *v)
{
        if (!v->tick.at_ns)
                loop_timer_set(v->loop, &v->tick, v->timeout_ms * 1000000ull / TICKS);
}

void vsock_host_request(struct vsock *v, struct vsock_conn *c, uint32_t guest_port)
{
        vsock_mux_bind(&v->mux, c, guest_port, vsock_mux_new_port(&v->mux, guest_port));
        v->stats[VSOCK_STAT_CONNECTIONS].n++;
        c->state = VSOCK_REQUEST;
        c->owes = VSOCK_OWES_REQUEST;
        if (v->early_port && guest_port == v->early_port)
                c->peer_buf_alloc = VSOCK_EARLY_MAX;
        vsock_settle(v, c, VSOCK_KEEP);
}

static void on_line(struct vsock *v, struct vsock_conn *c)
{
        uint32_t port;
        int r = vsock_conn_read_line(c, &port);

        if (!r) {
                vsock_host_request(v, c, port);
                return;
        }
        if (r == VSOCK_E_LINE)
                v->stats[VSOCK_STAT_BAD_LINES].n++;
        vsock_settle(v, c, r == VSOCK_E_MORE ? VSOCK_KEEP : VSOCK_END);
}

static int on_socket(struct ev *ev, uint32_t events)
{
        struct vsock_conn *c = container_of(ev, struct vsock_conn, ev);
        struct vsock *v = c->owner;

        if (c->state == VSOCK_LINE)
                on_line(v, c);
        else
                vsock_settle(v, c, vsock_conn_on_socket(c, events));
        return vsock_wake_rx(v);
}

struct vsock_conn *vsock_host_add(struct vsock *v, int fd_taken, enum vsock_state state)
{
        struct vsock_conn *c = vsock_mux_add(&v->mux, fd_taken, state);

        if (!c) {
                v->stats[VSOCK_STAT_REFUSED].n++;
                return NULL;
        }
        c->owner = v;
        c->ev.call = on_socket;
        return c;
}

/* Out of descriptors or memory: the client stays in the queue, and the loop must not spin over it. */
static void pause_listening(struct vsock *v)
{
        loop_remove(v->loop, &v->listen);
        v->listen_paused = true;
        vsock_host_set_tick(v);
}

static int on_listen(struct ev *ev, uint32_t events)
{
        struct vsock *v = container_of(ev, struct vsock, listen);

        int fd = accept4(ev->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct vsock_conn *c = fd >= 0 ? vsock_host_add(v, fd, VSOCK_LINE) : NULL;

        (void)events;
        if (c)
                on_line(v, c); /* most have written it already */
        else if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                pause_listening(v);
        return vsock_wake_rx(v);
}

static int on_tick(struct loop_timer *timer)
{
        struct vsock *v = container_of(timer, struct vsock, tick);
        uint64_t now = loop_now_ns();

        if (v->listen_paused)
                v->listen_paused = loop_add(v->loop, &v->listen, EPOLLIN) < 0;
        /* From the end: one that goes is replaced by the last, which had its turn. */
        for (unsigned i = v->mux.nr_conns; i-- > 0;) {
                struct vsock_conn *c = v->mux.conns[i];

                if (c->owes_ok) { /* the guest has nothing to say, and somebody may wait for it */
                        vsock_conn_say_ok(c);
                        vsock_settle(v, c, VSOCK_KEEP);
                }
                if (!c->deadline_ns)
                        continue;
                if (c->deadline_ns > now) {
                        vsock_host_set_tick(v);
                        continue;
                }
                v->stats[VSOCK_STAT_TIMEOUTS].n++;
                vsock_settle(v, c, VSOCK_RESET);
        }
        if (v->listen_paused)
                vsock_host_set_tick(v);
        return vsock_wake_rx(v);
}

int vsock_host_start(struct vsock *v)
{
        v->tick.call = on_tick;
        v->listen.call = on_listen;
        return v->listen.fd < 0 ? 0 : loop_add(v->loop, &v->listen, EPOLLIN);
}

void vsock_host_stop(struct vsock *v)
{
        loop_timer_clear(v->loop, &v->tick);
        loop_remove(v->loop, &v->listen);
        fd_closep(&v->listen.fd);
}
