/*
 * Frames by a stream socket, each after its length: the convention of QEMU's "-netdev stream", which passt and our
 * gateway speak.
 * Input:  the other side's bytes, hostile.
 * Runs:   loop thread.
 * Limits: NET_FRAME_MAX a frame: a length beyond it, or too short for one, ends the link. AHEAD_BYTES read ahead.
 *
 * Reading. Of a frame whose length is known the rest is read right into the guest's buffers; the same call
 * reads ahead what follows it. So a large frame costs one call and little copying, and small ones share a call.
 *
 * Writing. Debian's passt loses its place when a frame reaches it in more than two pieces, or its length in two. So
 * frames go by one call as long as they are one piece to the kernel, a larger one goes by itself, and both only when
 * there is room for all of it. Should the socket take only a part nevertheless, the rest is copied, for the guest's
 * memory is its own again by then, and is sent before anything else.
 *
 * syscalls: loop: ioctl(SIOCOUTQ)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "virtio/net/net_back.h"
#include "vmm/base/assert.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"

#define LENGTH_BYTES 4u
#define HEAD_BYTES   ((uint32_t)sizeof(struct virtio_net_head))
/* A handful of frames of an Ethernet's size; an eighth of a large frame to be copied. */
#define AHEAD_BYTES 8192u
#define FRAMES_MAX  64u
/* A Unix socket queues so much as one piece, and more in pieces of 48 KiB (UNIX_SKB_FRAGS_SZ, and 16 KiB). */
#define WHOLE_BYTES 32768u

struct prefix {
        uint32_t length; /* of what follows, big endian */
        struct virtio_net_head head;
};
static_assert(sizeof(struct prefix) == LENGTH_BYTES + sizeof(struct virtio_net_head), "no gaps");

struct stream {
        struct net_back back;
        uint32_t head_bytes; /* 0, or HEAD_BYTES */
        bool takes_valid;    /* the driver, checksums that were looked at */

        uint32_t send_bytes; /* what the socket holds, and how much of it is surely free */
        uint32_t room;

        bool in_frame;
        bool is_dropped;      /* the frame */
        uint32_t filled;      /* bytes of the frame that were read */
        uint32_t len;         /* of it */
        uint8_t flags;        /* from its header */
        uint32_t from, to;    /* what is there of ahead[] */
        uint32_t out, out_to; /* what is there of rest[] */
        uint8_t ahead[AHEAD_BYTES];
        uint8_t rest[sizeof(struct prefix) + NET_FRAME_MAX];
};

static struct stream *to_stream(struct net_back *back)
{
        return container_of(back, struct stream, back);
}

static int down(struct stream *s)
{
        s->back.down = true;
        s->back.wants_out[0] = false;
        return NET_E_DOWN;
}

/* Return: bytes that were sent, 0 also when it is full or down. */
static size_t sent(struct stream *s, ssize_t r)
{
        if (r >= 0)
                return (size_t)r;
        if (r == -EAGAIN || r == -EINTR || r == -ENOBUFS || r == -ENOMEM)
                s->back.wants_out[0] = true;
        else
                (void)down(s);
        return 0;
}

static void stream_flush(struct net_back *back, unsigned pair)
{
        struct stream *s = to_stream(back);

        (void)pair;
        back->wants_out[0] = false;
        while (s->out < s->out_to && !back->wants_out[0] && !back->down) {
                ssize_t r =
                        send(back->fds[0], s->rest + s->out, s->out_to - s->out, MSG_DONTWAIT | MSG_NOSIGNAL);

                s->out += (uint32_t)sent(s, r < 0 ? -errno : r);
        }
}

/* The rest of @f, of which @done bytes of prefix and frame were sent. */
static void keep_rest(struct stream *s, const struct gio_piece *p, const struct net_frame *f, size_t done)
{
        size_t head = p->head_len > done ? p->head_len - done : 0;
        size_t skip = done > p->head_len ? done - p->head_len : 0;

        memcpy(s->rest, (const uint8_t *)p->head + p->head_len - head, head);
        gio_get(f->bufs, f->nr_bufs, skip, s->rest + head, f->len - skip);
        s->out = 0;
        s->out_to = (uint32_t)(head + f->len - skip);
        s->back.wants_out[0] = true;
}

/*
 * Is there room for all of @bytes? What the socket holds is asked for only when our own reckoning says that it may be
 * full: of what a send takes, at most twice its bytes and a little are used.
 */
static bool has_room(struct stream *s, uint32_t bytes)
{
        uint32_t need = bytes > WHOLE_BYTES ? bytes : 0;
        int held = 0;

        if (s->room <= need) {
                if (ioctl(s->back.fds[0], SIOCOUTQ, &held) < 0)
                        return true;
                s->room = s->send_bytes - (uint32_t)num_min((uint32_t)held, s->send_bytes);
                /* With so little in it the socket says that it can be written to, however small it is. */
                if (s->room <= need && 4 * (uint64_t)held > s->send_bytes)
                        return false;
        }
        s->room -= (uint32_t)num_min(s->room, 2 * bytes + 1024);
        return true;
}

/* The first of @frames that go by one call. Return: how many; *ret_bytes is what they take */
static unsigned group(const struct stream *s, const struct net_frame *frames, unsigned n, uint32_t *ret_bytes)
{
        unsigned i = 0;

        *ret_bytes = 0;
        do
                *ret_bytes += LENGTH_BYTES + s->head_bytes + frames[i++].len;
        while (i < n && *ret_bytes + LENGTH_BYTES + s->head_bytes + frames[i].len <= WHOLE_BYTES);
        return i;
}

/* Return: how many of @frames need not be given again. */
static unsigned send_group(struct stream *s, const struct net_frame *frames, unsigned n)
{
        struct prefix prefixes[FRAMES_MAX];
        struct gio_piece pieces[FRAMES_MAX];
        size_t left;

        ASSERT(n <= FRAMES_MAX);
        for (unsigned i = 0; i < n; i++) {
                prefixes[i].length = htonl(frames[i].len + s->head_bytes);
                prefixes[i].head = frames[i].head;
                pieces[i] = (struct gio_piece){ .head = &prefixes[i],
                                                .head_len = LENGTH_BYTES + s->head_bytes,
                                                .bufs = frames[i].bufs,
                                                .nr_bufs = frames[i].nr_bufs };
        }
        left = sent(s, gio_send_pieces(s->back.fds[0], pieces, n));
        for (unsigned i = 0; i < n; i++) {
                size_t all = pieces[i].head_len + frames[i].len;

                if (left >= all) {
                        left -= all;
                        continue;
                }
                s->back.wants_out[0] = !s->back.down;
                if (!left)
                        return i;
                keep_rest(s, &pieces[i], &frames[i], left);
                return i + 1;
        }
        return n;
}

static unsigned stream_send(struct net_back *back, unsigned pair, const struct net_frame *frames, unsigned n)
{
        struct stream *s = to_stream(back);
        unsigned i = 0;

        stream_flush(back, pair);
        while (i < n && !back->wants_out[0] && !back->down) {
                uint32_t bytes;
                unsigned nr = group(s, &frames[i], n - i, &bytes);

                if (has_room(s, bytes))
                        i += send_group(s, &frames[i], nr);
                else
                        back->wants_out[0] = true;
        }
        return i;
}

/* Takes over what a read of up to @wanted bytes and then of ahead[] has given. Return: 0, NET_E_AGAIN or _DOWN */
static int take(struct stream *s, ssize_t r, size_t wanted)
{
        if (r == -EINTR)
                return 0;
        if (r == -EAGAIN)
                return NET_E_AGAIN;
        if (r <= 0)
                return down(s);
        s->filled += (uint32_t)num_min((size_t)r, wanted);
        s->to += (uint32_t)((size_t)r - num_min((size_t)r, wanted));
        return 0;
}

static int begin(struct stream *s)
{
        struct prefix p = { 0 };
        uint32_t len;

        memcpy(&p, s->ahead + s->from, LENGTH_BYTES + s->head_bytes);
        len = ntohl(p.length);
        if (len < s->head_bytes + NET_ETH_BYTES || len > s->head_bytes + NET_FRAME_MAX)
                return down(s);
        s->from += LENGTH_BYTES + s->head_bytes;
        s->len = len - s->head_bytes;
        s->flags = s->takes_valid ? p.head.flags & VIRTIO_NET_HDR_F_DATA_VALID : 0;
        s->filled = 0;
        s->in_frame = true;
        s->is_dropped = false;
        return 0;
}

static int stream_next(struct net_back *back, unsigned pair, uint32_t *ret_need)
{
        struct stream *s = to_stream(back);
        int r = 0;

        (void)pair;
        if (back->down)
                return NET_E_DOWN;
        while (!r && !s->in_frame && s->to - s->from < LENGTH_BYTES + s->head_bytes) {
                memmove(s->ahead, s->ahead + s->from, s->to - s->from);
                s->to -= s->from;
                s->from = 0;
                r = take(s, gio_read_rest(back->fds[0], NULL, 0, s->ahead + s->to, AHEAD_BYTES - s->to), 0);
        }
        if (!r && !s->in_frame)
                r = begin(s);
        *ret_need = HEAD_BYTES + s->len;
        return r;
}

/* What was read ahead belongs to the frame first. */
static void use_ahead(struct stream *s, const struct gbuf *bufs, unsigned n)
{
        uint32_t part = (uint32_t)num_min(s->len - s->filled, s->to - s->from);

        if (!s->is_dropped)
                gio_put(bufs, n, HEAD_BYTES + s->filled, s->ahead + s->from, part);
        s->from += part;
        s->filled += part;
        if (s->from == s->to)
                s->from = s->to = 0;
}

static int stream_receive(struct net_back *back, unsigned pair, const struct gbuf *bufs, unsigned n,
                          uint32_t *ret_len)
{
        struct stream *s = to_stream(back);
        struct virtio_net_head head = { .flags = s->flags };
        int r;

        (void)pair;
        s->is_dropped |= !n;
        for (;;) {
                struct gbuf part[GIO_SEGS_MAX] __attribute__((uninitialized));
                uint32_t left;
                unsigned nr = 0;

                use_ahead(s, bufs, n);
                left = s->len - s->filled;
                if (!left)
                        break;
                if (!s->is_dropped)
                        nr = gio_part(bufs, n, HEAD_BYTES + s->filled, left, part);
                r = take(s, gio_read_rest(back->fds[0], part, nr, s->ahead, AHEAD_BYTES), nr ? left : 0);
                if (r)
                        return r;
        }
        s->in_frame = false;
        *ret_len = HEAD_BYTES + s->len;
        if (s->is_dropped)
                return NET_E_DROPPED;
        gio_put(bufs, n, 0, &head, sizeof(head));
        return 0;
}

static void stream_set_features(struct net_back *back, uint64_t features)
{
        to_stream(back)->takes_valid = features >> VIRTIO_NET_F_GUEST_CSUM & 1;
}

static void stream_set_pairs(struct net_back *back, unsigned pairs)
{
        (void)back;
        ASSERT(pairs == 1);
}

static void stream_reset(struct net_back *back)
{
        struct stream *s = to_stream(back);

        s->is_dropped |= s->in_frame;
}

static void stream_destroy(struct net_back *back)
{
        fd_closep(&back->fds[0]);
        free(to_stream(back));
}

static const struct net_back_ops stream_ops = {
        .send = stream_send,
        .flush = stream_flush,
        .next = stream_next,
        .receive = stream_receive,
        .set_features = stream_set_features,
        .set_pairs = stream_set_pairs,
        .reset = stream_reset,
        .destroy = stream_destroy,
};

int net_stream_new(struct net_back **ret, int fd, bool head, uint32_t mtu)
{
        struct stream *s = calloc(1, sizeof(*s));
        socklen_t len = sizeof(int);
        int bytes = 0;

        if (!s) {
                close(fd);
                return err_new(-ENOMEM);
        }
        s->back = (struct net_back){
                .ops = &stream_ops,
                .features = head ? 1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_GUEST_CSUM : 0,
                .fds = { fd },
                .nr_pairs = 1,
                .mtu = mtu,
                .knows_length = true,
        };
        s->head_bytes = head ? HEAD_BYTES : 0;
        (void)getsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, &len); /* 0: it is asked each time */
        s->send_bytes = (uint32_t)bytes;
        *ret = &s->back;
        return 0;
}
