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
