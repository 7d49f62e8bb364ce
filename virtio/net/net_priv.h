#pragma once
/*
 * What the files of the network device share, and nobody else sees: net.c has the device, its events and its control
 * queue, net_rx.c the way to the guest, net_tx.c the way from it.
 */
#include "virtio/core/chain.h"
#include "virtio/net/net.h"
#include "virtio/net/net_back.h"

/* Of a pair: its queues stand side by side. */
#define NET_RX(pair) (2 * (pair))
#define NET_TX(pair) (2 * (pair) + 1)

enum {
        NET_RX_BYTES,
        NET_RX_PACKETS,
        NET_RX_DROPPED,   /* no buffer was large enough */
        NET_RX_WAITS,     /* for buffers */
        NET_RX_THROTTLED, /* waits for the rate */
        NET_TX_BYTES,
        NET_TX_PACKETS,
        NET_TX_DROPPED, /* a header that cannot be, or nobody there */
        NET_TX_STALLS,  /* waits for the other side */
        NET_TX_THROTTLED,
        NET_LINK_DOWNS,
        NET_NR_STATS
};

/* Chains of the guest that wait for frames. As many as the largest frame takes in buffers of an Ethernet's size. */
#define NET_SLOTS_MAX 64u
#define NET_BUFS_MAX  (GIO_SEGS_MAX - 1u)

struct net_slot {
        uint32_t len;
        uint16_t head;
        uint16_t nr_bufs;
};

/* A window on the queue: what was popped and is not used. It begins at first_*, so that little is moved. */
struct net_rx {
        uint32_t owed; /* bytes: a frame is paid for before the next one is read */
        uint32_t bytes;
        unsigned first_slot, nr_slots;
        unsigned first_buf, nr_bufs;
        struct net_slot slots[2 * NET_SLOTS_MAX];
        struct gbuf bufs[2 * NET_BUFS_MAX];
};

struct net_rate {
        struct rate rate;
        bool limited;
};

struct net;

struct net_pair {
        struct net *net;
        unsigned i;
        struct ev ev;
        uint32_t events; /* that are waited for; 0: none any more */
        struct loop_timer rx_again, tx_again;
        struct net_rx rx;
        unsigned tx_paid; /* frames that went back into the queue with their tokens taken */
};

struct net {
        struct virtio_dev dev;
        struct virtio_net_cfg config;
        struct stat_counter stats[NET_NR_STATS];
        struct loop *loop;
        struct net_back *back;
        struct net_rate rx_rate, tx_rate; /* of all pairs */
        bool is_set_up;                   /* the back end knows what was negotiated */
        unsigned nr_pairs;                /* in use */
        struct vq_chain chain;            /* the one that is being popped */
        struct net_pair pairs[];          /* as many as the back end has */
};

static inline struct net *to_net(struct virtio_dev *dev)
{
        return container_of(dev, struct net, dev);
}

/* See struct virtio_class. */
int must_check net_rx_kick(struct net_pair *pair);
int must_check net_tx_kick(struct net_pair *pair);
/* The queue is forgotten. */
void net_rx_reset(struct net_rx *rx);

/* After each use of the back end: the link's state, and what to wait for. Return: 0 or negative errno */
int must_check net_look_at_back(struct net_pair *pair);
