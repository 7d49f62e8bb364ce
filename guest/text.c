/*
 * Short texts: joins strings, reads numbers, speaks on the console.
 * Input:  the agent's own strings and parts of requests (hostile); they are only copied.
 * Runs:   the agent's only thread.
 * Limits: PROTOCOL_TEXT_MAX characters, the rest is cut.
 */
#include "guest/text.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void text_join(struct text *t, const char *const *parts)
{
        size_t len = 0;

        for (; *parts; parts++) {
                size_t n = strnlen(*parts, PROTOCOL_TEXT_MAX - len);

                memcpy(t->s + len, *parts, n);
                len += n;
        }
        t->s[len] = 0;
}

void text_console(const struct text *t)
{
        static const char prefix[] = "<3>vmlet-agent: ";
        char line[sizeof(prefix) + 400];
        size_t len = sizeof(prefix) - 1, n = strnlen(t->s, sizeof(line) - len - 1);

        memcpy(line, prefix, len);
        memcpy(line + len, t->s, n);
        len += n;
        line[len++] = '\n';

        /* The kernel log reaches the console too; where there is none the console itself has to do. */
        int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);

        if (fd >= 0) {
                (void)!write(fd, line, len);
                close(fd);
        } else {
                (void)!write(2, line + 3, len - 3); /* nobody is left to tell if this fails */
        }
}

bool text_number(const char *s, size_t len, uint32_t max, uint32_t *ret)
{
        uint64_t value = 0;

        if (!len || len > 10)
                return false;
        for (size_t i = 0; i < len; i++) {
                if (s[i] < '0' || s[i] > '9')
                        return false;
                value = value * 10 + (uint64_t)(s[i] - '0');
        }
        if (value > max)
                return false;
        *ret = (uint32_t)value;
        return true;
}
