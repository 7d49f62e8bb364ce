#pragma once
/*
 * Where every connection is decided: the policy, the names that the resolver pinned, the host's own addresses, the
 * limits, and the file that all of it is told to. On the loop's thread.
 */
#include "net/events.h"
#include "net/frame.h"
#include "net/pins.h"
#include "net/policy.h"
#include "vmm/base/rate.h"

enum gate_direction { GATE_FROM_GUEST, GATE_TO_GUEST };

struct gate_counts {
        uint64_t allowed, denied;
        uint64_t too_many, too_fast; /* connections */
};

struct gate {
        struct policy policy;
        struct policy_host host;
        struct pins *pins;
        struct events *events;
        struct rate connections;
        struct rate bytes[2]; /* by direction */
        uint64_t owed[2];     /* passed, and not paid for yet */
        unsigned open;        /* connections and flows that are there */
        struct gate_counts counts;
};

/* @events: borrowed */
int must_check gate_init(struct gate *g, const struct policy *policy, struct events *events);
void gate_fini(struct gate *g);
/* Another policy from now on. What is open stays; names are asked for anew. */
void gate_replace(struct gate *g, const struct policy *policy);

/* May there be one more? Return: NULL, or why not in words, counted and told. gate_leave() when it ends. */
const char *gate_enter(struct gate *g, enum policy_proto proto, const struct frame_end *to);
void gate_leave(struct gate *g);

/* gate_decide() - told at once unless the first bytes are to be looked at */
struct policy_decision gate_decide(struct gate *g, enum policy_proto proto, const struct frame_end *to);
struct policy_decision gate_decide_seen(struct gate *g, const struct frame_end *to, enum policy_seen seen,
                                        const char *name);
/* gate_question() - for the resolver */
struct policy_decision gate_question(struct gate *g, const char *name);
/*
 * gate_keep() - may the guest know this address of the name? Then it is pinned; if not, that is told.
 * @question: what gate_question() said
 */
bool gate_keep(struct gate *g, const struct policy_decision *question, const char *name,
               const struct address *address, uint32_t ttl_s);

/*
 * gate_pay() - @n bytes have passed
 * Return: 0, or for how many ns none should follow.
 */
uint64_t gate_pay(struct gate *g, enum gate_direction direction, size_t n);
/* gate_admit() - may a datagram of @n bytes pass? One that may not is dropped. */
bool must_check gate_admit(struct gate *g, enum gate_direction direction, size_t n);
