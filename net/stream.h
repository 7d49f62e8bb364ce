#pragma once
/*
 * The wire: frames over a Unix stream socket, each behind its length (32 bits, big endian) and a virtio_net_hdr_v1,
 * as the monitor's `--net fd=N,vnet` has them. All on the loop's thread.
 *
 * What the other end does not read waits here, up to a limit; then bulk is refused, and on_room() says when to try
 * again. Small answers still fit for a while. Nothing is lost that was taken.
 */
#include <stdbool.h>
#include <sys/uio.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"
#include "vmm/base/loop.h"

#define STREAM_VNET_LEN  12u
#define STREAM_PARTS_MAX 160u /* of one frame: lwIP's pieces of a segment, TCP_SND_QUEUELEN, and headers */

struct stream;

struct stream_ops {
        /* @bytes: valid during the call. May not free the stream. */
        void (*on_frame)(void *owner, const uint8_t *bytes, size_t n);
        /* There is room for bulk again. */
        void (*on_room)(void *owner);
        /* The other end has closed (0), broken the framing (-EPROTO) or failed. Nothing more comes. */
        void (*on_end)(void *owner, int error);
};

struct stream_stats {
        uint64_t frames_in, frames_out, bytes_in, bytes_out;
        uint64_t dropped_out; /* no room */
        uint64_t refused_in;  /* offloads that were never offered */
};

enum stream_kind {
        STREAM_SMALL, /* an answer: dropped when even the reserve is full */
        STREAM_BULK   /* can be offered again */
};

/* @fd: taken over, also on failure */
int must_check stream_new(struct loop *loop, int fd, const struct stream_ops *ops, void *owner,
                          struct stream **ret);
void stream_free(struct stream *s);
DEFINE_CLEANUP(struct stream *, stream_free)

/* What is sent is only read. */
static inline struct iovec stream_part(const void *bytes, size_t n)
{
        const union {
                const void *in;
                void *out;
        } at = { .in = bytes };

        return (struct iovec){ at.out, n };
}

/*
 * stream_send() - one frame, in @nr parts
 * Return: whether it was taken.
 */
bool must_check stream_send(struct stream *s, const struct iovec *parts, unsigned nr, enum stream_kind kind);
struct stream_stats stream_stats(const struct stream *s);
