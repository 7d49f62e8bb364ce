/*
 * Fills the guest's rx queue: RSTs first, then the connections in turn.
 * Input:  chains (guest, hostile), bytes of the host's sockets, which nobody looks at.
 * Runs:   loop thread.
 * Limits: RX_BUDGET turns a round; a turn is one packet that is owed or one read into VSOCK_BURST_MAX buffers.
 *
 * syscalls: loop: readv
 */
#include "virtio/core/chain.h"
#include "virtio/vsock/vsock_priv.h"
#include "vmm/base/num.h"
#include "vmm/mem/gio.h"

#define RX_BUDGET 16u

/* A chain with room for a header and a byte. */
static int pop(struct vsock *v, struct vq_chain *chain, uint32_t *ret_room)
{
        uint64_t room;
        int r = vq_pop(&v->dev.vq[VSOCK_RX], chain);

        if (r)
                return r;
        room = chain_writable(chain);
        if (room <= sizeof(struct vsock_hdr)) {
                (void)chain_done(chain);
                return VQ_E_BROKEN;
        }
        *ret_room = (uint32_t)(room - sizeof(struct vsock_hdr));
        return 0;
}

static int put(struct vsock *v, struct vq_chain *chain, const struct vsock_packet *p)
{
        struct vsock_hdr hdr = {
                .src_cid = le64_of(VSOCK_CID_HOST),
                .dst_cid = v->guest_cid,
                .src_port = le32_of(p->host_port),
                .dst_port = le32_of(p->guest_port),
                .len = le32_of(p->len),
                .type = le16_of(p->type),
                .op = le16_of((uint16_t)p->op),
                .flags = le32_of(p->flags),
                .buf_alloc = le32_of(p->buf_alloc),
                .fwd_cnt = le32_of(p->fwd_cnt),
        };

        if (chain_write(chain, 0, &hdr, sizeof(hdr)))
                return VQ_E_BROKEN;
        chain_wrote(chain, sizeof(hdr) + p->len);
        return chain_done(chain);
}

static int send_rst(struct vsock *v, const struct vsock_rst *rst)
{
        struct vsock_packet p = {
                .guest_port = rst->guest_port,
                .host_port = rst->host_port,
                .type = rst->type,
                .op = VSOCK_OP_RST,
        };
        uint32_t room;
        int r = pop(v, &v->rx[0], &room);

        if (r)
                return r;
        vsock_mux_drop_rst(&v->mux);
        v->stats[VSOCK_STAT_RST].n++;
        return put(v, &v->rx[0], &p);
}

static int send_owed(struct vsock *v, struct vsock_conn *c)
{
        struct vsock_packet p;
        uint32_t room;
        int r = pop(v, &v->rx[0], &room);

        if (r)
                return r;
        vsock_conn_next(c, &p);
        return put(v, &v->rx[0], &p);
}

/* What one read may fill: @n chains of v->rx, @room bytes of payload in all. */
struct burst {
        unsigned n;
        unsigned nr_bufs;
        uint32_t room;
        struct gbuf bufs[GIO_SEGS_MAX];
};

/* Return: why it stopped, as vq_pop(); 0: enough. */
static int pop_burst(struct vsock *v, const struct vsock_conn *c, struct burst *b)
{
        uint32_t credit = vsock_conn_credit(c);

        b->n = b->nr_bufs = b->room = 0;
        while (b->n < c->burst && b->room < credit && b->nr_bufs + VQ_SEGS_MAX <= GIO_SEGS_MAX) {
                uint32_t *room = &v->room[b->n];
                int r = pop(v, &v->rx[b->n], room);

                if (r)
                        return r;
                *room = (uint32_t)num_min(*room, credit - b->room);
                b->nr_bufs += chain_bufs_writable(&v->rx[b->n], sizeof(struct vsock_hdr), *room,
                                                  &b->bufs[b->nr_bufs]);
                b->room += *room;
                b->n++;
        }
        return 0;
}

/* One read of the socket into as many of the guest's buffers as it fills, a packet each. */
static int send_bytes(struct vsock *v, struct vsock_conn *c)
{
        struct burst b __attribute__((uninitialized));
        int r = pop_burst(v, c, &b);
        uint32_t left;
        unsigned used = 0;

        if (!b.n)
                return r;
        left = vsock_conn_read(c, b.bufs, b.nr_bufs, b.room);
        v->stats[VSOCK_STAT_TO_GUEST].n += left;
        for (uint32_t rest = left; rest; used++)
                rest -= (uint32_t)num_min(rest, v->room[used]);
        while (b.n > used)
                vq_unpop(&v->rx[--b.n]);
        for (unsigned i = 0; i < used; i++) {
                struct vsock_packet p;
                uint32_t part = (uint32_t)num_min(left, v->room[i]);

                left -= part;
                vsock_conn_describe(c, VSOCK_OP_RW, part, &p);
                if (put(v, &v->rx[i], &p))
                        r = VQ_E_BROKEN;
        }
        return r == VQ_E_BROKEN ? r : 0;
}

/* Return: 0: it had its turn. Else it had none and stays at the head of the line. */
static int serve(struct vsock *v, struct vsock_conn *c)
{
        int r = vsock_conn_has_bytes(c) ? send_bytes(v, c) : send_owed(v, c);

        if (r)
                return r;
        vsock_mux_unqueue(&v->mux, c);
        vsock_settle(v, c, VSOCK_KEEP);
        return 0;
}

int vsock_rx_fill(struct vsock *v)
{
        for (unsigned n = RX_BUDGET; n; n--) {
                const struct vsock_rst *rst = vsock_mux_rst(&v->mux);
                struct vsock_conn *c = vsock_mux_next(&v->mux);
                int r;

                if (!rst && !c)
                        return VIRTIO_E_IDLE;
                r = rst ? send_rst(v, rst) : serve(v, c);
                if (r)
                        return r;
        }
        return VIRTIO_E_AGAIN;
}
