/*
 * System calls on guest buffers.
 * Input:  buffers that gmem_buf() has checked.
 * Runs:   any thread.
 * Limits: GIO_SEGS_MAX buffers a call.
 */
#include "vmm/mem/gio.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/mem/gmem_priv.h"

static void to_iovec(struct iovec *iov, const struct gbuf *bufs, unsigned n)
{
        ASSERT(n <= GIO_SEGS_MAX);
        for (unsigned i = 0; i < n; i++)
                iov[i] = (struct iovec){ .iov_base = bufs[i].hva, .iov_len = bufs[i].len };
}

/* What was read into the guest is a write of ours. */
static ssize_t log_read(const struct gbuf *bufs, unsigned n, ssize_t got)
{
        size_t left = got > 0 ? (size_t)got : 0;

        if (got < 0)
                return err_new(-errno);
        for (unsigned i = 0; i < n && left; i++) {
                size_t part = num_min(left, bufs[i].len);

                gmem_log_write(bufs[i].mem, bufs[i].at, part);
                left -= part;
        }
        return got;
}

ssize_t gio_pread(int fd, const struct gbuf *bufs, unsigned n, off_t off, int flags)
{
        struct iovec iov[GIO_SEGS_MAX] __attribute__((uninitialized));

        to_iovec(iov, bufs, n);
        return log_read(bufs, n, preadv2(fd, iov, (int)n, off, flags));
}

ssize_t gio_pwrite(int fd, const struct gbuf *bufs, unsigned n, off_t off, int flags)
{
        struct iovec iov[GIO_SEGS_MAX] __attribute__((uninitialized));
        ssize_t r;

        to_iovec(iov, bufs, n);
        r = pwritev2(fd, iov, (int)n, off, flags);
        return r < 0 ? err_new(-errno) : r;
}

ssize_t gio_read(int fd, const struct gbuf *bufs, unsigned n)
{
        struct iovec iov[GIO_SEGS_MAX] __attribute__((uninitialized));

        to_iovec(iov, bufs, n);
        return log_read(bufs, n, readv(fd, iov, (int)n));
}

ssize_t gio_send(int fd, const struct gbuf *bufs, unsigned n)
{
        struct iovec iov[GIO_SEGS_MAX] __attribute__((uninitialized));
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
        ssize_t r;

        to_iovec(iov, bufs, n);
        r = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        return r < 0 ? err_new(-errno) : r;
}

static unsigned piece_to_iovec(struct iovec *iov, const struct gio_piece *piece)
{
        /* The kernel only reads it. */
        iov[0] = (struct iovec){ .iov_base = (void *)(uintptr_t)piece->head, .iov_len = piece->head_len };
        to_iovec(iov + 1, piece->bufs, piece->nr_bufs);
        return piece->nr_bufs + 1;
}

ssize_t gio_send_pieces(int fd, const struct gio_piece *pieces, unsigned n)
{
        struct iovec iov[GIO_SEGS_MAX] __attribute__((uninitialized));
        struct msghdr msg = { .msg_iov = iov };
        ssize_t r;

        for (unsigned i = 0; i < n; i++) {
                ASSERT(msg.msg_iovlen + pieces[i].nr_bufs < GIO_SEGS_MAX);
                msg.msg_iovlen += piece_to_iovec(iov + msg.msg_iovlen, &pieces[i]);
        }
        r = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        return r < 0 ? err_new(-errno) : r;
}

ssize_t gio_write_piece(int fd, const struct gio_piece *piece)
{
        struct iovec iov[GIO_SEGS_MAX] __attribute__((uninitialized));
        ssize_t r;

        ASSERT(piece->nr_bufs < GIO_SEGS_MAX);
        r = writev(fd, iov, (int)piece_to_iovec(iov, piece));
        return r < 0 ? err_new(-errno) : r;
}

ssize_t gio_read_rest(int fd, const struct gbuf *bufs, unsigned n, void *rest, size_t rest_len)
{
        struct iovec iov[GIO_SEGS_MAX] __attribute__((uninitialized));

        ASSERT(n < GIO_SEGS_MAX);
        to_iovec(iov, bufs, n);
        iov[n] = (struct iovec){ .iov_base = rest, .iov_len = rest_len };
        return log_read(bufs, n, readv(fd, iov, (int)n + 1));
}

ssize_t gio_random(const struct gbuf *buf)
{
        return log_read(buf, 1, getrandom(buf->hva, buf->len, GRND_NONBLOCK));
}

struct gbuf gio_slice(struct gbuf buf, size_t skip, size_t len)
{
        ASSERT(skip <= buf.len);
        buf.hva = (uint8_t *)buf.hva + skip;
        buf.at = gpa_add(buf.at, skip);
        buf.len = num_min(len, buf.len - skip);
        return buf;
}

unsigned gio_part(const struct gbuf *bufs, unsigned n, size_t at, size_t len, struct gbuf *ret)
{
        unsigned nr = 0;

        for (unsigned i = 0; i < n && len; i++) {
                if (at >= bufs[i].len) {
                        at -= bufs[i].len;
                        continue;
                }
                ret[nr] = gio_slice(bufs[i], at, len);
                len -= ret[nr++].len;
                at = 0;
        }
        ASSERT(!len);
        return nr;
}

/* Return: bytes at the start of what is left of it; 0: none of it lies in this buffer. */
static size_t step(const struct gbuf *buf, size_t *at, size_t len)
{
        size_t skip = num_min(*at, buf->len);

        *at -= skip;
        return num_min(len, buf->len - skip);
}

void gio_put(const struct gbuf *bufs, unsigned n, size_t at, const void *src, size_t len)
{
        const uint8_t *p = src;

        for (unsigned i = 0; i < n && len; i++) {
                size_t from = at, part = step(&bufs[i], &at, len);

                if (!part)
                        continue;
                memcpy((uint8_t *)bufs[i].hva + from, p, part);
                gmem_log_write(bufs[i].mem, gpa_add(bufs[i].at, from), part);
                p += part;
                len -= part;
        }
        ASSERT(!len);
}

void gio_get(const struct gbuf *bufs, unsigned n, size_t at, void *dst, size_t len)
{
        uint8_t *p = dst;

        for (unsigned i = 0; i < n && len; i++) {
                size_t from = at, part = step(&bufs[i], &at, len);

                if (!part)
                        continue;
                memcpy(p, (const uint8_t *)bufs[i].hva + from, part);
                p += part;
                len -= part;
        }
        ASSERT(!len);
}
