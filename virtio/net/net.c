/*
 * virtio net: the device, its control queue and what wakes it.
 * Input:  orders of the control queue (guest, hostile); events of descriptors; saved state.
 * Runs:   loop thread; main thread before the guest runs.
 * Limits: NET_PAIRS_MAX pairs of queues; CTRL_BUDGET orders a round.
 *
 * Descriptors are watched for edges: a frame that comes wakes us once, and from then on the queue is
 * served until there is nothing to read, or no buffer to read into; then the driver's kick goes on.
 */
#include "virtio/net/net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "virtio/core/wire.h"
#include "virtio/net/net_priv.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"

#define CTRL_BUDGET 16u

static const char *const stat_names[NET_NR_STATS] = {
        "rx_bytes",   "rx_packets", "rx_dropped", "rx_waits",     "rx_throttled", "tx_bytes",
        "tx_packets", "tx_dropped", "tx_stalls",  "tx_throttled", "link_downs",
};

/* virtio 1.2, 5.1.2: the control queue is the last one; without MQ it follows the first pair. */
static unsigned ctrl_queue(const struct net *n)
{
        return virtio_has(&n->dev, VIRTIO_NET_F_MQ) ? 2 * n->back->nr_pairs : 2;
}

static int watch(struct net_pair *pair, uint32_t events)
{
        int r;

        if (events == pair->events)
                return 0;
        pair->events = events;
        r = loop_change(pair->net->loop, &pair->ev, events | EPOLLET);
        return r < 0 ? err_trace(r) : 0;
}

static void link_down(struct net *n)
{
        for (unsigned i = 0; i < n->back->nr_pairs; i++) {
                loop_remove(n->loop, &n->pairs[i].ev);
                n->pairs[i].events = 0;
        }
        n->config.status = le16_of(0);
        n->stats[NET_LINK_DOWNS].n++;
        log_warn("%s: the other side of the network is gone", n->dev.name);
        virtio_config_changed(&n->dev);
}

int net_look_at_back(struct net_pair *pair)
{
        struct net *n = pair->net;

        if (n->back->down && pair->events)
                link_down(n);
        if (!pair->events)
                return 0;
        return watch(pair, EPOLLIN | (n->back->wants_out[pair->i] ? (uint32_t)EPOLLOUT : 0));
}

/* The first kick since the driver came: now it is known what it can do. */
static void set_up(struct net *n)
{
        if (n->is_set_up)
                return;
        n->is_set_up = true;
        n->back->ops->set_features(n->back, n->dev.acked);
        n->back->ops->set_pairs(n->back, n->nr_pairs);
}

static int kick_queue(struct net_pair *pair, unsigned qi, struct loop_timer *again)
{
        int r = virtio_kick(&pair->net->dev, qi);

        if (r == VIRTIO_E_AGAIN)
                loop_timer_set(pair->net->loop, again, 0);
        return r < 0 ? err_trace(r) : 0;
}

static int on_event(struct ev *ev, uint32_t events)
{
        struct net_pair *pair = container_of(ev, struct net_pair, ev);
        int r = 0;

        if (events & EPOLLOUT) {
                pair->net->back->ops->flush(pair->net->back, pair->i);
                r = net_look_at_back(pair);
                if (r >= 0)
                        r = kick_queue(pair, NET_TX(pair->i), &pair->tx_again);
        }
        if (r >= 0 && events & ~(uint32_t)EPOLLOUT)
                r = kick_queue(pair, NET_RX(pair->i), &pair->rx_again);
        return r < 0 ? err_trace(r) : 0;
}

static int on_rx_again(struct loop_timer *timer)
{
        struct net_pair *pair = container_of(timer, struct net_pair, rx_again);

        return kick_queue(pair, NET_RX(pair->i), timer);
}

static int on_tx_again(struct loop_timer *timer)
{
        struct net_pair *pair = container_of(timer, struct net_pair, tx_again);

        return kick_queue(pair, NET_TX(pair->i), timer);
}

/* What was kicked before a queue was in use meant nothing. */
static void use_pairs(struct net *n, unsigned pairs)
{
        for (unsigned i = n->nr_pairs; i < pairs; i++) {
                loop_timer_set(n->loop, &n->pairs[i].rx_again, 0);
                loop_timer_set(n->loop, &n->pairs[i].tx_again, 0);
        }
        n->nr_pairs = pairs;
        n->back->ops->set_pairs(n->back, pairs);
}

/* Return: 0, or VQ_E_BROKEN: no room for an answer */
static int answer_ctrl(struct net *n, struct vq_chain *c)
{
        uint8_t bytes[sizeof(struct virtio_net_ctrl)], ack = VIRTIO_NET_ERR;
        bool is_whole = !chain_read(c, 0, bytes, sizeof(bytes));
        unsigned pairs;

        if (is_whole && virtio_has(&n->dev, VIRTIO_NET_F_MQ) &&
            !net_parse_ctrl(bytes, sizeof(bytes), n->back->nr_pairs, &pairs)) {
                use_pairs(n, pairs);
                ack = VIRTIO_NET_OK;
        }
        return chain_write(c, 0, &ack, sizeof(ack));
}

static int ctrl_kick(struct net *n, struct vq *vq)
{
        for (unsigned i = 0; i < CTRL_BUDGET; i++) {
                cleanup(chain_donep) struct vq_chain *c = &n->chain;
                int r = vq_pop(vq, c);

                if (!r)
                        r = answer_ctrl(n, c);
                if (r)
                        return r;
        }
        return VIRTIO_E_AGAIN;
}

static int net_kick(struct virtio_dev *dev, unsigned qi)
{
        struct net *n = to_net(dev);
        struct net_pair *pair;
        int r, l;

        set_up(n);
        if (n->back->nr_pairs > 1 && qi == ctrl_queue(n))
                return ctrl_kick(n, &dev->vq[qi]);
        if (qi / 2 >= n->nr_pairs)
                return VIRTIO_E_IDLE; /* use_pairs() goes on */
        pair = &n->pairs[qi / 2];
        r = qi % 2 ? net_tx_kick(pair) : net_rx_kick(pair);
        l = net_look_at_back(pair);
        return l < 0 ? err_trace(l) : r;
}

static bool net_reset(struct virtio_dev *dev)
{
        struct net *n = to_net(dev);

        for (unsigned i = 0; i < n->back->nr_pairs; i++) {
                loop_timer_clear(n->loop, &n->pairs[i].rx_again);
                loop_timer_clear(n->loop, &n->pairs[i].tx_again);
                net_rx_reset(&n->pairs[i].rx);
                n->pairs[i].tx_paid = 0;
        }
        n->back->ops->reset(n->back);
        n->nr_pairs = 1;
        n->is_set_up = false;
        return true;
}

static void net_save(const struct virtio_dev *dev, struct buf *b)
{
        const struct net *n = (const struct net *)(const void *)dev; /* its first member */

        buf_put(b, n->config.mac, sizeof(n->config.mac));
        buf_put_u16(b, (uint16_t)n->nr_pairs);
        for (unsigned i = 0; i < n->back->nr_pairs; i++)
                buf_put_u16(b, (uint16_t)n->pairs[i].rx.nr_slots);
        rate_save(&n->rx_rate.rate, b);
        rate_save(&n->tx_rate.rate, b);
}

static void load_rate(struct net_rate *rate, struct buf *b)
{
        rate_load(&rate->rate, b, loop_now_ns());
        rate->limited = rate->rate.bandwidth.refill_ns || rate->rate.ops.refill_ns;
}

/* The link is what it is here, not what it was. */
static void net_load(struct virtio_dev *dev, struct buf *b)
{
        struct net *n = to_net(dev);

        buf_get(b, n->config.mac, sizeof(n->config.mac));
        n->nr_pairs = buf_get_u16(b);
        n->is_set_up = false;
        if (!n->nr_pairs || n->nr_pairs > n->back->nr_pairs) {
                n->nr_pairs = 1;
                b->bad = true;
        }
        for (unsigned i = 0; i < n->back->nr_pairs; i++) {
                unsigned held = buf_get_u16(b);

                if (held > NET_SLOTS_MAX || held > dev->vq[NET_RX(i)].size)
                        b->bad = true;
                else
                        vq_rewind(&dev->vq[NET_RX(i)], held); /* the window's, to be popped again */
        }
        load_rate(&n->rx_rate, b);
        load_rate(&n->tx_rate, b);
}

static void net_destroy(struct virtio_dev *dev)
{
        struct net *n = to_net(dev);

        for (unsigned i = 0; i < n->back->nr_pairs; i++) {
                loop_timer_clear(n->loop, &n->pairs[i].rx_again);
                loop_timer_clear(n->loop, &n->pairs[i].tx_again);
                loop_remove(n->loop, &n->pairs[i].ev);
        }
        n->back->ops->destroy(n->back);
        free(n);
}

#define CLASS(queues)                                                                                        \
        {                                                                                                    \
                .name = "net", .id = VIRTIO_ID_NET, .nr_queues = (queues), .queue_max = NET_QUEUE_MAX,       \
                .kick = net_kick, .reset = net_reset, .save = net_save, .load = net_load,                    \
                .destroy = net_destroy,                                                                      \
        }

/* By pairs: from two on there is a control queue. */
static const struct virtio_class classes[NET_PAIRS_MAX + 1] = {
        [1] = CLASS(2),  [2] = CLASS(5),  [3] = CLASS(7),  [4] = CLASS(9),
        [5] = CLASS(11), [6] = CLASS(13), [7] = CLASS(15),
};

static void set_rate(struct net_rate *rate, const struct rate_config *cfg)
{
        rate->limited = rate_is_limited(cfg);
        rate_init(&rate->rate, cfg, rate->limited ? loop_now_ns() : 0);
}

void net_set_rates(struct virtio_dev *dev, const struct rate_config *rx, const struct rate_config *tx)
{
        struct net *n = to_net(dev);

        if (rx)
                set_rate(&n->rx_rate, rx);
        if (tx)
                set_rate(&n->tx_rate, tx);
        for (unsigned i = 0; i < n->back->nr_pairs; i++) {
                struct net_pair *pair = &n->pairs[i];

                /* What waits may pass by now. */
                if (rx && pair->rx_again.at_ns)
                        loop_timer_set(n->loop, &pair->rx_again, 0);
                if (tx && pair->tx_again.at_ns)
                        loop_timer_set(n->loop, &pair->tx_again, 0);
        }
}

static uint64_t features_of(const struct net_back *back)
{
        uint64_t f = back->features | 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_MTU |
                     1ull << VIRTIO_NET_F_STATUS | 1ull << VIRTIO_NET_F_MRG_RXBUF;

        return back->nr_pairs > 1 ? f | 1ull << VIRTIO_NET_F_CTRL_VQ | 1ull << VIRTIO_NET_F_MQ : f;
}

static int init(struct net *n, const struct net_config *cfg)
{
        int r = 0;

        virtio_init(&n->dev, &classes[n->back->nr_pairs], cfg->mem, features_of(n->back));
        (void)snprintf(n->dev.name, sizeof(n->dev.name), "net%u", cfg->index);
        for (unsigned i = 0; i < NET_NR_STATS; i++)
                n->stats[i].name = stat_names[i];
        n->dev.stats = n->stats;
        n->dev.nr_stats = NET_NR_STATS;
        n->config = (struct virtio_net_cfg){ .status = le16_of(VIRTIO_NET_S_LINK_UP),
                                             .max_pairs = le16_of((uint16_t)n->back->nr_pairs),
                                             .mtu = le16_of((uint16_t)n->back->mtu) };
        memcpy(n->config.mac, cfg->mac, sizeof(cfg->mac));
        n->dev.config = &n->config;
        n->dev.config_len = sizeof(n->config);
        n->nr_pairs = 1;
        for (unsigned i = 0; i < n->back->nr_pairs && !r; i++) {
                struct net_pair *pair = &n->pairs[i];

                pair->net = n;
                pair->i = i;
                pair->rx_again.call = on_rx_again;
                pair->tx_again.call = on_tx_again;
                pair->events = EPOLLIN;
                pair->ev = (struct ev){ .call = on_event, .fd = n->back->fds[i] };
                r = loop_add(n->loop, &pair->ev, EPOLLIN | EPOLLET);
        }
        net_set_rates(&n->dev, &cfg->rx, &cfg->tx);
        return r < 0 ? err_trace(r) : 0;
}

int net_new(const struct net_config *cfg, struct virtio_dev **ret)
{
        struct net *n = calloc(1, sizeof(*n) + cfg->back->nr_pairs * sizeof(*n->pairs));
        int r;

        ASSERT(cfg->back->nr_pairs && cfg->back->nr_pairs <= NET_PAIRS_MAX);
        if (!n) {
                cfg->back->ops->destroy(cfg->back);
                return err_new(-ENOMEM);
        }
        n->loop = cfg->loop;
        n->back = cfg->back;
        r = init(n, cfg);
        if (r < 0) {
                net_destroy(&n->dev);
                return err_trace(r);
        }
        *ret = &n->dev;
        return 0;
}
