/*
 * Reading a file that belongs to somebody else.
 * Input:  descriptors of any kind of file.
 * Runs:   main thread, before any vCPU.
 * Limits: none of its own.
 */
#include "vmm/boot/file.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/mem/gio.h"

int file_size(int fd, uint64_t *ret)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return err_new(-errno);
        if (!S_ISREG(st.st_mode))
                return FILE_E_KIND;
        *ret = (uint64_t)st.st_size;
        return 0;
}

int file_read(int fd, void *dst, size_t n, uint64_t offset)
{
        uint8_t *p = dst;

        while (n) {
                ssize_t got = pread(fd, p, n, (off_t)offset);

                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return err_new(-errno);
                if (!got)
                        return FILE_E_SHORT;
                p += got;
                n -= (size_t)got;
                offset += (uint64_t)got;
        }
        return 0;
}

int file_read_guest(int fd, struct gmem *mem, gpa_t at, uint64_t n, uint64_t offset)
{
        struct gbuf whole;
        int r = gmem_buf(mem, at, n, &whole);

        ASSERT(!r);
        for (uint64_t done = 0; done < n;) {
                struct gbuf rest = gio_slice(whole, done, n - done);
                ssize_t got = gio_pread(fd, &rest, 1, (off_t)(offset + done), 0);

                if (got == -EINTR)
                        continue;
                if (got < 0)
                        return err_trace((int)got);
                if (!got)
                        return FILE_E_SHORT;
                done += (uint64_t)got;
        }
        return 0;
}
