/*
 * Answers of a control socket.
 * Input:  bytes of a monitor (untrusted).
 * Runs:   anywhere; pure.
 * Limits: MONITOR_ANSWER_MAX bytes an answer, MONITOR_LINE_MAX of them its first line.
 */
#include <string.h>

#include "sandbox/monitor.h"

enum monitor_reply monitor_parse(const char *bytes, size_t n, const char **ret, size_t *ret_len)
{
        const char *end = memchr(bytes, '\n', n < MONITOR_LINE_MAX ? n : MONITOR_LINE_MAX);
        size_t len = 0, at = 3;

        if (!end)
                return n < MONITOR_LINE_MAX ? MONITOR_MORE : MONITOR_BAD;
        if (end - bytes < 4)
                return MONITOR_BAD;
        *ret = bytes + 4;
        *ret_len = (size_t)(end - bytes) - 4;
        if (!memcmp(bytes, "ERR ", 4))
                return MONITOR_REFUSED;
        if (memcmp(bytes, "OK ", 3))
                return MONITOR_BAD;
        for (; bytes[at] >= '0' && bytes[at] <= '9' && len <= MONITOR_ANSWER_MAX; at++)
                len = len * 10 + (size_t)(bytes[at] - '0');
        if (bytes + at != end || len > MONITOR_ANSWER_MAX)
                return MONITOR_BAD;
        *ret = end + 1;
        *ret_len = len;
        return n - (size_t)(end + 1 - bytes) < len ? MONITOR_MORE : MONITOR_OK;
}
