/*
 * Whole reads and writes.
 * Input:  descriptors of ours.
 * Runs:   any thread; may wait.
 * Limits: the caller's.
 */
#include "vmm/base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/err.h"

int io_close_range(unsigned first, unsigned last, enum io_close how)
{
        return syscall(SYS_close_range, first, last, (unsigned)how) ? err_new(-errno) : 0;
}

int io_write_all(int fd, const void *src, size_t n)
{
        const char *p = src;

        while (n) {
                ssize_t r = write(fd, p, n);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return err_new(-errno);
                p += r;
                n -= (size_t)r;
        }
        return 0;
}

ssize_t io_read_at(int fd, void *dst, size_t n, off_t off)
{
        char *p = dst;
        size_t done = 0;

        while (done < n) {
                ssize_t r = pread(fd, p + done, n - done, off + (off_t)done);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return err_new(-errno);
                if (!r)
                        break;
                done += (size_t)r;
        }
        return (ssize_t)done;
}

int io_read_file(const char *path, size_t max, char **ret)
{
        cleanup(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
        cleanup(freep) char *text = malloc(max + 2);
        size_t n = 0;

        if (fd < 0)
                return err_new(-errno);
        if (!text)
                return err_new(-ENOMEM);
        for (;;) {
                ssize_t r = read(fd, text + n, max + 1 - n);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return err_new(-errno);
                n += (size_t)r;
                if (n > max)
                        return err_new(-EFBIG);
                if (!r)
                        break;
        }
        text[n] = 0;
        *ret = steal_ptr(&text);
        return 0;
}
