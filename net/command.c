/*
 * The gateway's control socket.
 * Input:  policies of local clients (the user's).
 * Runs:   loop thread.
 * Limits: CLIENTS_MAX clients; one more takes the place of who is silent longest. POLICY_TEXT_MAX bytes.
 *
 * syscalls: loop: accept4 recvfrom sendto close
 */
#include "net/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/policy_parse.h"
#include "vmm/base/err.h"

#define CLIENTS_MAX 4u
#define ANSWER_MAX  8192u

struct client {
        struct command *command;
        struct ev ev; /* fd -1: nobody */
        uint64_t heard_ns;
        size_t len;
        char *in; /* owned, POLICY_TEXT_MAX + 1 */
};

struct command {
        struct loop *loop;
        struct gateway *gateway;
        struct ev listen;
        struct client clients[CLIENTS_MAX];
};

static void drop(struct client *c)
{
        if (c->ev.fd < 0)
                return;
        loop_remove(c->command->loop, &c->ev);
        fd_closep(&c->ev.fd);
        free(c->in);
        c->in = NULL;
}

/* The last thing that a client gets; it fits into an empty socket. */
static void answer(struct client *c, const char *head, const char *body)
{
        char text[ANSWER_MAX + 64];
        int n = snprintf(text, sizeof(text), "%s%s\n", head, body);

        if (n > 0 && (size_t)n < sizeof(text))
                (void)!send(c->ev.fd, text, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
        drop(c);
}

static void answer_stats(struct client *c)
{
        struct gateway_stats s = gateway_stats(c->command->gateway);
        char body[ANSWER_MAX] = "";
        FILE *f = fmemopen(body, sizeof(body), "w");

        if (!f) {
                answer(c, "error ", "out of memory");
                return;
        }
        (void)fprintf(
                f,
                "{\"frames_in\":%" PRIu64 ",\"frames_out\":%" PRIu64 ",\"bytes_in\":%" PRIu64
                ",\"bytes_out\":%" PRIu64 ",\"frames_lost_out\":%" PRIu64 ",\"offloads_refused\":%" PRIu64
                ",\"connections\":%u,\"datagram_flows\":%u,\"pins\":%u,\"allowed\":%" PRIu64
                ",\"denied\":%" PRIu64 ",\"too_many\":%" PRIu64 ",\"too_fast\":%" PRIu64
                ",\"events\":%" PRIu64 ",\"events_lost\":%" PRIu64 ",\"dropped\":{",
                s.wire.frames_in, s.wire.frames_out, s.wire.bytes_in, s.wire.bytes_out, s.wire.dropped_out,
                s.wire.refused_in, s.connections, s.datagram_flows, s.pins, s.gate.allowed, s.gate.denied,
                s.gate.too_many, s.gate.too_fast, s.events_written, s.events_lost);
        for (int i = 1; i < FRAME_E_NR; i++)
                (void)fprintf(f, "%s\"%s\":%" PRIu64, i > 1 ? "," : "", frame_strerror(i), s.dropped[i]);
        (void)fputs("}}", f);
        (void)fclose(f);
        answer(c, body, "");
}

static void replace(struct client *c)
{
        cleanup(freep) struct policy *policy = malloc(sizeof(*policy));
        struct policy_mistake mistake;
        char words[POLICY_MISTAKE_MAX + 32];

        if (!policy) {
                answer(c, "error ", "out of memory");
        } else if (!policy_parse(c->in, c->len, policy, &mistake)) {
                (void)snprintf(words, sizeof(words), "line %u: %s", mistake.line, mistake.text);
                answer(c, "error ", mistake.line ? words : mistake.text);
        } else if (policy->mode == POLICY_NONE) {
                answer(c, "error ", "mode none has no gateway; deny reaches nothing either");
        } else {
                gate_replace(gateway_gate(c->command->gateway), policy);
                answer(c, "ok", "");
        }
}

static int on_client(struct ev *ev, uint32_t events)
{
        struct client *c = container_of(ev, struct client, ev);
        ssize_t n = recv(ev->fd, c->in + c->len, POLICY_TEXT_MAX + 1 - c->len, MSG_DONTWAIT);

        (void)events;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        c->heard_ns = loop_now_ns();
        if (n > 0 && (c->len += (size_t)n) > POLICY_TEXT_MAX)
                answer(c, "error ", "the policy is too long");
        else if (n < 0)
                drop(c);
        else if (!n && c->len)
                replace(c);
        else if (!n)
                answer_stats(c);
        return 0;
}

static struct client *find_place(struct command *command)
{
        struct client *silent = command->clients;

        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
                struct client *c = &command->clients[i];

                if (c->ev.fd < 0)
                        return c;
                if (c->heard_ns < silent->heard_ns)
                        silent = c;
        }
        drop(silent);
        return silent;
}

static int on_listen(struct ev *ev, uint32_t events)
{
        struct command *command = container_of(ev, struct command, listen);
        int fd = accept4(ev->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        struct client *c;

        (void)events;
        if (fd < 0)
                return 0;
        c = find_place(command);
        *c = (struct client){ .command = command,
                              .ev = { .call = on_client, .fd = fd },
                              .heard_ns = loop_now_ns(),
                              .in = malloc(POLICY_TEXT_MAX + 1) };
        if (!c->in || loop_add(command->loop, &c->ev, EPOLLIN) < 0)
                drop(c);
        return 0;
}

int command_new(struct loop *loop, struct gateway *gateway, int listen_fd, struct command **ret)
{
        cleanup(command_freep) struct command *c = calloc(1, sizeof(*c));
        int r;

        if (!c) {
                fd_closep(&listen_fd);
                return err_new(-ENOMEM);
        }
        c->loop = loop;
        c->gateway = gateway;
        c->listen = (struct ev){ .call = on_listen, .fd = listen_fd };
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
                c->clients[i] = (struct client){ .command = c, .ev = { .fd = -1 } };
        r = loop_add(loop, &c->listen, EPOLLIN);
        if (r < 0)
                return err_trace(r);
        *ret = steal_ptr(&c);
        return 0;
}

void command_free(struct command *c)
{
        if (!c)
                return;
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
                drop(&c->clients[i]);
        loop_remove(c->loop, &c->listen);
        fd_closep(&c->listen.fd);
        free(c);
}
