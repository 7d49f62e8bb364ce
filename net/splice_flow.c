/*
 * The bytes of spliced connections, both ways.
 * Input:  bytes of the guest and of the world, passed on unread; the first ones of the guest go to parsers.
 * Runs:   loop thread.
 * Limits: a ring each direction; READS_MAX reads of a host's socket a round.
 *
 * syscalls: loop: recvfrom sendto shutdown
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/hello_parse.h"
#include "net/http_parse.h"
#include "net/splice_priv.h"

#define READS_MAX 4u

static bool is_again(void)
{
        return errno == EAGAIN || errno == EINTR;
}

void splice_want(struct conn *c)
{
        const struct splice *s = c->splice;
        uint32_t wanted = 0;
        int r = 0;

        if (c->state == CONN_DEAD)
                return;
        if (c->state == CONN_CONNECTING) {
                wanted = EPOLLOUT;
        } else if (c->state == CONN_OPEN) {
                if (!c->host_eof && c->guest.pcb && c->to_guest.len < RING_SIZE && !s->paused[GATE_TO_GUEST])
                        wanted |= EPOLLIN;
                if (c->to_host.len && !c->inspect && !s->paused[GATE_FROM_GUEST])
                        wanted |= EPOLLOUT;
        }
        if (wanted == c->wanted)
                return;
        /* An end of both directions is told whether wanted or not: who wants nothing is taken out. */
        if (!wanted)
                loop_remove(s->config.loop, &c->host);
        else if (!c->wanted)
                r = loop_add(s->config.loop, &c->host, wanted);
        else
                r = loop_change(s->config.loop, &c->host, wanted);
        c->wanted = wanted;
        if (r < 0)
                splice_reset(c);
}

static void pay(struct conn *c, enum gate_direction direction, size_t n)
{
        uint64_t wait = gate_pay(c->splice->config.gate, direction, n);

        if (wait)
                splice_pause(c->splice, direction, wait);
}

static void write_guest(struct conn *c)
{
        bool any = false;

        while (c->written < c->to_guest.len) {
                size_t n, done;
                const uint8_t *at = ring_data(&c->to_guest, c->written, &n);

                done = stack_write(&c->guest, at, n);
                c->written += done;
                any |= done > 0;
                if (done < n)
                        break;
        }
        if (c->host_eof && c->written == c->to_guest.len && !c->guest_told)
                c->guest_told = stack_end(&c->guest);
        if (any)
                stack_push(&c->guest);
}

/* Return: whether more may be there. */
static bool read_host(struct conn *c)
{
        size_t room;
        uint8_t *to;
        ssize_t n;

        if (c->to_guest.len == RING_SIZE)
                return false;
        to = ring_room(&c->to_guest, &room);
        n = to ? recv(c->host.fd, to, room, MSG_DONTWAIT) : -1;
        if (n > 0) {
                ring_put(&c->to_guest, (size_t)n);
                pay(c, GATE_TO_GUEST, (size_t)n);
                return (size_t)n == room;
        }
        if (!c->to_guest.len)
                ring_fini(&c->to_guest);
        if (!n)
                c->host_eof = true;
        else if (!to || !is_again())
                splice_reset(c);
        return false;
}

void splice_flow_to_guest(struct conn *c)
{
        bool more = true;

        for (unsigned i = 0; i < READS_MAX && more && !c->host_eof && !c->splice->paused[GATE_TO_GUEST]; i++)
                more = read_host(c);
        if (c->state != CONN_OPEN || !c->guest.pcb)
                return;
        c->used_ns = loop_now_ns();
        write_guest(c);
        splice_want(c);
}

/* Return: bytes that the host took, or -1: the connection is dead. */
static ssize_t send_host(struct conn *c, const uint8_t *bytes, size_t n)
{
        ssize_t done = send(c->host.fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (done < 0 && is_again())
                return 0;
        if (done < 0) {
                splice_reset(c);
                return -1;
        }
        pay(c, GATE_FROM_GUEST, (size_t)done);
        if (c->guest.pcb)
                stack_recved(&c->guest, (size_t)done);
        return done;
}

static void tell_host(struct conn *c)
{
        if (!c->guest_fin || c->to_host.len || c->host_told || c->inspect)
                return;
        (void)!shutdown(c->host.fd, SHUT_WR);
        c->host_told = true;
}

void splice_flow_to_host(struct conn *c)
{
        while (c->to_host.len && !c->inspect && !c->splice->paused[GATE_FROM_GUEST]) {
                size_t n;
                const uint8_t *at = ring_data(&c->to_host, 0, &n);
                ssize_t done = send_host(c, at, n);

                if (done < 0)
                        return;
                if (!done)
                        break;
                ring_drop(&c->to_host, (size_t)done);
        }
        tell_host(c);
        splice_want(c);
        splice_drop_if_done(c);
}

/* Return: whether enough of it is known. */
static bool see(const struct conn *c, enum policy_seen *seen, name_t name)
{
        size_t n;
        const uint8_t *at = ring_data(&c->to_host, 0, &n);
        enum hello hello = hello_parse(at, n, name);
        enum http http;

        *seen = POLICY_SEEN_NO_NAME;
        if (hello == HELLO_MORE)
                return false;
        if (hello != HELLO_NOT_TLS) {
                if (hello == HELLO_NAME)
                        *seen = POLICY_SEEN_NAME;
                return true;
        }
        http = http_parse(at, n, name);
        if (http == HTTP_NAME)
                *seen = POLICY_SEEN_NAME;
        else if (http == HTTP_NOT_HTTP)
                *seen = POLICY_SEEN_OTHER;
        return http != HTTP_MORE;
}

/* What ends before it is either is nothing that may pass. */
static void inspect(struct conn *c)
{
        enum policy_seen seen = POLICY_SEEN_NO_NAME;
        name_t name = "";

        if (c->to_host.len ? !see(c, &seen, name) && !c->guest_fin : !c->guest_fin)
                return;
        if (!c->to_host.len)
                seen = POLICY_SEEN_OTHER;
        if (!gate_decide_seen(c->splice->config.gate, &c->syn.target, seen, name).allow) {
                splice_reset(c);
                return;
        }
        c->inspect = false;
        splice_flow_to_host(c);
}

static void on_data(struct stack_conn *guest, const uint8_t *bytes, size_t n)
{
        struct conn *c = container_of(guest, struct conn, guest);
        ssize_t done = 0;

        c->used_ns = loop_now_ns();
        if (!c->to_host.len && !c->inspect && !c->splice->paused[GATE_FROM_GUEST])
                done = send_host(c, bytes, n);
        if (done < 0 || (size_t)done == n)
                return;
        if (!ring_append(&c->to_host, bytes + done, n - (size_t)done))
                splice_reset(c);
        else if (c->inspect)
                inspect(c);
        else
                splice_want(c);
}

static void on_fin(struct stack_conn *guest)
{
        struct conn *c = container_of(guest, struct conn, guest);

        c->guest_fin = true;
        if (c->inspect)
                inspect(c);
        else
                splice_flow_to_host(c);
}

static void on_sent(struct stack_conn *guest, size_t n)
{
        struct conn *c = container_of(guest, struct conn, guest);

        c->written -= n;
        ring_drop(&c->to_guest, n);
        write_guest(c);
        splice_want(c);
}

static void on_open(struct stack_conn *guest)
{
        struct conn *c = container_of(guest, struct conn, guest);

        c->state = CONN_OPEN;
        splice_want(c);
}

static void on_gone(struct stack_conn *guest, enum stack_end end)
{
        struct conn *c = container_of(guest, struct conn, guest);

        if (end != STACK_CLOSED || c->state != CONN_OPEN) {
                splice_reset(c);
                return;
        }
        ring_fini(&c->to_guest);
        c->written = 0;
        c->host_eof = true;
        splice_flow_to_host(c);
}

const struct stack_conn_ops splice_guest_ops = {
        .on_open = on_open, .on_data = on_data, .on_fin = on_fin, .on_sent = on_sent, .on_gone = on_gone
};
