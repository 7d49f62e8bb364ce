/*
 * virtio net: frames from the guest.
 * Input:  readable chains, each a header and a frame (guest, hostile).
 * Runs:   loop thread.
 * Limits: BATCH frames a call of the back end, KICK_FRAMES a kick.
 *
 * A batch of frames is popped and checked, and given to the back end together. What it took is completed; what it had
 * no room for goes back into the queue, and its next event goes on. So nothing is in flight between kicks.
 */
#include "virtio/core/wire.h"
#include "virtio/net/net_priv.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"

#define BATCH       32u
#define KICK_FRAMES 128u

struct batch {
        unsigned nr, nr_bufs;
        struct net_frame frames[BATCH];
        struct gbuf bufs[GIO_SEGS_MAX];
};

/* Return: 0, NET_PARSE_E_FRAME and the like, or VQ_E_BROKEN as a negative: a chain without a whole header */
static int check(struct net *n, struct net_frame *f)
{
        struct vq_chain *c = &n->chain;
        uint64_t all = chain_readable(c), len = all - sizeof(f->head);
        uint8_t bytes[NET_PARSE_BYTES];
        struct virtio_net_head head;

        /* A frame of an unsegmented guest needs no look at its bytes. */
        if (all < sizeof(head) || chain_read(c, 0, &head, sizeof(head)))
                return -VQ_E_BROKEN;
        if (head.gso_type != VIRTIO_NET_HDR_GSO_NONE &&
            chain_read(c, sizeof(head), bytes, num_min(len, sizeof(bytes))))
                return -VQ_E_BROKEN;
        f->len = (uint32_t)num_min(len, UINT32_MAX);
        return net_parse_tx(&head, bytes, len, n->dev.acked, &f->head);
}

static bool may_send(struct net_pair *pair, uint32_t len)
{
        struct net_rate *rate = &pair->net->tx_rate;
        uint64_t wait_ns;

        if (!rate->limited)
                return true;
        if (pair->tx_paid) {
                pair->tx_paid--;
                return true;
        }
        wait_ns = rate_take(&rate->rate, len, loop_now_ns());
        if (!wait_ns)
                return true;
        pair->net->stats[NET_TX_THROTTLED].n++;
        loop_timer_set(pair->net->loop, &pair->tx_again, wait_ns);
        return false;
}

/* Return: 0, VIRTIO_E_IDLE when it has to wait, or what vq_pop() says. */
static int add_frame(struct net_pair *pair, struct vq *vq, struct batch *b)
{
        struct net *n = pair->net;
        struct net_frame *f = &b->frames[b->nr];
        int r = vq_pop(vq, &n->chain);

        if (r)
                return r;
        r = check(n, f);
        if (r < 0)
                return -r;
        if (r || n->back->down) {
                f->len = 0; /* dropped, in its turn: the queue may be rewound to any frame of the batch */
        } else if (!may_send(pair, f->len)) {
                vq_unpop(&n->chain);
                return VIRTIO_E_IDLE;
        }
        f->id = n->chain.head;
        f->bufs = &b->bufs[b->nr_bufs];
        f->nr_bufs = chain_bufs_readable(&n->chain, sizeof(f->head), f->len, &b->bufs[b->nr_bufs]);
        n->chain.vq = NULL; /* what is kept of it stands in the frame */
        b->nr_bufs += f->nr_bufs;
        b->nr++;
        return 0;
}

static void complete(struct net *n, struct vq *vq, const struct net_frame *f)
{
        (void)vq_complete(vq, f->id, 0); /* a broken ring shows when it is published */
        n->stats[NET_TX_BYTES].n += f->len;
        n->stats[f->len ? NET_TX_PACKETS : NET_TX_DROPPED].n++;
}

/* Runs of frames that were not dropped go out together. Return: how many of the batch were taken */
static unsigned send(struct net_pair *pair, const struct batch *b)
{
        struct net_back *back = pair->net->back;
        unsigned i = 0;

        while (i < b->nr) {
                unsigned run = 0, taken;

                while (i + run < b->nr && b->frames[i + run].len)
                        run++;
                taken = run ? back->ops->send(back, pair->i, &b->frames[i], run) : 0;
                i += taken;
                if (back->down)
                        return b->nr; /* nobody is there to have them */
                if (taken < run)
                        return i;
                while (i < b->nr && !b->frames[i].len)
                        i++;
        }
        return i;
}

/* Return: 0, VIRTIO_E_IDLE, VQ_E_EMPTY or VQ_E_BROKEN */
static int move_batch(struct net_pair *pair, struct vq *vq)
{
        struct batch b __attribute__((uninitialized));
        struct net *n = pair->net;
        unsigned taken;
        int r = 0;

        b.nr = b.nr_bufs = 0;
        /* Room for another chain, with what the back end puts before it. */
        while (!r && b.nr < BATCH && b.nr_bufs + VQ_SEGS_MAX + 2 * (b.nr + 1) <= GIO_SEGS_MAX)
                r = add_frame(pair, vq, &b);
        taken = send(pair, &b);
        for (unsigned i = 0; i < taken; i++)
                complete(n, vq, &b.frames[i]);
        if (taken == b.nr)
                return r;
        vq_rewind(vq, b.nr - taken);
        for (unsigned i = taken; i < b.nr; i++)
                pair->tx_paid += b.frames[i].len != 0;
        n->stats[NET_TX_STALLS].n++;
        return r == VQ_E_BROKEN ? r : VIRTIO_E_IDLE;
}

int net_tx_kick(struct net_pair *pair)
{
        struct net *n = pair->net;
        struct vq *vq = &n->dev.vq[NET_TX(pair->i)];
        int r = 0;

        n->back->ops->flush(n->back, pair->i);
        for (unsigned done = 0; !r && done < KICK_FRAMES; done += BATCH)
                r = n->back->wants_out[pair->i] ? VIRTIO_E_IDLE : move_batch(pair, vq);
        return r ? r : VIRTIO_E_AGAIN;
}
