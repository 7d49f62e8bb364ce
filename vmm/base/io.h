#pragma once
/*
 * Whole reads and writes, and the descriptors that need a wrapper.
 */
#include <stddef.h>
#include <sys/types.h>

#include "vmm/base/compiler.h"

enum io_close { IO_CLOSE = 0, IO_CLOSE_ON_EXEC = 1u << 2 };

/* io_close_range() - closes descriptors @first to @last, or has execve() do it. Return: 0 or negative errno. */
int must_check io_close_range(unsigned first, unsigned last, enum io_close how);

/* io_write_all() - all of it or a negative errno. Waits; not for the loop's descriptors. */
int must_check io_write_all(int fd, const void *src, size_t n);

/* io_read_at() - up to @n bytes from offset @off; fewer only at the end. Return: bytes or negative errno. */
ssize_t must_check io_read_at(int fd, void *dst, size_t n, off_t off);

/*
 * io_read_file() - a small text file as a string
 * @max: more than that is -EFBIG
 * @ret: to be freed
 */
int must_check io_read_file(const char *path, size_t max, char **ret);
