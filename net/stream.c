/*
 * The wire to the monitor: frames over a stream socket.
 * Input:  lengths and headers of the monitor, frames of the guest (hostile; passed on unread).
 * Runs:   loop thread.
 * Limits: IN_SIZE bytes a read; OUT_SIZE bytes that wait, of which bulk gets OUT_BULK.
 *
 * syscalls: loop: recvfrom sendmsg
 */
#include "net/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/bytes.h"
#include "net/frame_parse.h"
#include "vmm/base/err.h"

#define HEADER   (4u + STREAM_VNET_LEN)
#define IN_SIZE  (512u << 10)
#define OUT_SIZE (1024u << 10)
#define OUT_BULK (512u << 10)
/* From here on a frame is worth a system call of its own, and is not copied if the socket takes it. */
#define DIRECT_MIN (8u << 10)
/* As much as the kernel gives: a whole window of the largest frames in one go. */
#define SOCKET_BUFFER (4 << 20)

#define VNET_DATA_VALID 2u /* virtio 1.2, 5.1.6 */

struct stream {
        struct loop *loop;
        const struct stream_ops *ops;
        void *owner;
        struct ev ev;
        struct loop_job flush;
        bool ended, blocked, starved;
        struct stream_stats stats;
        size_t in_len;
        size_t out_at, out_len; /* what waits: from out_at up to out_len */
        uint8_t in[IN_SIZE];
        uint8_t out[OUT_SIZE];
};

static void end(struct stream *s, int error)
{
        if (s->ended)
                return;
        s->ended = true;
        loop_remove(s->loop, &s->ev);
        s->ops->on_end(s->owner, error);
}

static void watch(struct stream *s)
{
        int r = loop_change(s->loop, &s->ev, s->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);

        if (r < 0)
                end(s, r);
}

/* Return: bytes that the socket took. */
static size_t send_parts(struct stream *s, struct iovec *parts, size_t nr)
{
        const struct msghdr m = { .msg_iov = parts, .msg_iovlen = nr };
        ssize_t n;

        if (s->ended || s->blocked)
                return 0;
        n = sendmsg(s->ev.fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
                end(s, errno == EPIPE || errno == ECONNRESET ? 0 : err_new(-errno));
                return 0;
        }
        return n < 0 ? 0 : (size_t)n;
}

static void set_blocked(struct stream *s, bool blocked)
{
        if (s->blocked == blocked || s->ended)
                return;
        s->blocked = blocked;
        watch(s);
}

static void flush(struct stream *s)
{
        if (s->out_len > s->out_at) {
                struct iovec rest = { s->out + s->out_at, s->out_len - s->out_at };

                s->out_at += send_parts(s, &rest, 1);
        }
        if (s->out_at == s->out_len)
                s->out_at = s->out_len = 0;
        set_blocked(s, s->out_len > 0);
}

static void on_flush(struct loop_job *job)
{
        struct stream *s = container_of(job, struct stream, flush);

        flush(s);
}

static void keep(struct stream *s, const struct iovec *parts, unsigned nr, size_t skip)
{
        for (unsigned i = 0; i < nr; i++) {
                size_t len = parts[i].iov_len;

                if (skip >= len) {
                        skip -= len;
                        continue;
                }
                memcpy(s->out + s->out_len, (const uint8_t *)parts[i].iov_base + skip, len - skip);
                s->out_len += len - skip;
                skip = 0;
        }
}

/* @frame: all parts with the header first. Room for it was made. */
static void put(struct stream *s, struct iovec *frame, unsigned nr, size_t total)
{
        size_t waiting = s->out_len - s->out_at, done;
        struct iovec all[STREAM_PARTS_MAX + 2];

        if (total < DIRECT_MIN || s->blocked || s->ended) {
                keep(s, frame, nr, 0);
                if (!s->blocked)
                        loop_defer(s->loop, &s->flush);
                return;
        }
        all[0] = (struct iovec){ s->out + s->out_at, waiting };
        memcpy(all + 1, frame, nr * sizeof(*frame));
        done = send_parts(s, all, nr + 1);
        if (done >= waiting) {
                s->out_at = s->out_len = 0;
                keep(s, frame, nr, done - waiting);
        } else {
                s->out_at += done;
                keep(s, frame, nr, 0);
        }
        set_blocked(s, s->out_len > 0);
}

bool stream_send(struct stream *s, const struct iovec *parts, unsigned nr, enum stream_kind kind)
{
        size_t len = 0, waiting = s->out_len - s->out_at;
        struct iovec frame[STREAM_PARTS_MAX + 1];
        uint8_t header[HEADER] = { 0 };

        for (unsigned i = 0; i < nr; i++)
                len += parts[i].iov_len;
        if (s->ended || nr > STREAM_PARTS_MAX || len > FRAME_MAX ||
            waiting + HEADER + len > (kind == STREAM_BULK ? OUT_BULK : OUT_SIZE)) {
                s->starved |= kind == STREAM_BULK;
                s->stats.dropped_out += kind == STREAM_SMALL;
                return false;
        }
        if (s->out_len + HEADER + len > OUT_SIZE) {
                memmove(s->out, s->out + s->out_at, waiting);
                s->out_at = 0;
                s->out_len = waiting;
        }
        bytes_put32(header, (uint32_t)(STREAM_VNET_LEN + len));
        header[4] = VNET_DATA_VALID;
        frame[0] = (struct iovec){ header, sizeof(header) };
        memcpy(frame + 1, parts, nr * sizeof(*parts));
        s->stats.frames_out++;
        s->stats.bytes_out += len;
        put(s, frame, nr + 1, HEADER + len);
        return true;
}

/* Frames that are all there. Return: 0 or -EPROTO. */
static int take_frames(struct stream *s)
{
        size_t at = 0;

        while (!s->ended && s->in_len - at >= 4) {
                size_t len = bytes_get32(s->in + at);
                const uint8_t *vnet = s->in + at + 4;

                if (len < STREAM_VNET_LEN || len > STREAM_VNET_LEN + FRAME_MAX)
                        return err_new(-EPROTO);
                if (s->in_len - at - 4 < len)
                        break;
                at += 4 + len;
                s->stats.frames_in++;
                s->stats.bytes_in += len - STREAM_VNET_LEN;
                if (vnet[1]) /* segments to be cut */
                        s->stats.refused_in++;
                else
                        s->ops->on_frame(s->owner, vnet + STREAM_VNET_LEN, len - STREAM_VNET_LEN);
        }
        memmove(s->in, s->in + at, s->in_len - at);
        s->in_len -= at;
        return 0;
}

static void receive(struct stream *s)
{
        ssize_t n = recv(s->ev.fd, s->in + s->in_len, IN_SIZE - s->in_len, MSG_DONTWAIT);
        int r;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                end(s, n && errno != ECONNRESET ? err_new(-errno) : 0);
                return;
        }
        s->in_len += (size_t)n;
        r = take_frames(s);
        if (r < 0)
                end(s, r);
}

static int on_ready(struct ev *ev, uint32_t events)
{
        struct stream *s = container_of(ev, struct stream, ev);

        if (events & EPOLLOUT) {
                s->blocked = false;
                flush(s);
                if (!s->ended && !s->blocked)
                        watch(s);
                if (!s->ended && s->starved && s->out_len - s->out_at < OUT_BULK / 2) {
                        s->starved = false;
                        s->ops->on_room(s->owner);
                }
        }
        if (!s->ended && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(s);
        return 0;
}

int stream_new(struct loop *loop, int fd, const struct stream_ops *ops, void *owner, struct stream **ret)
{
        cleanup(stream_freep) struct stream *s = calloc(1, sizeof(*s));
        const int size = SOCKET_BUFFER;
        int r;

        if (!s) {
                fd_closep(&fd);
                return err_new(-ENOMEM);
        }
        s->loop = loop;
        s->ops = ops;
        s->owner = owner;
        s->flush.call = on_flush;
        s->ev = (struct ev){ .call = on_ready, .fd = fd };
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        r = loop_add(loop, &s->ev, EPOLLIN);
        if (r < 0)
                return err_trace(r);
        *ret = steal_ptr(&s);
        return 0;
}

void stream_free(struct stream *s)
{
        if (!s)
                return;
        loop_remove(s->loop, &s->ev);
        fd_closep(&s->ev.fd);
        free(s);
}

struct stream_stats stream_stats(const struct stream *s)
{
        return s->stats;
}
