#pragma once
/*
 * System calls on guest buffers: the kernel copies, we never look at the bytes.
 *
 * All return the number of bytes, or a negative errno (raised by err_new) of which -EAGAIN and -EINTR
 * are left to the caller. Buffers beyond GIO_SEGS_MAX are a bug of the caller. Thread: any.
 *
 * syscalls: loop, worker: preadv2 pwritev2 readv writev sendmsg getrandom
 */
#include <sys/types.h>

#include "vmm/mem/gmem.h"

#define GIO_SEGS_MAX 256

/* @flags: RWF_NOWAIT and friends. */
ssize_t must_check gio_pread(int fd, const struct gbuf *bufs, unsigned n, off_t off, int flags);
ssize_t must_check gio_pwrite(int fd, const struct gbuf *bufs, unsigned n, off_t off, int flags);

/* From a file or socket that was set non-blocking. 0 is the end. */
ssize_t must_check gio_read(int fd, const struct gbuf *bufs, unsigned n);
/* To a socket, never waiting, never raising SIGPIPE. */
ssize_t must_check gio_send(int fd, const struct gbuf *bufs, unsigned n);

/* Bytes of ours, and the guest's that follow them. */
struct gio_piece {
        const void *head;
        size_t head_len;
        const struct gbuf *bufs;
        unsigned nr_bufs;
};
/* As gio_send(), of pieces with up to GIO_SEGS_MAX buffers and heads in all. */
ssize_t must_check gio_send_pieces(int fd, const struct gio_piece *pieces, unsigned n);
/* One piece to a file or device that was set non-blocking, in one call. */
ssize_t must_check gio_write_piece(int fd, const struct gio_piece *piece);
/* As gio_read(); what the guest's buffers, up to GIO_SEGS_MAX - 1, have no room for goes to @rest. */
ssize_t must_check gio_read_rest(int fd, const struct gbuf *bufs, unsigned n, void *rest, size_t rest_len);

/* Fills from the kernel's random pool; may be short. */
ssize_t must_check gio_random(const struct gbuf *buf);

/* gio_slice() - the part of @buf from @skip on, at most @len bytes */
struct gbuf gio_slice(struct gbuf buf, size_t skip, size_t len);

/*
 * Of the bytes that @bufs, @n of them, hold one after the other, those from @at on:
 * gio_part() - the buffers of @len of them, to @ret, with room for @n. Return: how many
 * gio_put(), gio_get() - copy @len bytes of ours in, or out
 * They must have that many.
 */
unsigned gio_part(const struct gbuf *bufs, unsigned n, size_t at, size_t len, struct gbuf *ret);
void gio_put(const struct gbuf *bufs, unsigned n, size_t at, const void *src, size_t len);
void gio_get(const struct gbuf *bufs, unsigned n, size_t at, void *dst, size_t len);
static inline size_t gio_len(const struct gbuf *buf)
{
        return buf->len;
}
