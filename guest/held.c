/*
 * Held bytes: a buffer that exists only while something waits in it.
 * Input:  bytes of clients and commands (hostile), never looked at.
 * Runs:   the agent's only thread.
 * Limits: the callers': each reserves a constant.
 */
#include "guest/held.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

bool held_reserve(struct held *h, size_t size)
{
        if (h->bytes && h->size >= size)
                return true;

        uint8_t *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (bytes == MAP_FAILED)
                return false;

        size_t len = h->end - h->start;

        if (h->bytes)
                memcpy(bytes, h->bytes + h->start, len);
        held_free(h);
        *h = (struct held){ .bytes = bytes, .end = len, .size = size };
        return true;
}

bool held_add(struct held *h, const void *bytes, size_t len)
{
        if (!h->bytes && !held_reserve(h, len))
                return false;
        if (h->start && h->size - h->end < len) {
                memmove(h->bytes, h->bytes + h->start, h->end - h->start);
                h->end -= h->start;
                h->start = 0;
        }
        if (h->size - h->end < len && !held_reserve(h, h->end + len))
                return false;
        memcpy(h->bytes + h->end, bytes, len);
        h->end += len;
        return true;
}

int held_write(struct held *h, int fd, size_t *ret_written)
{
        *ret_written = 0;
        while (h->start < h->end) {
                ssize_t n = write(fd, h->bytes + h->start, h->end - h->start);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN ? 0 : -1;
                h->start += (size_t)n;
                *ret_written += (size_t)n;
        }
        held_free(h);
        return 1;
}

void held_free(struct held *h)
{
        if (h->bytes)
                munmap(h->bytes, h->size);
        *h = (struct held){ 0 };
}
