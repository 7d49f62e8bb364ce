/*
 * virtio net: frames to the guest.
 * Input:  writable chains (guest, hostile); frames of the back end.
 * Runs:   loop thread.
 * Limits: NET_SLOTS_MAX chains and NET_BUFS_MAX buffers in the window, KICK_FRAMES and KICK_BYTES a kick.
 *
 * Chains are popped into a window that has room for what comes next, and stay there until a frame fills them.
 * A frame is read right into the window. With mergeable buffers it takes as many of its first chains as
 * it needs, else the first one.
 *
 * When the driver's chains do not suffice, the frame waits as long as the driver is behind with more, and is
 * dropped when even the whole queue would not do. How far behind, only its own refilling tells: who has less than
 * half of the queue there is about to refill it.
 */
#include <string.h>

#include "virtio/core/wire.h"
#include "virtio/net/net_priv.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"

#define KICK_FRAMES 64u
#define KICK_BYTES  (1u << 20)

void net_rx_reset(struct net_rx *rx)
{
        rx->bytes = 0;
        rx->first_slot = rx->nr_slots = rx->first_buf = rx->nr_bufs = 0;
}

/* The window moves to the front when its end has no room for another chain. */
static bool has_room(struct net_rx *rx)
{
        if (rx->nr_slots == NET_SLOTS_MAX || rx->nr_bufs + VQ_SEGS_MAX > NET_BUFS_MAX)
                return false;
        if (rx->first_slot + rx->nr_slots == array_size(rx->slots) ||
            rx->first_buf + rx->nr_bufs + VQ_SEGS_MAX > array_size(rx->bufs)) {
                memmove(rx->slots, rx->slots + rx->first_slot, rx->nr_slots * sizeof(*rx->slots));
                memmove(rx->bufs, rx->bufs + rx->first_buf, rx->nr_bufs * sizeof(*rx->bufs));
                rx->first_slot = rx->first_buf = 0;
        }
        return true;
}

static int add_chain(struct net *n, struct net_rx *rx, struct vq *vq)
{
        struct net_slot *slot = &rx->slots[rx->first_slot + rx->nr_slots];
        struct vq_chain *c = &n->chain;
        int r = vq_pop(vq, c);
        uint64_t len;
        unsigned nr;

        if (r)
                return r;
        len = chain_writable(c);
        nr = chain_bufs_writable(c, 0, len, &rx->bufs[rx->first_buf + rx->nr_bufs]);
        if (!nr || len > UINT32_MAX - rx->bytes)
                return VQ_E_BROKEN;
        *slot = (struct net_slot){ .len = (uint32_t)len, .head = c->head, .nr_bufs = (uint16_t)nr };
        c->vq = NULL; /* what is kept of it stands in the slot */
        rx->nr_slots++;
        rx->nr_bufs += nr;
        rx->bytes += slot->len;
        return 0;
}

enum room { ROOM_ENOUGH, ROOM_LATER, ROOM_NEVER, ROOM_BROKEN };

/* Makes the window as large as @need. */
static enum room fill(struct net *n, struct net_rx *rx, struct vq *vq, uint32_t need)
{
        bool merge = virtio_has(&n->dev, VIRTIO_NET_F_MRG_RXBUF);

        while (rx->bytes < need && (merge || !rx->nr_slots)) {
                int r = has_room(rx) ? add_chain(n, rx, vq) : VQ_E_EMPTY;

                if (r == VQ_E_BROKEN)
                        return ROOM_BROKEN;
                if (r && (!rx->nr_slots || (has_room(rx) && rx->nr_slots < vq->size / 2)))
                        return ROOM_LATER;
                if (r)
                        return ROOM_NEVER;
        }
        return rx->nr_slots && (merge ? rx->bytes : rx->slots[rx->first_slot].len) >= need ? ROOM_ENOUGH
                                                                                           : ROOM_NEVER;
}

/* The first chains have a frame of @len bytes in them, header included. */
static void complete(struct net *n, struct net_rx *rx, struct vq *vq, uint32_t len)
{
        le16_t wire;
        uint16_t used = 0;
        uint32_t left = len;

        while (left)
                left -= (uint32_t)num_min(left, rx->slots[rx->first_slot + used++].len);
        wire = le16_of(used);
        gio_put(rx->bufs + rx->first_buf, rx->nr_bufs, offsetof(struct virtio_net_head, num_buffers), &wire,
                sizeof(wire));
        for (unsigned i = 0; i < used; i++) {
                const struct net_slot *s = &rx->slots[rx->first_slot++];
                uint32_t part = (uint32_t)num_min(len, s->len);

                (void)vq_complete(vq, s->head, part); /* a broken ring shows when it is published */
                len -= part;
                rx->nr_slots--;
                rx->first_buf += s->nr_bufs;
                rx->nr_bufs -= s->nr_bufs;
                rx->bytes -= s->len;
        }
        n->stats[NET_RX_PACKETS].n++;
}

/* Return: 0, VIRTIO_E_IDLE, VQ_E_EMPTY or VQ_E_BROKEN */
static int receive(struct net_pair *pair, struct vq *vq)
{
        struct net *n = pair->net;
        struct net_rx *rx = &pair->rx;
        bool merge = virtio_has(&n->dev, VIRTIO_NET_F_MRG_RXBUF);
        uint32_t need, len = 0;
        enum room room;
        unsigned nr;
        int r = n->back->ops->next(n->back, pair->i, &need);

        if (r)
                return VIRTIO_E_IDLE;
        room = fill(n, rx, vq, need);
        if (room == ROOM_LATER)
                n->stats[NET_RX_WAITS].n++;
        if (room == ROOM_BROKEN || room == ROOM_LATER)
                return room == ROOM_BROKEN ? VQ_E_BROKEN : VQ_E_EMPTY;
        nr = merge ? rx->nr_bufs : rx->slots[rx->first_slot].nr_bufs;
        if (room == ROOM_NEVER && n->back->knows_length)
                nr = 0;
        r = n->back->ops->receive(n->back, pair->i, rx->bufs + rx->first_buf, nr, &len);
        if (r == NET_E_AGAIN || r == NET_E_DOWN)
                return VIRTIO_E_IDLE;
        rx->owed = len;
        n->stats[NET_RX_BYTES].n += r ? 0 : len - sizeof(struct virtio_net_head);
        if (r == NET_E_DROPPED)
                n->stats[NET_RX_DROPPED].n++;
        else
                complete(n, rx, vq, len);
        return 0;
}

static bool may_read(struct net_pair *pair)
{
        struct net_rx *rx = &pair->rx;
        uint64_t wait_ns;

        if (!pair->net->rx_rate.limited || !rx->owed)
                return true;
        wait_ns = rate_take(&pair->net->rx_rate.rate, rx->owed, loop_now_ns());
        if (!wait_ns) {
                rx->owed = 0;
                return true;
        }
        pair->net->stats[NET_RX_THROTTLED].n++;
        loop_timer_set(pair->net->loop, &pair->rx_again, wait_ns);
        return false;
}

int net_rx_kick(struct net_pair *pair)
{
        struct net *n = pair->net;
        struct vq *vq = &n->dev.vq[NET_RX(pair->i)];
        uint64_t until = n->stats[NET_RX_BYTES].n + KICK_BYTES;
        int r = 0;

        for (unsigned i = 0; !r && i < KICK_FRAMES && n->stats[NET_RX_BYTES].n < until; i++)
                r = may_read(pair) ? receive(pair, vq) : VIRTIO_E_IDLE;
        return r ? r : VIRTIO_E_AGAIN;
}
