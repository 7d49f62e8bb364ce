/*
 * Forwards connections of the host into a guest.
 * Input:  connections of local clients; bytes of the guest, passed on as they are.
 * Runs:   the loop's thread; nothing waits.
 * Limits: FORWARD_CONNECTIONS_MAX connections; what a link and a socket hold of each.
 */
#include "sandbox/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "sandbox/flow.h"
#include "vmm/base/parse.h"

#define BACKLOG 128

/* One connection. Done when both sides have ended, or one has failed. */
struct conn {
        struct forward *forward;
        struct conn *next;
        struct link *link;
        int fd;
        struct outlet out; /* to the client */
        struct inlet in;   /* from the client */
        bool guest_ended, client_ended;
};

struct forward {
        struct loop *loop;
        struct forward_config config;
        struct ev listener;
        struct conn *conns;
        unsigned nr;
};

static int on_connection(struct ev *ev, uint32_t events);

static void accept_more(struct forward *f)
{
        if (!f->listener.armed && f->nr < FORWARD_CONNECTIONS_MAX)
                (void)!loop_add(f->loop, &f->listener,
                                EPOLLIN); /* without memory: the next end tries again */
}

static void conn_free(struct conn *c)
{
        struct forward *f = c->forward;
        struct conn **at = &f->conns;

        while (*at && *at != c)
                at = &(*at)->next;
        if (*at) {
                *at = c->next;
                f->nr--;
        }
        inlet_fini(&c->in);
        outlet_fini(&c->out);
        link_free(c->link);
        fd_closep(&c->fd);
        free(c);
        accept_more(f);
}

static void trouble(struct conn *c, const struct problem *problem)
{
        struct forward *f = c->forward;

        if (f->config.on_trouble)
                f->config.on_trouble(f->config.owner, problem);
        conn_free(c);
}

static void end_if_done(struct conn *c)
{
        if (c->guest_ended && c->client_ended)
                conn_free(c);
}

static void on_written(struct outlet *o, int error)
{
        struct conn *c = container_of(o, struct conn, out);

        if (error < 0)
                conn_free(c); /* the client is gone */
        else
                link_resume(c->link);
}

static void on_event(void *owner, const struct agent_event *event)
{
        struct conn *c = owner;
        struct problem problem = { 0 };

        if (event->kind == AGENT_ERROR) {
                (void)!link_explain(&event->error, &problem);
                trouble(c, &problem);
        } else if (event->kind == AGENT_STREAM) {
                int r = outlet_write(&c->out, event->bytes, event->len);

                if (r < 0)
                        conn_free(c);
                else if (!r)
                        link_pause(c->link);
        }
}

static void on_room(void *owner)
{
        struct conn *c = owner;

        if (!c->client_ended && agent_is_stream(link_agent(c->link)) && inlet_want(&c->in, true) < 0)
                conn_free(c);
}

static void on_half(void *owner)
{
        struct conn *c = owner;

        c->guest_ended = true;
        (void)!shutdown(c->fd, SHUT_WR);
        end_if_done(c);
}

static void on_end(void *owner, const struct problem *problem)
{
        struct conn *c = owner;

        if (agent_is_stream(link_agent(c->link)))
                conn_free(c);
        else
                trouble(c, problem);
}

static int on_readable(struct inlet *in)
{
        struct conn *c = container_of(in, struct conn, in);
        struct agent *agent = link_agent(c->link);
        size_t room = 0;
        uint8_t *to = agent_input(agent, &room);

        if (!to)
                return err_new(-ENOMEM);
        if (!room)
                return inlet_want(in, false);

        ssize_t n = recv(c->fd, to, room, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0) {
                conn_free(c);
                return 0;
        }
        if (!n) {
                inlet_fini(in);
                c->client_ended = true;
                link_end_stream(c->link);
                end_if_done(c);
                return 0;
        }
        agent_input_done(agent, (size_t)n, false);
        link_flush(c->link);
        return inlet_want(in, agent_input_room(agent));
}

static int start(struct conn *c)
{
        static const struct link_ops ops = {
                .on_event = on_event, .on_room = on_room, .on_half = on_half, .on_end = on_end
        };
        struct forward *f = c->forward;
        const struct forward_spec *spec = &f->config.spec;
        const struct link_config config = { .socket = f->config.socket,
                                            .name = f->config.name,
                                            .ops = &ops,
                                            .owner = c,
                                            .answer_ms = LINK_ANSWER_MS };
        const struct protocol_connect to = { .kind = spec->port ? PROTOCOL_CONNECT_TCP
                                                                : PROTOCOL_CONNECT_UNIX,
                                             .port = spec->port,
                                             .address = spec->path };
        int r = link_new(f->loop, &config, &c->link);

        if (!r)
                r = agent_connect(link_agent(c->link), &to);
        if (r)
                return r;
        outlet_init(&c->out, f->loop, c->fd, on_written);
        inlet_init(&c->in, f->loop, c->fd, on_readable);
        link_start(c->link);
        return 0;
}

static int on_connection(struct ev *ev, uint32_t events)
{
        struct forward *f = container_of(ev, struct forward, listener);
        cleanup(fd_closep) int fd = accept4(ev->fd, NULL, NULL, SOCK_CLOEXEC);
        struct conn *c;

        (void)events;
        if (fd < 0)
                return 0; /* it has gone again, or we have no descriptor left: the next one tries */
        c = calloc(1, sizeof(*c));
        if (!c)
                return 0;
        c->forward = f;
        c->fd = steal_fd(&fd);
        c->next = f->conns;
        f->conns = c;
        f->nr++;
        if (start(c))
                conn_free(c);
        if (f->nr >= FORWARD_CONNECTIONS_MAX)
                loop_remove(f->loop, &f->listener);
        return 0;
}

static socklen_t size_of(const struct sockaddr_storage *a)
{
        return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static int listen_at(struct sockaddr_storage *address, struct problem *problem)
{
        cleanup(fd_closep) int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        const struct sockaddr *at = (const struct sockaddr *)address;
        socklen_t size = size_of(address);
        const int one = 1;

        if (fd >= 0)
                (void)!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (fd < 0 || bind(fd, at, size) || listen(fd, BACKLOG) ||
            getsockname(fd, (struct sockaddr *)address, &size))
                return problem_set(problem, LINK_FAILED, "cannot listen on port %u: %s",
                                   ntohs(((const struct sockaddr_in *)at)->sin_port), strerror(errno));
        return steal_fd(&fd);
}

int forward_new(struct loop *loop, const struct forward_config *config, struct forward **ret,
                struct problem *problem)
{
        cleanup(forward_freep) struct forward *f = calloc(1, sizeof(*f));

        if (!f)
                return problem_set(problem, LINK_FAILED, "out of memory");
        f->loop = loop;
        f->config = *config;
        f->listener = (struct ev){ .call = on_connection, .fd = listen_at(&f->config.spec.listen, problem) };
        if (f->listener.fd < 0)
                return -1;
        if (loop_add(loop, &f->listener, EPOLLIN) < 0)
                return problem_set(problem, LINK_FAILED, "cannot listen: %s", strerror(errno));
        *ret = steal_ptr(&f);
        return 0;
}

void forward_free(struct forward *f)
{
        if (!f)
                return;
        while (f->conns)
                conn_free(f->conns);
        loop_remove(f->loop, &f->listener);
        fd_closep(&f->listener.fd);
        free(f);
}

const char *forward_tell(const struct forward *f, char text[static FORWARD_TEXT])
{
        const struct forward_spec *spec = &f->config.spec;
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&spec->listen;
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&spec->listen;
        bool is_v4 = spec->listen.ss_family == AF_INET;
        const void *address = is_v4 ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;
        char host[INET6_ADDRSTRLEN] = "?", to[16];

        (void)!inet_ntop(spec->listen.ss_family, address, host, sizeof(host));
        snprintf(to, sizeof(to), "%u", spec->port);
        snprintf(text, FORWARD_TEXT, "%s%s%s:%u -> %s", is_v4 ? "" : "[", host, is_v4 ? "" : "]",
                 ntohs(v4->sin_port), spec->port ? to : spec->path);
        return text;
}
