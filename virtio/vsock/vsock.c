/*
 * virtio socket: carries streams between the guest and Unix sockets.
 * Input:  packets (guest, hostile).
 * Runs:   loop thread.
 * Limits: TX_BUDGET packets a round; the others stand in vsock_mux.h and vsock_conn.h.
 *
 * Whatever happens to a connection ends in vsock_settle(). What is for the guest waits in the mux until
 * vsock_wake_rx() has core call vsock_rx_fill().
 *
 * syscalls: loop: fcntl
 */
#include "virtio/vsock/vsock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "virtio/core/chain.h"
#include "virtio/core/wire.h"
#include "virtio/vsock/vsock_priv.h"
#include "vmm/base/err.h"

#define TX_BUDGET 64u
/* A guest fills the rx queue with pages when it boots: enough for two bursts, and not many of them. */
#define QUEUE_MAX 128u

#define VSOCK_F_STREAM        0  /* virtio 1.2, 5.10.3 */
#define EVENT_TRANSPORT_RESET 0u /* virtio 1.2, 5.10.6.7 */

static const char *const stat_names[VSOCK_NR_STATS] = {
        [VSOCK_STAT_CONNECTIONS] = "connections",     [VSOCK_STAT_REFUSED] = "refused",
        [VSOCK_STAT_TIMEOUTS] = "timeouts",           [VSOCK_STAT_BAD_LINES] = "bad_lines",
        [VSOCK_STAT_BAD_PACKETS] = "bad_packets",     [VSOCK_STAT_RST] = "rst",
        [VSOCK_STAT_RST_LOST] = "rst_lost",           [VSOCK_STAT_TO_GUEST] = "bytes_to_guest",
        [VSOCK_STAT_FROM_GUEST] = "bytes_from_guest",
};

static struct vsock *to_vsock(struct virtio_dev *dev)
{
        return container_of(dev, struct vsock, dev);
}

static void put_rst(struct vsock *v, uint32_t guest_port, uint32_t host_port, uint16_t type)
{
        if (!vsock_mux_put_rst(&v->mux, guest_port, host_port, type))
                v->stats[VSOCK_STAT_RST_LOST].n++;
}

static void set_deadline(struct vsock *v, struct vsock_conn *c)
{
        if (!vsock_conn_is_timed(c)) {
                c->deadline_ns = 0;
                return;
        }
        if (!c->deadline_ns)
                c->deadline_ns = loop_now_ns() + v->timeout_ms * 1000000ull;
        vsock_host_set_tick(v);
}

void vsock_settle(struct vsock *v, struct vsock_conn *c, enum vsock_verdict verdict)
{
        if (verdict != VSOCK_KEEP) {
                bool drained = c->state == VSOCK_DRAIN;

                if (verdict == VSOCK_RESET && c->bound)
                        put_rst(v, c->guest_port, c->host_port, VSOCK_TYPE_STREAM);
                vsock_mux_unqueue(&v->mux, c);
                vsock_mux_unbind(&v->mux, c);
                if (drained || !vsock_conn_detach(c)) {
                        vsock_mux_remove(&v->mux, c);
                        return;
                }
        }
        vsock_mux_queue(&v->mux, c);
        vsock_mux_touch(&v->mux, c);
        set_deadline(v, c);
}

/*
 * Tells the loop what all who were touched now wait for. Not before the end of what the loop called us for:
 * most sockets that have bytes are read in the same call, and then wait for the same as before.
 */
static void watch_touched(struct vsock *v)
{
        struct vsock_conn *c;

        while ((c = vsock_mux_take_touched(&v->mux))) {
                if (!vsock_conn_watch(c, v->loop))
                        continue;
                /* The host has no room for one more event: as if the client had gone. */
                if (c->bound)
                        put_rst(v, c->guest_port, c->host_port, VSOCK_TYPE_STREAM);
                vsock_mux_remove(&v->mux, c);
        }
}

int vsock_wake_rx(struct vsock *v)
{
        int r = 0;

        if (vsock_mux_next(&v->mux) || vsock_mux_rst(&v->mux))
                r = virtio_kick(&v->dev, VSOCK_RX);
        if (r == VIRTIO_E_AGAIN)
                loop_timer_set(v->loop, &v->again, 0);
        watch_touched(v);
        return r < 0 ? err_trace(r) : 0;
}

static int on_again(struct loop_timer *timer)
{
        return vsock_wake_rx(container_of(timer, struct vsock, again));
}

static void guest_connects(struct vsock *v, const struct vsock_packet *p)
{
        bool room = v->mux.nr_conns < VSOCK_CONNS_MAX && v->connect;
        int fd = room ? v->connect(v->connect_ctx, p->guest_port, p->host_port) : -1;
        struct vsock_conn *c = fd >= 0 ? vsock_host_add(v, fd, VSOCK_OPEN) : NULL;

        if (!c) {
                v->stats[VSOCK_STAT_REFUSED].n += fd < 0;
                put_rst(v, p->guest_port, p->host_port, p->type);
                return;
        }
        v->stats[VSOCK_STAT_CONNECTIONS].n++;
        vsock_mux_bind(&v->mux, c, p->guest_port, p->host_port);
        c->owes = VSOCK_OWES_RESPONSE;
        c->peer_buf_alloc = p->buf_alloc;
        c->peer_fwd_cnt = p->fwd_cnt;
        vsock_settle(v, c, VSOCK_KEEP);
}

static void bad_packet(struct vsock *v, const char *what)
{
        v->stats[VSOCK_STAT_BAD_PACKETS].n++;
        log_guest(&v->dev.log, v->dev.name, "%s", what);
}

/* Its ports could be read, the rest makes no sense. */
static void refuse(struct vsock *v, const struct vsock_packet *p)
{
        struct vsock_conn *c = vsock_mux_find(&v->mux, p->guest_port, p->host_port);

        bad_packet(v, "the guest sent a packet that cannot be");
        if (c && p->type == VSOCK_TYPE_STREAM)
                vsock_settle(v, c, VSOCK_RESET);
        else
                put_rst(v, p->guest_port, p->host_port, p->type);
}

static void on_stranger(struct vsock *v, const struct vsock_packet *p)
{
        if (p->op == VSOCK_OP_REQUEST) {
                guest_connects(v, p);
                return;
        }
        /* A packet that crossed the end of its connection. */
        if (p->op != VSOCK_OP_RST)
                put_rst(v, p->guest_port, p->host_port, p->type);
}

static int on_packet(struct vsock *v, const struct vq_chain *chain)
{
        uint64_t len = chain_readable(chain);
        enum vsock_verdict verdict;
        struct vsock_packet p;
        struct vsock_conn *c;
        struct vsock_hdr hdr;
        int r;

        if (chain_read(chain, 0, &hdr, sizeof(hdr)))
                return VQ_E_BROKEN;
        r = vsock_parse_packet(&hdr, len - sizeof(hdr), le64_get(v->guest_cid), &p);
        if (r == VSOCK_E_IGNORE)
                bad_packet(v, "the guest sent a packet that is not for the host");
        else if (r)
                refuse(v, &p);
        if (r)
                return 0;
        v->stats[VSOCK_STAT_FROM_GUEST].n += p.len;
        v->late_bytes += p.len;
        c = vsock_mux_find(&v->mux, p.guest_port, p.host_port);
        if (!c) {
                on_stranger(v, &p);
                return 0;
        }
        verdict = vsock_conn_on_packet(c, &p, chain);
        if (verdict == VSOCK_RESET && p.op != VSOCK_OP_SHUTDOWN)
                bad_packet(v, "the guest broke the rules of a connection");
        vsock_settle(v, c, verdict);
        return 0;
}

static int kick_tx(struct vsock *v)
{
        int r = 0;

        for (unsigned n = TX_BUDGET; n && !r; n--) {
                cleanup(chain_donep) struct vq_chain *chain = &v->tx;

                r = vq_pop(&v->dev.vq[VSOCK_TX], chain);
                if (!r)
                        r = on_packet(v, chain);
                else
                        chain = NULL;
        }
        if (r != VQ_E_BROKEN) {
                int woken = vsock_wake_rx(v);

                if (woken < 0)
                        return err_trace(woken);
        }
        return r ? r : VIRTIO_E_AGAIN;
}

static bool vsock_puts_off(struct virtio_dev *dev, unsigned qi)
{
        struct vsock *v = to_vsock(dev);
        const struct vq *vq = &dev->vq[qi];
        uint16_t n = (uint16_t)(vq->next_used - vq->published);

        if (!v->late_tx || n > VSOCK_LATE_MAX || n > vq->size / 4 || v->late_bytes > VSOCK_LATE_BYTES) {
                v->late_bytes = 0;
                return false;
        }
        if (n && !v->late.at_ns)
                loop_timer_set(v->loop, &v->late, VSOCK_LATE_NS);
        return true;
}

static int on_late(struct loop_timer *timer)
{
        struct vsock *v = container_of(timer, struct vsock, late);

        v->late_bytes = 0;
        virtio_publish(&v->dev, VSOCK_TX);
        return 0;
}

static int kick_event(struct vsock *v)
{
        cleanup(chain_donep) struct vq_chain *chain = NULL;
        le32_t id = le32_of(EVENT_TRANSPORT_RESET);
        int r;

        if (!v->reset_event)
                return VIRTIO_E_IDLE;
        r = vq_pop(&v->dev.vq[VSOCK_EVENT], &v->tx);
        if (r)
                return r;
        chain = &v->tx;
        v->reset_event = false;
        return chain_write(chain, 0, &id, sizeof(id)) ? VQ_E_BROKEN : VIRTIO_E_IDLE;
}

static int vsock_kick(struct virtio_dev *dev, unsigned qi)
{
        struct vsock *v = to_vsock(dev);
        int r;

        if (qi == VSOCK_EVENT)
                return kick_event(v);
        /* The guest must forget its connections before it hears of new ones. */
        if (v->reset_event) {
                r = virtio_kick(dev, VSOCK_EVENT);
                if (r < 0)
                        return err_trace(r);
        }
        r = qi == VSOCK_TX ? kick_tx(v) : vsock_rx_fill(v);
        watch_touched(v);
        return r;
}

/* The driver forgot its connections. Clients that still wait for an answer will be asked for again. */
static bool vsock_reset(struct virtio_dev *dev)
{
        struct vsock *v = to_vsock(dev);

        for (unsigned i = v->mux.nr_conns; i-- > 0;) {
                struct vsock_conn *c = v->mux.conns[i];

                bool is_early = c->state == VSOCK_REQUEST && c->tx_cnt; /* its bytes are gone */

                if (c->state == VSOCK_OPEN || c->state == VSOCK_CLOSING || is_early) {
                        vsock_settle(v, c, VSOCK_END);
                } else if (c->state == VSOCK_REQUEST) {
                        c->owes = VSOCK_OWES_REQUEST;
                        c->requested = false;
                        vsock_settle(v, c, VSOCK_KEEP);
                }
        }
        watch_touched(v);
        while (vsock_mux_rst(&v->mux))
                vsock_mux_drop_rst(&v->mux);
        loop_timer_clear(v->loop, &v->again);
        loop_timer_clear(v->loop, &v->late);
        v->reset_event = false;
        return true;
}

/* SAFETY: the cast keeps const, which container_of() would drop; dev stands first. */
static_assert(offsetof(struct vsock, dev) == 0, "vsock_save()");

/* The port goes on, so that a new connection is not taken for one of the time before. */
static void vsock_save(const struct virtio_dev *dev, struct buf *b)
{
        buf_put_u32(b, ((const struct vsock *)(const void *)dev)->mux.next_port);
}

static void vsock_load(struct virtio_dev *dev, struct buf *b)
{
        struct vsock *v = to_vsock(dev);
        uint32_t port = buf_get_u32(b);

        if (port < VSOCK_HOST_PORT_MIN || port > VSOCK_HOST_PORT_MAX) {
                b->bad = true;
                return;
        }
        v->mux.next_port = port;
        v->reset_event = true;
}

static void vsock_destroy(struct virtio_dev *dev)
{
        struct vsock *v = to_vsock(dev);

        vsock_mux_fini(&v->mux);
        vsock_host_stop(v);
        loop_timer_clear(v->loop, &v->again);
        loop_timer_clear(v->loop, &v->late);
        free(v);
}

static const struct virtio_class vsock_class = {
        .name = "vsock",
        .id = VIRTIO_ID_VSOCK,
        .nr_queues = VSOCK_NR_QUEUES,
        .queue_max = QUEUE_MAX,
        .kick = vsock_kick,
        .late_queues = 1u << VSOCK_TX,
        .puts_off = vsock_puts_off,
        .reset = vsock_reset,
        .save = vsock_save,
        .load = vsock_load,
        .destroy = vsock_destroy,
};

int vsock_new(const struct vsock_config *config, struct virtio_dev **ret)
{
        cleanup(fd_closep) int listen_fd = config->listen_fd;
        struct vsock *v = calloc(1, sizeof(*v));
        int r;

        if (!v)
                return err_new(-ENOMEM);
        virtio_init(&v->dev, &vsock_class, config->mem, 1ull << VSOCK_F_STREAM);
        (void)snprintf(v->dev.name, sizeof(v->dev.name), "vsock0");
        v->loop = config->loop;
        v->guest_cid = le64_of(config->guest_cid ? config->guest_cid : VSOCK_GUEST_CID_DEFAULT);
        v->timeout_ms = config->timeout_ms ? config->timeout_ms : VSOCK_TIMEOUT_MS_DEFAULT;
        v->early_port = config->early_port;
        v->late_tx = config->late_tx;
        v->connect = config->connect;
        v->connect_ctx = config->connect_ctx;
        v->again.call = on_again;
        v->late.call = on_late;
        v->listen.fd = steal_fd(&listen_fd);
        v->dev.config = &v->guest_cid;
        v->dev.config_len = sizeof(v->guest_cid);
        for (unsigned i = 0; i < VSOCK_NR_STATS; i++)
                v->stats[i].name = stat_names[i];
        v->dev.stats = v->stats;
        v->dev.nr_stats = VSOCK_NR_STATS;
        vsock_mux_init(&v->mux, v->loop);
        r = vsock_host_start(v);
        if (r < 0) {
                vsock_destroy(&v->dev);
                return err_trace(r);
        }
        *ret = &v->dev;
        return 0;
}

int vsock_connect_fd(struct virtio_dev *dev, uint32_t guest_port, int fd_taken)
{
        struct vsock *v = to_vsock(dev);
        struct vsock_conn *c;
        int flags = fcntl(fd_taken, F_GETFL);

        if (flags < 0 || fcntl(fd_taken, F_SETFL, flags | O_NONBLOCK) < 0) {
                int r = err_new(-errno);

                fd_closep(&fd_taken);
                return r;
        }
        c = vsock_host_add(v, fd_taken, VSOCK_LINE);
        if (!c)
                return err_new(-EMFILE);
        c->quiet = true;
        vsock_host_request(v, c, guest_port);
        return vsock_wake_rx(v);
}
