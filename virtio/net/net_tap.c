/*
 * Frames by a tap device of the host, with its offloads.
 * Input:  the host kernel's frames and their headers.
 * Runs:   loop thread.
 * Limits: a frame a system call: a tap knows no other way.
 *
 * The kernel writes the header as virtio has it, num_buffers apart, so frame and header go into the guest's
 * buffers by one readv(2).
 *
 * syscalls: loop: ioctl(TUNSETOFFLOAD TUNSETQUEUE)
 */
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "virtio/net/net_back.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/err.h"

#define TAP_FEATURES                                                                                         \
        (1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM | 1ull << VIRTIO_NET_F_GUEST_TSO4 |     \
         1ull << VIRTIO_NET_F_GUEST_TSO6 | 1ull << VIRTIO_NET_F_GUEST_ECN | 1ull << VIRTIO_NET_F_HOST_TSO4 | \
         1ull << VIRTIO_NET_F_HOST_TSO6 | 1ull << VIRTIO_NET_F_HOST_ECN)

struct tap {
        struct net_back back;
        uint32_t need;                        /* of the largest frame as things are */
        unsigned attached;                    /* the first queues; the rest gets nothing */
        uint8_t rest[NET_FRAME_MAX + 12 + 1]; /* of a frame that is not wanted; never read */
};

static struct tap *to_tap(struct net_back *back)
{
        return container_of(back, struct tap, back);
}

/* An interface that is set down says EIO, and takes frames again later; one that is removed says EBADFD. */
static bool is_passing(ssize_t r)
{
        return r == -EIO || r == -EINTR || r == -ENOBUFS || r == -ENOMEM || r == -EINVAL || r == -EFAULT;
}

static unsigned tap_send(struct net_back *back, unsigned pair, const struct net_frame *frames, unsigned n)
{
        back->wants_out[pair] = false;
        for (unsigned i = 0; i < n; i++) {
                const struct net_frame *f = &frames[i];
                struct gio_piece piece = {
                        .head = &f->head, .head_len = sizeof(f->head), .bufs = f->bufs, .nr_bufs = f->nr_bufs
                };
                ssize_t r = gio_write_piece(back->fds[pair], &piece);

                if (r == -EAGAIN) {
                        back->wants_out[pair] = true;
                        return i;
                }
                if (r < 0 && !is_passing(r)) {
                        back->down = true;
                        return i;
                }
        }
        return n;
}

static void tap_flush(struct net_back *back, unsigned pair)
{
        back->wants_out[pair] = false;
}

static int tap_next(struct net_back *back, unsigned pair, uint32_t *ret_need)
{
        (void)pair;
        *ret_need = to_tap(back)->need;
        return back->down ? NET_E_DOWN : 0;
}

static int tap_receive(struct net_back *back, unsigned pair, const struct gbuf *bufs, unsigned n,
                       uint32_t *ret_len)
{
        struct tap *tap = to_tap(back);
        size_t room = 0;
        ssize_t r;

        for (unsigned i = 0; i < n; i++)
                room += gio_len(&bufs[i]);
        r = gio_read_rest(back->fds[pair], bufs, n, tap->rest, sizeof(tap->rest));
        *ret_len = 0;
        if (r == -EAGAIN)
                return NET_E_AGAIN;
        if (r < 0 && is_passing(r))
                return NET_E_DROPPED; /* and go on: until it says that there is nothing, no event comes */
        if (r <= 0) {
                back->down = true;
                return NET_E_DOWN;
        }
        *ret_len = (uint32_t)r;
        return (size_t)r > room || (size_t)r < sizeof(struct virtio_net_head) ? NET_E_DROPPED : 0;
}

static void tap_set_features(struct net_back *back, uint64_t features)
{
        struct tap *tap = to_tap(back);
        unsigned long offloads = 0;

        if (features >> VIRTIO_NET_F_GUEST_CSUM & 1) {
                offloads = TUN_F_CSUM;
                if (features >> VIRTIO_NET_F_GUEST_TSO4 & 1)
                        offloads |= TUN_F_TSO4;
                if (features >> VIRTIO_NET_F_GUEST_TSO6 & 1)
                        offloads |= TUN_F_TSO6;
                if (offloads != TUN_F_CSUM && features >> VIRTIO_NET_F_GUEST_ECN & 1)
                        offloads |= TUN_F_TSO_ECN;
        }
        tap->need = (uint32_t)sizeof(struct virtio_net_head) +
                    (offloads & (TUN_F_TSO4 | TUN_F_TSO6) ? NET_FRAME_MAX : back->mtu + NET_ETH_BYTES + 4);
        /* Of the device, so any of its queues will do. */
        if (ioctl(back->fds[0], TUNSETOFFLOAD, offloads) < 0)
                back->down = true; /* it was removed */
}

/* Queues that the driver does not use get no flows. */
static void tap_set_pairs(struct net_back *back, unsigned pairs)
{
        struct tap *tap = to_tap(back);

        while (tap->attached != pairs && !back->down) {
                bool more = tap->attached < pairs;
                unsigned i = more ? tap->attached : tap->attached - 1;
                struct ifreq req = { .ifr_flags = more ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

                back->down = ioctl(back->fds[i], TUNSETQUEUE, &req) < 0;
                tap->attached = more ? i + 1 : i;
        }
}

static void tap_reset(struct net_back *back)
{
        (void)back;
}

static void tap_destroy(struct net_back *back)
{
        for (unsigned i = 0; i < back->nr_pairs; i++)
                fd_closep(&back->fds[i]);
        free(to_tap(back));
}

static const struct net_back_ops tap_ops = {
        .send = tap_send,
        .flush = tap_flush,
        .next = tap_next,
        .receive = tap_receive,
        .set_features = tap_set_features,
        .set_pairs = tap_set_pairs,
        .reset = tap_reset,
        .destroy = tap_destroy,
};

int net_tap_new(struct net_back **ret, const int *fds, unsigned nr_pairs, uint32_t mtu)
{
        struct tap *tap = calloc(1, sizeof(*tap));

        if (!tap) {
                for (unsigned i = 0; i < nr_pairs; i++)
                        close(fds[i]);
                return err_new(-ENOMEM);
        }
        tap->back = (struct net_back){
                .ops = &tap_ops, .features = TAP_FEATURES, .nr_pairs = nr_pairs, .mtu = mtu
        };
        for (unsigned i = 0; i < nr_pairs; i++)
                tap->back.fds[i] = fds[i];
        tap->attached = nr_pairs;
        *ret = &tap->back;
        return 0;
}
