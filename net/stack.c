/*
 * The gateway's TCP, by lwIP.
 * Input:  checked segments of the guest (hostile).
 * Runs:   loop thread.
 * Limits: STACK_WINDOW bytes each direction, TCP_SND_QUEUELEN pieces a connection; the number of connections is
 *         net/tcp.c's.
 *
 * lwIP is unpatched, and only its TCP is run: we say who sends what to whom in the globals that its IP input would
 * set, so that a segment may be for any address. One listener, which nothing reaches by itself, becomes a listener
 * of the right port for the length of the one call that hands it a SYN.
 */
#include "net/stack.h"

#include <errno.h>
#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "net/addresses.h"
#include "net/bytes.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"

#define TICK_NS   (TCP_TMR_INTERVAL * 1000000ull)
#define PARTS_MAX (TCP_SND_QUEUELEN + 4u)
#define BULK_MIN  256u /* longer than a segment without data */
#define RST_LEN   20u

struct stack {
        struct loop *loop;
        const struct lan *lan;
        struct stream *stream;
        struct netif netif;
        struct tcp_pcb_listen *listener;
        struct loop_timer tick;
        struct loop_job sweep;
};

static struct stack *the_stack; /* lwIP has one */

static ip_addr_t to_lwip(const struct address *a)
{
        ip_addr_t r;

        memset(&r, 0, sizeof(r));
        if (a->family == ADDRESS_IP4) {
                IP_SET_TYPE_VAL(r, IPADDR_TYPE_V4);
                memcpy(&ip_2_ip4(&r)->addr, a->bytes, 4);
        } else {
                IP_SET_TYPE_VAL(r, IPADDR_TYPE_V6);
                memcpy(ip_2_ip6(&r)->addr, a->bytes, 16);
        }
        return r;
}

/* Does anything of lwIP wait for time to pass? An idle connection does not, nor a half closed one. */
static bool needs_ticks(void)
{
        for (const struct tcp_pcb *p = tcp_active_pcbs; p; p = p->next) {
                bool quiet = p->state == ESTABLISHED || p->state == CLOSE_WAIT || p->state == FIN_WAIT_2;

                if (!quiet || p->unacked || p->unsent || p->persist_backoff ||
                    p->flags & (TF_ACK_DELAY | TF_ACK_NOW | TF_NAGLEMEMERR | TF_CLOSEPEND))
                        return true;
        }
        return false;
}

/*
 * The wire loses nothing and keeps the order, so that nobody can meet a late segment of a connection that both
 * sides have ended: none has to wait for that.
 */
static void on_sweep(struct loop_job *job)
{
        (void)job;
        while (tcp_tw_pcbs) {
                struct tcp_pcb *pcb = tcp_tw_pcbs;
                struct stack_conn *c = pcb->callback_arg;

                tcp_abort(pcb);
                if (c) {
                        c->pcb = NULL;
                        c->ops->on_gone(c, STACK_CLOSED);
                }
        }
}

static void tend(struct stack *s)
{
        if (tcp_tw_pcbs)
                loop_defer(s->loop, &s->sweep);
        if (!s->tick.at_ns && tcp_active_pcbs)
                loop_timer_set(s->loop, &s->tick, TICK_NS);
}

static int on_tick(struct loop_timer *timer)
{
        struct stack *s = container_of(timer, struct stack, tick);

        tcp_tmr();
        if (tcp_tw_pcbs)
                loop_defer(s->loop, &s->sweep);
        if (needs_ticks())
                loop_timer_set(s->loop, timer, TICK_NS);
        return 0;
}

static err_t send_pbufs(struct stack *s, const struct pbuf *p, enum address_family family)
{
        struct iovec parts[PARTS_MAX];
        struct frame_head head;
        unsigned nr = 0;
        bool bulk = p->tot_len > BULK_MIN;

        frame_ethernet(&head, s->lan, family);
        parts[nr++] = (struct iovec){ head.bytes, head.len };
        for (; p; p = p->next) {
                if (nr == PARTS_MAX)
                        return ERR_BUF;
                parts[nr++] = (struct iovec){ p->payload, p->len };
        }
        return stream_send(s->stream, parts, nr, bulk ? STREAM_BULK : STREAM_SMALL) ? ERR_OK : ERR_BUF;
}

static err_t output_ip4(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
        (void)to;
        return send_pbufs(netif->state, p, ADDRESS_IP4);
}

static err_t output_ip6(struct netif *netif, struct pbuf *p, const ip6_addr_t *to)
{
        (void)to;
        return send_pbufs(netif->state, p, ADDRESS_IP6);
}

/* lwIP's own input is not used. */
static err_t no_input(struct pbuf *p, struct netif *netif)
{
        (void)netif;
        pbuf_free(p);
        return ERR_OK;
}

static err_t init_netif(struct netif *netif)
{
        netif->mtu = ADDRESSES_MTU_GATEWAY;
        netif->mtu6 = ADDRESSES_MTU_GATEWAY;
        netif->output = output_ip4;
        netif->output_ip6 = output_ip6;
        return ERR_OK;
}

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t error)
{
        struct stack_conn *c = arg;

        (void)error;
        (void)pcb;
        if (!p) {
                c->ops->on_fin(c);
                return c->pcb ? ERR_OK : ERR_ABRT;
        }
        for (const struct pbuf *q = p; q && c->pcb; q = q->next)
                c->ops->on_data(c, q->payload, q->len);
        pbuf_free(p);
        return c->pcb ? ERR_OK : ERR_ABRT;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t n)
{
        struct stack_conn *c = arg;

        (void)pcb;
        c->ops->on_sent(c, n);
        return c->pcb ? ERR_OK : ERR_ABRT;
}

static void on_err(void *arg, err_t error)
{
        struct stack_conn *c = arg;

        if (!c)
                return;
        c->pcb = NULL;
        c->ops->on_gone(c, error == ERR_CLSD ? STACK_CLOSED : error == ERR_RST ? STACK_RESET : STACK_LOST);
}

static void set_callbacks(struct tcp_pcb *pcb, struct stack_conn *c)
{
        tcp_arg(pcb, c);
        tcp_recv(pcb, on_recv);
        tcp_sent(pcb, on_sent);
        tcp_err(pcb, on_err);
        tcp_nagle_disable(pcb);
        c->pcb = pcb;
}

static err_t on_passive_open(u8_t id, struct tcp_pcb_listen *listener, struct tcp_pcb *pcb)
{
        (void)id;
        set_callbacks(pcb, listener->callback_arg);
        return ERR_OK;
}

static err_t on_open(void *arg, struct tcp_pcb *pcb, err_t error)
{
        struct stack_conn *c = arg;

        (void)pcb;
        if (error != ERR_OK)
                return ERR_OK;
        c->ops->on_open(c);
        return c->pcb ? ERR_OK : ERR_ABRT;
}

static int make_listener(struct stack *s)
{
        static const struct tcp_ext_arg_callbacks callbacks = { .passive_open = on_passive_open };
        struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY), *listener;

        if (!pcb)
                return err_new(-ENOMEM);
        tcp_ext_arg_set_callbacks(pcb, 0, &callbacks); /* the only one there is */
        tcp_bind_netif(pcb, &s->netif);
        if (tcp_bind(pcb, IP_ANY_TYPE, 1) != ERR_OK || !(listener = tcp_listen(pcb))) {
                tcp_abort(pcb);
                return err_new(-ENOMEM);
        }
        tcp_accept(listener, on_open);
        s->listener = (struct tcp_pcb_listen *)listener;
        s->listener->local_port = 0;
        return 0;
}

int stack_new(struct loop *loop, const struct lan *lan, struct stream *stream, struct stack **ret)
{
        cleanup(freep) struct stack *s = calloc(1, sizeof(*s));
        ip_addr_t gateway = to_lwip(&lan->gateway_ip4), mask;
        static bool ready;
        int r;

        ASSERT(!the_stack);
        if (!s)
                return err_new(-ENOMEM);
        if (!ready) {
                lwip_init();
                (void)tcp_ext_arg_alloc_id();
        }
        ready = true;
        s->loop = loop;
        s->lan = lan;
        s->stream = stream;
        s->tick.call = on_tick;
        s->sweep.call = on_sweep;
        IP_ADDR4(&mask, 255, 255, 255, 0);
        if (!netif_add(&s->netif, ip_2_ip4(&gateway), ip_2_ip4(&mask), ip_2_ip4(&gateway), s, init_netif,
                       no_input))
                return err_new(-ENOMEM);
        netif_set_default(&s->netif);
        netif_set_up(&s->netif);
        netif_set_link_up(&s->netif);
        r = make_listener(s);
        if (r < 0) {
                netif_remove(&s->netif);
                return r;
        }
        the_stack = steal_ptr(&s);
        *ret = the_stack;
        return 0;
}

void stack_free(struct stack *s)
{
        if (!s)
                return;
        on_sweep(&s->sweep);
        while (tcp_active_pcbs) {
                tcp_arg(tcp_active_pcbs, NULL);
                tcp_abandon(tcp_active_pcbs, 0);
        }
        (void)tcp_close((struct tcp_pcb *)s->listener);
        loop_timer_clear(s->loop, &s->tick);
        netif_remove(&s->netif);
        the_stack = NULL;
        free(s);
}

/* @header: with its options; is changed. */
static void run_input(struct stack *s, const struct frame_end *src, const struct frame_end *dst,
                      uint8_t *segment, size_t len)
{
        struct pbuf p = { 0 };

        ip_data.current_netif = &s->netif;
        ip_data.current_input_netif = &s->netif;
        ip_data.current_iphdr_src = to_lwip(&src->address);
        ip_data.current_iphdr_dest = to_lwip(&dst->address);
        /* One reference, which tcp_input() lets go; it keeps none, for nothing is refused and no order is wrong. */
        p.payload = segment;
        p.tot_len = (u16_t)len;
        p.len = (u16_t)len;
        p.type_internal = PBUF_REF;
        p.ref = 2;
        tcp_input(&p, &s->netif);
        ASSERT(p.ref == 1);
        tend(s);
}

void stack_input(struct stack *s, const struct frame *f)
{
        const struct frame_end src = { f->src, f->src_port }, dst = { f->dst, f->dst_port };
        /* SAFETY: it lies in the wire's buffer, which is ours and is not read again; lwIP turns numbers in it. */
        union {
                const uint8_t *in;
                uint8_t *out;
        } at = { .in = f->body };

        run_input(s, &src, &dst, at.out, f->body_len);
}

void stack_keep_syn(const struct frame *f, struct stack_syn *ret)
{
        ret->guest = (struct frame_end){ f->src, f->src_port };
        ret->target = (struct frame_end){ f->dst, f->dst_port };
        ret->len = f->tcp_header_len;
        memcpy(ret->header, f->body, f->tcp_header_len);
}

int stack_accept(struct stack *s, struct stack_conn *c, const struct stack_syn *syn)
{
        uint8_t header[FRAME_TCP_MAX];

        memcpy(header, syn->header, syn->len);
        c->stack = s;
        c->pcb = NULL;
        s->listener->callback_arg = c;
        s->listener->local_port = syn->target.port;
        run_input(s, &syn->guest, &syn->target, header, syn->len);
        s->listener->local_port = 0;
        s->listener->callback_arg = NULL;
        return c->pcb ? 0 : err_new(-ENOMEM);
}

void stack_refuse(struct stack *s, const struct stack_syn *syn)
{
        struct frame_head head;
        uint8_t rst[RST_LEN] = { 0 };
        struct iovec parts[2];

        bytes_put16(rst, syn->target.port);
        bytes_put16(rst + 2, syn->guest.port);
        bytes_put32(rst + 8, bytes_get32(syn->header + 4) + 1);
        rst[12] = RST_LEN / 4 << 4;
        rst[13] = FRAME_TCP_RST | FRAME_TCP_ACK;
        frame_ip(&head, s->lan, &syn->target.address, &syn->guest.address, FRAME_PROTO_TCP, sizeof(rst));
        parts[0] = (struct iovec){ head.bytes, head.len };
        parts[1] = (struct iovec){ rst, sizeof(rst) };
        (void)!stream_send(s->stream, parts, 2, STREAM_SMALL);
}

int stack_connect(struct stack *s, struct stack_conn *c, const struct frame_end *src,
                  const struct frame_end *dst)
{
        ip_addr_t from = to_lwip(&src->address), to = to_lwip(&dst->address);
        struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&to));

        if (!pcb)
                return err_new(-ENOMEM);
        c->stack = s;
        tcp_bind_netif(pcb, &s->netif);
        set_callbacks(pcb, c);
        if (tcp_bind(pcb, &from, src->port) != ERR_OK ||
            tcp_connect(pcb, &to, dst->port, on_open) != ERR_OK) {
                stack_abort(c);
                return err_new(-EADDRNOTAVAIL);
        }
        tend(s);
        return 0;
}

size_t stack_write(struct stack_conn *c, const uint8_t *bytes, size_t n)
{
        size_t done = 0;

        while (done < n) {
                size_t part = n - done;

                if (part > tcp_sndbuf(c->pcb))
                        part = tcp_sndbuf(c->pcb);
                if (part > TCP_MSS)
                        part = TCP_MSS;
                if (!part || tcp_write(c->pcb, bytes + done, (u16_t)part, TCP_WRITE_FLAG_MORE) != ERR_OK)
                        break;
                done += part;
        }
        return done;
}

void stack_push(struct stack_conn *c)
{
        (void)tcp_output(c->pcb);
        tend(c->stack);
}

void stack_recved(struct stack_conn *c, size_t n)
{
        while (n) {
                u16_t part = n > UINT16_MAX ? UINT16_MAX : (u16_t)n;

                tcp_recved(c->pcb, part);
                n -= part;
        }
        tend(c->stack);
}

bool stack_end(struct stack_conn *c)
{
        bool done = tcp_shutdown(c->pcb, 0, 1) == ERR_OK;

        tend(c->stack);
        return done;
}

void stack_abort(struct stack_conn *c)
{
        struct tcp_pcb *pcb = c->pcb;

        if (!pcb)
                return;
        c->pcb = NULL;
        tcp_arg(pcb, NULL);
        tcp_abort(pcb);
}

void stack_retry(struct stack *s)
{
        tcp_txnow();
        tend(s);
}
