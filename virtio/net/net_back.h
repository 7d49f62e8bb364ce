#pragma once
/*
 * Where the frames of a network device go to and come from: a tap device of the host, or a stream socket.
 * All of it on the loop thread; nothing waits.
 *
 * A pair of queues has a descriptor of its own. What a call finds out about the other side stands in `down` and
 * `wants_out` afterwards; the device looks at them.
 */
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/compiler.h"
#include "virtio/net/net_parse.h"
#include "vmm/mem/gio.h"

/* Pairs of queues: with the control queue, what a transport has. */
#define NET_PAIRS_MAX 7u

enum {
        NET_E_AGAIN = 1, /* nothing to read now: the descriptor's next event tells */
        NET_E_DROPPED,   /* a frame was read, and there was no room for it */
        NET_E_DOWN,      /* the other side is gone */
};

struct net_frame {
        struct virtio_net_head head; /* checked */
        const struct gbuf *bufs;     /* without head */
        unsigned nr_bufs;
        uint32_t len;
        uint16_t id; /* the device's: what to complete */
};

struct net_back;

struct net_back_ops {
        /*
         * send() - frames of a pair, in order; together within GIO_SEGS_MAX with two more for each
         * Return: how many need not be given again. Less than @n: wants_out is set, or all of it is down.
         */
        unsigned (*send)(struct net_back *back, unsigned pair, const struct net_frame *frames, unsigned n);
        /* flush() - there may be room again for what send() could only begin with */
        void (*flush)(struct net_back *back, unsigned pair);
        /*
         * next() - how many bytes of buffers, header included, the next frame may take
         * Return: 0, NET_E_AGAIN or NET_E_DOWN
         */
        int (*next)(struct net_back *back, unsigned pair, uint32_t *ret_need);
        /*
         * receive() - a frame after its header, whose num_buffers is left to the device. Between NET_E_AGAIN and
         *             the next call the buffers stay the same, unless reset() comes.
         * @n: up to GIO_SEGS_MAX - 1; 0: the frame is dropped
         * Return: 0, NET_E_AGAIN, NET_E_DROPPED or NET_E_DOWN
         */
        int (*receive)(struct net_back *back, unsigned pair, const struct gbuf *bufs, unsigned n,
                       uint32_t *ret_len);
        /* set_features() - what the driver has negotiated; before anything is received */
        void (*set_features)(struct net_back *back, uint64_t features);
        /* set_pairs() - only the first @pairs are used from now on */
        void (*set_pairs)(struct net_back *back, unsigned pairs);
        /* reset() - buffers that were given to receive() are no more */
        void (*reset)(struct net_back *back);
        void (*destroy)(struct net_back *back);
};

struct net_back {
        const struct net_back_ops *ops;
        uint64_t features; /* that it can do, of virtio's: offload of checksums and segments */
        int fds[NET_PAIRS_MAX];
        unsigned nr_pairs;
        uint32_t mtu;
        bool knows_length; /* next() tells the frame's own length, not only the largest */
        bool down;
        bool wants_out[NET_PAIRS_MAX]; /* something waits for the descriptor to take it */
};

/* @fds: taken, on failure too; non-blocking taps with headers of 12 bytes, all of one device */
int must_check net_tap_new(struct net_back **ret, const int *fds, unsigned nr_pairs, uint32_t mtu);

/*
 * net_stream_new() - frames on a stream socket, each after its length in 32 bits, big endian
 * @fd: taken, on failure too; connected, non-blocking
 * @head: a struct virtio_net_head stands between length and frame, and is counted in
 */
int must_check net_stream_new(struct net_back **ret, int fd, bool head, uint32_t mtu);
