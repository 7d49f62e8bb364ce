#pragma once
/*
 * Reading and writing a popped chain. Positions count from the start of its readable and of its
 * writable part; there are no cursors to lose. Thread: loop (and a worker for chains that it owns).
 */
#include <stddef.h>
#include <stdint.h>

#include "virtio/core/queue.h"

/* Bytes of the readable and of the writable part. */
uint64_t chain_readable(const struct vq_chain *c);
uint64_t chain_writable(const struct vq_chain *c);

/*
 * chain_read() - copy @n bytes from offset @at of the readable part
 * chain_write() - copy @n bytes to offset @at of the writable part; counts towards used.len
 * Return: 0 or VQ_E_BROKEN (shorter than that).
 */
int must_check chain_read(const struct vq_chain *c, uint64_t at, void *dst, size_t n);
int must_check chain_write(struct vq_chain *c, uint64_t at, const void *src, size_t n);

/*
 * chain_bufs_readable(), chain_bufs_writable() - buffers for bulk transfer of [@at, @at + @n)
 * @ret: room for VQ_SEGS_MAX
 * Return: number of buffers, or 0 when the part is shorter than that (or @n is 0).
 */
unsigned chain_bufs_readable(const struct vq_chain *c, uint64_t at, uint64_t n, struct gbuf *ret);
unsigned chain_bufs_writable(const struct vq_chain *c, uint64_t at, uint64_t n, struct gbuf *ret);

/* Bulk data was written up to offset @end of the writable part. */
void chain_wrote(struct vq_chain *c, uint64_t end);
