#pragma once
/*
 * Token buckets: how much may pass in how much time. Pure arithmetic on a monotonic time that the caller
 * gives; a time before the last one counts as that one.
 *
 * A bucket holds `size` tokens and is full at first. An empty one is full again after `refill_ms`, evenly.
 * `one_time_burst` tokens more can be spent once, before those of the bucket. Who asks for more than `size`
 * gets it at once and owes the rest: nothing more passes until that is paid back. A size or refill time of 0
 * is no limit.
 *
 * A rate is two of them: bytes, and operations.
 */
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/buf.h"

/* For a limit that is said as so much a second: as much may come at once. */
#define RATE_REFILL_MS 1000u

struct rate_bucket_config {
        uint64_t size; /* bytes, or operations */
        uint64_t one_time_burst;
        uint64_t refill_ms;
};

struct rate_config {
        struct rate_bucket_config bandwidth; /* bytes */
        struct rate_bucket_config ops;
};

struct rate_bucket {
        uint64_t size;
        uint64_t refill_ns; /* 0: no limit */
        uint64_t tokens;    /* up to size */
        uint64_t burst;     /* what is left of the one-time burst */
        uint64_t debt;      /* to be paid back before tokens gather again */
        uint64_t part;      /* of the next token: in 1/refill_ns */
        uint64_t at_ns;     /* when that was so */
};

struct rate {
        struct rate_bucket bandwidth, ops;
};

/* Is there a limit at all? */
bool rate_is_limited(const struct rate_config *cfg);

void rate_init(struct rate *rate, const struct rate_config *cfg, uint64_t now_ns);

/*
 * rate_take() - one operation of @bytes wants to pass
 * Return: 0 when it may; what it needs was taken. Else the time to wait, in nanoseconds; nothing was taken.
 */
uint64_t rate_take(struct rate *rate, uint64_t bytes, uint64_t now_ns);

/* The limits travel with what is left. Time stands still between the two. *b is bad for what cannot be. */
void rate_save(const struct rate *rate, struct buf *b);
void rate_load(struct rate *rate, struct buf *b, uint64_t now_ns);
