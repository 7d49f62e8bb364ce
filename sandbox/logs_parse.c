/*
 * Records of an output file.
 * Input:  a file that a monitor wrote (untrusted once its guest broke out of it).
 * Runs:   anywhere; pure.
 * Limits: LOGS_RECORD_MAX bytes a record.
 */
#include "sandbox/logs_parse.h"

static uint64_t number(const uint8_t *p, unsigned size)
{
        uint64_t v = 0;

        while (size--)
                v = v << 8 | p[size];
        return v;
}

int logs_parse(const uint8_t *p, size_t len, struct logs_record *ret)
{
        uint64_t n;

        if (len < LOGS_HEADER_SIZE)
                return LOGS_E_MORE;
        n = number(p + 12, 4);
        if ((p[8] != LOGS_STDOUT && p[8] != LOGS_STDERR) || p[9] || p[10] || p[11] || !n ||
            n > LOGS_RECORD_MAX)
                return LOGS_E_BAD;
        if (n > len - LOGS_HEADER_SIZE)
                return LOGS_E_MORE;
        *ret = (struct logs_record){ .time_ns = number(p, 8),
                                     .kind = p[8],
                                     .bytes = p + LOGS_HEADER_SIZE,
                                     .len = (size_t)n,
                                     .size = LOGS_HEADER_SIZE + (size_t)n };
        return LOGS_OK;
}
