/*
 * Token buckets.
 * Input:  limits of a person or a program, any 64-bit values; sizes of requests (guest, hostile).
 * Runs:   any thread; pure.
 * Limits: none: what does not fit into 64 bits is counted in 128.
 */
#include "vmm/base/rate.h"

#include "vmm/base/num.h"

#define NS_PER_MS 1000000u

typedef unsigned __int128 u128;

static bool is_limit(const struct rate_bucket_config *cfg)
{
        return cfg->size && cfg->refill_ms;
}

bool rate_is_limited(const struct rate_config *cfg)
{
        return is_limit(&cfg->bandwidth) || is_limit(&cfg->ops);
}

static void init(struct rate_bucket *b, const struct rate_bucket_config *cfg, uint64_t now_ns)
{
        *b = (struct rate_bucket){ .at_ns = now_ns };
        if (!is_limit(cfg))
                return;
        if (!num_mul(cfg->refill_ms, NS_PER_MS, &b->refill_ns))
                b->refill_ns = UINT64_MAX; /* 584 years */
        b->size = b->tokens = cfg->size;
        b->burst = cfg->one_time_burst;
}

void rate_init(struct rate *rate, const struct rate_config *cfg, uint64_t now_ns)
{
        init(&rate->bandwidth, &cfg->bandwidth, now_ns);
        init(&rate->ops, &cfg->ops, now_ns);
}

/* What came in since the last time. The product of two 64-bit numbers and one more fits into 128 bits. */
static void refill(struct rate_bucket *b, uint64_t now_ns)
{
        uint64_t room = b->size - b->tokens;
        u128 sum, came;

        if (now_ns <= b->at_ns)
                return;
        sum = (u128)(now_ns - b->at_ns) * b->size + b->part;
        came = sum / b->refill_ns;
        b->part = (uint64_t)(sum % b->refill_ns);
        b->at_ns = now_ns;
        if (came < b->debt) {
                b->debt -= (uint64_t)came;
                return;
        }
        came -= b->debt;
        b->debt = 0;
        if (came < room) {
                b->tokens += (uint64_t)came;
                return;
        }
        b->tokens = b->size;
        b->part = 0; /* it runs over */
}

/* Until @n tokens more have come in. */
static uint64_t time_of(const struct rate_bucket *b, uint64_t n)
{
        u128 ns = ((u128)n * b->refill_ns - b->part + b->size - 1) / b->size;

        return ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns;
}

/* How long until @n may be taken; 0: now. More than a whole bucket waits for nothing but its elder's debt. */
static uint64_t wait_for(struct rate_bucket *b, uint64_t n, uint64_t now_ns)
{
        uint64_t rest = n - num_min(n, b->burst);

        if (!b->refill_ns)
                return 0;
        refill(b, now_ns);
        if (b->debt && rest)
                return time_of(b, b->debt);
        return rest <= b->tokens || rest > b->size ? 0 : time_of(b, rest - b->tokens);
}

static void take(struct rate_bucket *b, uint64_t n)
{
        uint64_t burst = num_min(n, b->burst), tokens;

        if (!b->refill_ns)
                return;
        b->burst -= burst;
        tokens = num_min(n - burst, b->tokens);
        b->tokens -= tokens;
        b->debt += n - burst - tokens; /* 0 until now, or nothing is added */
}

uint64_t rate_take(struct rate *rate, uint64_t bytes, uint64_t now_ns)
{
        uint64_t wait_ns =
                num_max(wait_for(&rate->bandwidth, bytes, now_ns), wait_for(&rate->ops, 1, now_ns));

        if (wait_ns)
                return wait_ns;
        take(&rate->bandwidth, bytes);
        take(&rate->ops, 1);
        return 0;
}

static void save(const struct rate_bucket *rb, struct buf *b)
{
        buf_put_u64(b, rb->size);
        buf_put_u64(b, rb->refill_ns);
        buf_put_u64(b, rb->tokens);
        buf_put_u64(b, rb->burst);
        buf_put_u64(b, rb->debt);
        buf_put_u64(b, rb->part);
}

static void load(struct rate_bucket *rb, struct buf *b, uint64_t now_ns)
{
        struct rate_bucket got = { .at_ns = now_ns };

        got.size = buf_get_u64(b);
        got.refill_ns = buf_get_u64(b);
        got.tokens = buf_get_u64(b);
        got.burst = buf_get_u64(b);
        got.debt = buf_get_u64(b);
        got.part = buf_get_u64(b);
        if (!got.size != !got.refill_ns || got.tokens > got.size || (got.debt && got.tokens) ||
            (got.part && got.part >= got.refill_ns))
                b->bad = true;
        if (!b->bad)
                *rb = got;
}

void rate_save(const struct rate *rate, struct buf *b)
{
        save(&rate->bandwidth, b);
        save(&rate->ops, b);
}

void rate_load(struct rate *rate, struct buf *b, uint64_t now_ns)
{
        load(&rate->bandwidth, b, now_ns);
        load(&rate->ops, b, now_ns);
}
