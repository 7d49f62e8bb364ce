#pragma once
/*
 * System calls on guest buffers: the kernel copies, we never look at the bytes.
 *
 * All return the number of bytes, or a negative errno (raised by err_new) of which -EAGAIN and -EINTR
 * are left to the caller. Buffers beyond GIO_SEGS_MAX are a bug of the caller. Thread: any.
 *
 * syscalls: loop, worker: preadv2 pwritev2 readv sendmsg getrandom
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

/* Fills from the kernel's random pool; may be short. */
ssize_t must_check gio_random(const struct gbuf *buf);

/* gio_slice() - the part of @buf from @skip on, at most @len bytes */
struct gbuf gio_slice(struct gbuf buf, size_t skip, size_t len);
