/*
 * Limits of a sandbox's process.
 * Input:  words of the user.
 * Runs:   any thread of the tool.
 * Limits: 255 processors.
 */
#include "sandbox/limits.h"

bool limits_parse_cpus(const char *text, uint64_t *ret_milli)
{
        uint64_t v = 0, unit = 1000;
        const char *at = text;

        for (; *at >= '0' && *at <= '9' && v <= 255; at++)
                v = v * 10 + (uint64_t)(*at - '0');
        v *= 1000;
        if (at == text)
                return false;
        if (*at == '.')
                for (at++; *at >= '0' && *at <= '9' && unit > 1; at++)
                        v += (uint64_t)(*at - '0') * (unit /= 10);
        if (*at || v < 10 || v > 255000)
                return false;
        *ret_milli = v;
        return true;
}
