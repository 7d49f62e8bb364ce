/*
 * Lines: reads a file in pieces and hands out its lines.
 * Input:  files of the guest (an image's, or the kernel's own).
 * Runs:   the agent's only thread, and its children.
 * Limits: LINES_LONGEST, LINES_MOST.
 */
#include "guest/lines.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static char bytes[LINES_LONGEST];

/* Hands out the whole lines among @have bytes. Return: bytes that were used up; *@go is false to stop. */
static size_t hand_out(size_t have, bool *skip, bool *go, lines_fn *fn, void *owner)
{
        size_t start = 0;

        for (char *end; *go && (end = memchr(bytes + start, '\n', have - start));
             start = (size_t)(end - bytes) + 1) {
                if (!*skip)
                        *go = fn(bytes + start, (size_t)(end - bytes) - start, owner);
                *skip = false;
        }
        return start;
}

bool lines_each(const char *path, lines_fn *fn, void *owner)
{
        size_t have = 0, total = 0;
        bool skip = false, go = true; /* skip: the rest of a line that is too long */
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        ssize_t n = 0;

        if (fd < 0)
                return false;
        do {
                n = read(fd, bytes + have, sizeof(bytes) - have);
                if (n > 0) {
                        have += (size_t)n;
                        total += (size_t)n;
                }
                if (n <= 0 && have && have < sizeof(bytes))
                        bytes[have++] = '\n'; /* a last line without its end */

                size_t used = hand_out(have, &skip, &go, fn, owner);

                memmove(bytes, bytes + used, have - used);
                have -= used;
                if (have == sizeof(bytes)) {
                        skip = true;
                        have = 0;
                }
        } while (go && n > 0 && total < LINES_MOST);
        close(fd);
        return true;
}
