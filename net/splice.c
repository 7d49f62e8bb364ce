/*
 * The life of spliced connections.
 * Input:  SYNs of the guest (hostile); clients of published ports.
 * Runs:   loop thread.
 * Limits: as many connections as the policy says, held SYNs included; each ends after IDLE_NS, half closed
 *         HALF_IDLE_NS, without a byte, and CONNECT_NS without an answer of the host.
 *
 * syscalls: loop: getsockopt setsockopt close
 */
#include "net/splice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/dns_parse.h"
#include "net/icmp.h"
#include "net/splice_priv.h"
#include "vmm/base/err.h"

#define TICK_NS      10000000000ull
#define CONNECT_NS   60000000000ull
#define IDLE_NS      7440000000000ull /* 2 h 4 min: RFC 5382, REQ-5 */
#define HALF_IDLE_NS 240000000000ull  /* 4 min: the same */

static struct conn **bucket_of(struct splice *s, const struct stack_syn *syn)
{
        unsigned key = syn->guest.port * 31u + syn->target.port;

        for (unsigned i = 0; i < 16; i++)
                key = key * 31u + syn->target.address.bytes[i];
        return &s->buckets[(key ^ key >> 8) % SPLICE_BUCKETS];
}

static bool ends_equal(const struct frame_end *a, const struct frame_end *b)
{
        return a->port == b->port && address_equal(&a->address, &b->address);
}

static struct conn *find(struct splice *s, const struct stack_syn *syn)
{
        struct conn *c = *bucket_of(s, syn);

        while (c && !(ends_equal(&c->syn.guest, &syn->guest) && ends_equal(&c->syn.target, &syn->target)))
                c = c->next_in_bucket;
        return c;
}

static void unlist(struct conn *c)
{
        struct conn **at = bucket_of(c->splice, &c->syn);

        if (!c->listed)
                return;
        while (*at != c)
                at = &(*at)->next_in_bucket;
        *at = c->next_in_bucket;
        c->listed = false;
}

static void on_free(struct loop_job *job)
{
        struct conn *c = container_of(job, struct conn, free_job);
        struct conn **at = &c->splice->conns;

        while (*at != c)
                at = &(*at)->next;
        *at = c->next;
        free(c);
}

void splice_drop(struct conn *c)
{
        struct splice *s = c->splice;

        if (c->state == CONN_DEAD)
                return;
        stack_abort(&c->guest);
        loop_remove(s->config.loop, &c->host);
        fd_closep(&c->host.fd);
        ring_fini(&c->to_host);
        ring_fini(&c->to_guest);
        unlist(c);
        c->state = CONN_DEAD;
        s->nr--;
        gate_leave(s->config.gate);
        loop_defer(s->config.loop, &c->free_job);
}

void splice_reset(struct conn *c)
{
        const struct linger now = { .l_onoff = 1 };

        if (c->state != CONN_DEAD && c->host.fd >= 0)
                (void)setsockopt(c->host.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        splice_drop(c);
}

void splice_drop_if_done(struct conn *c)
{
        if (c->state == CONN_OPEN && !c->guest.pcb && !c->to_host.len)
                splice_drop(c);
        else if (!c->guest.pcb)
                unlist(c);
}

void splice_pause(struct splice *s, enum gate_direction direction, uint64_t ns)
{
        s->paused[direction] = true;
        if (!s->resume.at_ns || s->resume.at_ns > loop_now_ns() + ns)
                loop_timer_set(s->config.loop, &s->resume, ns);
        for (struct conn *c = s->conns; c; c = c->next)
                splice_want(c);
}

static int on_resume(struct loop_timer *timer)
{
        struct splice *s = container_of(timer, struct splice, resume);
        uint64_t next = UINT64_MAX;

        for (unsigned d = 0; d < 2; d++) {
                uint64_t wait = gate_pay(s->config.gate, d, 0);

                s->paused[d] = wait > 0;
                if (wait && wait < next)
                        next = wait;
        }
        if (next != UINT64_MAX)
                loop_timer_set(s->config.loop, timer, next);
        for (struct conn *c = s->conns; c; c = c->next)
                splice_want(c);
        return 0;
}

static int on_idle(struct loop_timer *timer)
{
        struct splice *s = container_of(timer, struct splice, idle);
        uint64_t now = loop_now_ns();

        for (struct conn *c = s->conns; c; c = c->next) {
                uint64_t limit = c->state == CONN_CONNECTING   ? CONNECT_NS
                                 : c->guest_fin || c->host_eof ? HALF_IDLE_NS
                                                               : IDLE_NS;

                if (now - c->used_ns >= limit)
                        splice_reset(c);
        }
        if (s->nr)
                loop_timer_set(s->config.loop, timer, TICK_NS);
        return 0;
}

static void refuse(struct splice *s, const struct stack_syn *syn, enum icmp_reason reason)
{
        struct icmp_about about = { .src = syn->guest, .dst = syn->target, .proto = FRAME_PROTO_TCP };

        if (reason == ICMP_NO_PORT) {
                stack_refuse(s->config.stack, syn);
                return;
        }
        memcpy(about.body, syn->header, sizeof(about.body));
        icmp_tell(s->config.stream, s->config.lan, &about, reason);
}

static void refuse_by(struct splice *s, const struct stack_syn *syn, int error)
{
        if (error == -ETIMEDOUT) /* nobody answered; nor do we */
                return;
        refuse(s, syn, error == -ECONNREFUSED || error == -ECONNRESET ? ICMP_NO_PORT : ICMP_NO_HOST);
}

static void on_connected(struct conn *c)
{
        struct splice *s = c->splice;
        int error = 0;
        socklen_t len = sizeof(error);

        (void)!getsockopt(c->host.fd, SOL_SOCKET, SO_ERROR, &error, &len);
        if (error) {
                refuse_by(s, &c->syn, -error);
                splice_drop(c);
                return;
        }
        c->state = CONN_OPENING;
        c->used_ns = loop_now_ns();
        if (stack_accept(s->config.stack, &c->guest, &c->syn) < 0)
                splice_reset(c);
        else
                splice_want(c);
}

static int on_host(struct ev *ev, uint32_t events)
{
        struct conn *c = container_of(ev, struct conn, host);
        int error = 0;
        socklen_t len = sizeof(error);

        if (c->state == CONN_CONNECTING) {
                on_connected(c);
                return 0;
        }
        if (events & EPOLLERR && !getsockopt(ev->fd, SOL_SOCKET, SO_ERROR, &error, &len) && error) {
                splice_reset(c);
                return 0;
        }
        if (events & EPOLLOUT)
                splice_flow_to_host(c);
        if (c->state == CONN_OPEN && c->wanted & EPOLLIN && events & (EPOLLIN | EPOLLHUP))
                splice_flow_to_guest(c);
        return 0;
}

/* Return: NULL: out of memory; the fd is closed, and the place in the gate given back. */
static struct conn *add(struct splice *s, int fd, enum conn_state state)
{
        struct conn *c = calloc(1, sizeof(*c));

        if (!c) {
                fd_closep(&fd);
                gate_leave(s->config.gate);
                return NULL;
        }
        c->splice = s;
        c->guest.ops = &splice_guest_ops;
        c->guest.stack = s->config.stack;
        c->host = (struct ev){ .call = on_host, .fd = fd };
        c->free_job.call = on_free;
        c->state = state;
        c->used_ns = loop_now_ns();
        c->next = s->conns;
        s->conns = c;
        s->nr++;
        if (!s->idle.at_ns)
                loop_timer_set(s->config.loop, &s->idle, TICK_NS);
        return c;
}

static bool is_resolver(const struct splice *s, const struct frame_end *to)
{
        return to->port == DNS_PORT && lan_is_gateway(s->config.lan, &to->address);
}

static void open_conn(struct splice *s, const struct stack_syn *syn)
{
        struct policy_decision d = { .allow = true };
        struct conn *c, **bucket;
        int fd;

        if (gate_enter(s->config.gate, POLICY_TCP, &syn->target)) {
                refuse(s, syn, ICMP_PROHIBITED);
                return;
        }
        if (!is_resolver(s, &syn->target))
                d = gate_decide(s->config.gate, POLICY_TCP, &syn->target);
        fd = d.allow ? s->config.host->open(s->config.host->ctx, POLICY_TCP, &syn->target) : -1;
        if (fd < 0) {
                gate_leave(s->config.gate);
                if (d.allow)
                        refuse_by(s, syn, fd);
                else
                        refuse(s, syn, ICMP_PROHIBITED);
                return;
        }
        c = add(s, fd, CONN_CONNECTING);
        if (!c)
                return;
        c->syn = *syn;
        c->inspect = d.inspect;
        c->listed = true;
        bucket = bucket_of(s, syn);
        c->next_in_bucket = *bucket;
        *bucket = c;
        splice_want(c);
}

void splice_input(struct splice *s, const struct frame *f)
{
        unsigned kind = f->tcp_flags & (FRAME_TCP_SYN | FRAME_TCP_ACK | FRAME_TCP_RST);
        struct stack_syn syn;
        struct conn *c;

        if (kind != FRAME_TCP_SYN && !(kind & FRAME_TCP_RST)) {
                stack_input(s->config.stack, f);
                return;
        }
        stack_keep_syn(f, &syn);
        c = find(s, &syn);
        if (c && c->state != CONN_CONNECTING)
                stack_input(s->config.stack, f);
        else if (kind & FRAME_TCP_RST && c)
                splice_drop(c); /* the guest has given up */
        else if (kind & FRAME_TCP_RST)
                stack_input(s->config.stack, f); /* of a published port */
        else if (!c)
                open_conn(s, &syn);
}

void splice_publish(struct splice *s, int fd, const struct frame_end *guest)
{
        const struct lan *lan = s->config.lan;
        const struct frame_end src = { .address = guest->address.family == ADDRESS_IP4 ? lan->gateway_ip4
                                                                                       : lan->gateway_ip6 };
        struct conn *c;

        if (gate_enter(s->config.gate, POLICY_TCP, guest)) {
                fd_closep(&fd);
                return;
        }
        c = add(s, fd, CONN_OPENING);
        if (!c)
                return;
        c->syn.guest = *guest;
        c->syn.target = src;
        if (stack_connect(s->config.stack, &c->guest, &src, guest) < 0)
                splice_reset(c);
}

unsigned splice_count(const struct splice *s)
{
        return s->nr;
}

int splice_new(const struct splice_config *config, struct splice **ret)
{
        struct splice *s = calloc(1, sizeof(*s));

        if (!s)
                return err_new(-ENOMEM);
        s->config = *config;
        s->resume.call = on_resume;
        s->idle.call = on_idle;
        *ret = s;
        return 0;
}

void splice_free(struct splice *s)
{
        if (!s)
                return;
        while (s->conns) {
                splice_drop(s->conns);
                on_free(&s->conns->free_job);
        }
        loop_timer_clear(s->config.loop, &s->resume);
        loop_timer_clear(s->config.loop, &s->idle);
        free(s);
}
