/*
 * What the resolver told the guest: pairs of name and address, found by the address.
 * Input:  names and addresses of DNS answers, both checked.
 * Runs:   one thread; pure but for pins_new().
 * Limits: PINS_MAX pairs, POLICY_NAMES_MAX names of one address.
 */
#include "net/pins.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/base/err.h"

#define NS_PER_S 1000000000ull
#define BUCKETS  1024u /* a power of 2 */

/* An index and 1; 0 is none. */
typedef uint16_t link_t;

struct pair {
        struct address address;
        link_t next; /* of the same bucket */
        name_t name;
};

struct pins {
        unsigned nr;
        link_t buckets[BUCKETS];
        /* 0: free. Apart from the pairs, so that the search for the earliest stays within 32 KiB. */
        uint64_t ends_ns[PINS_MAX];
        struct pair pairs[PINS_MAX];
};

static_assert(PINS_MAX < UINT16_MAX, "a link holds an index and 1");

int pins_new(struct pins **ret)
{
        struct pins *p = calloc(1, sizeof(*p));

        if (!p)
                return err_new(-ENOMEM);
        *ret = p;
        return 0;
}

void pins_free(struct pins *p)
{
        free(p);
}

/* FNV-1a. A guest that makes its own addresses collide slows nobody but itself, by PINS_MAX steps at most. */
static link_t *bucket_of(struct pins *p, const struct address *a)
{
        uint32_t h = 2166136261u;

        for (size_t i = 0; i < sizeof(a->bytes); i++)
                h = (h ^ a->bytes[i]) * 16777619u;
        return &p->buckets[(h ^ h >> 16) & (BUCKETS - 1)];
}

static void take_out(struct pins *p, unsigned at)
{
        link_t *link = bucket_of(p, &p->pairs[at].address);

        while (*link != at + 1) {
                ASSERT(*link);
                link = &p->pairs[*link - 1].next;
        }
        *link = p->pairs[at].next;
        p->ends_ns[at] = 0;
        p->nr--;
}

/* A free place, else what ends first: of 0 and the times, the smallest. */
static unsigned find_place(const struct pins *p)
{
        unsigned best = 0;

        for (unsigned i = 1; i < PINS_MAX; i++)
                if (p->ends_ns[i] < p->ends_ns[best])
                        best = i;
        return best;
}

void pins_put(struct pins *p, const struct address *address, const char *name, uint32_t ttl_s,
              uint64_t now_ns)
{
        link_t *bucket = bucket_of(p, address);
        unsigned at, names = 0, first = PINS_MAX;
        uint64_t end_ns;

        if (ttl_s < PINS_TTL_MIN_S)
                ttl_s = PINS_TTL_MIN_S;
        if (ttl_s > PINS_TTL_MAX_S)
                ttl_s = PINS_TTL_MAX_S;
        end_ns = now_ns + ttl_s * NS_PER_S;
        for (link_t l = *bucket; l; l = p->pairs[l - 1].next) {
                if (!address_equal(&p->pairs[l - 1].address, address))
                        continue;
                if (!strcmp(p->pairs[l - 1].name, name)) {
                        if (end_ns > p->ends_ns[l - 1])
                                p->ends_ns[l - 1] = end_ns;
                        return;
                }
                names++;
                if (first == PINS_MAX || p->ends_ns[l - 1] < p->ends_ns[first])
                        first = l - 1u;
        }
        at = names < POLICY_NAMES_MAX ? find_place(p) : first;
        if (p->ends_ns[at])
                take_out(p, at);
        p->pairs[at].address = *address;
        p->pairs[at].next = *bucket;
        ASSERT(strlen(name) <= NAME_LEN_MAX);
        memcpy(p->pairs[at].name, name, strlen(name) + 1);
        p->ends_ns[at] = end_ns;
        *bucket = (link_t)(at + 1);
        p->nr++;
}

void pins_find(struct pins *p, const struct address *address, uint64_t now_ns, struct policy_names *ret)
{
        ret->nr = 0;
        for (link_t l = *bucket_of(p, address); l && ret->nr < POLICY_NAMES_MAX; l = p->pairs[l - 1].next)
                if (now_ns < p->ends_ns[l - 1] && address_equal(&p->pairs[l - 1].address, address))
                        ret->names[ret->nr++] = p->pairs[l - 1].name;
}

void pins_forget(struct pins *p)
{
        p->nr = 0;
        memset(p->buckets, 0, sizeof(p->buckets));
        memset(p->ends_ns, 0, sizeof(p->ends_ns));
}

unsigned pins_count(const struct pins *p)
{
        return p->nr;
}
