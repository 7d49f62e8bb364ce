#pragma once
/*
 * A spliced connection, between splice.c (its life) and splice_flow.c (its bytes).
 *
 *   CONNECTING   the guest's SYN is held, the host connects
 *   OPENING      the host is there, the guest's handshake is under way
 *   OPEN         bytes pass; each side may have ended
 *   DEAD         is freed at the end of the loop's round
 */
#include "net/ring.h"
#include "net/splice.h"

#define SPLICE_BUCKETS 256u

enum conn_state { CONN_CONNECTING, CONN_OPENING, CONN_OPEN, CONN_DEAD };

struct conn {
        struct splice *splice;
        struct conn *next, *next_in_bucket;
        struct stack_conn guest;
        struct ev host;
        struct stack_syn syn; /* the ends; of a published one without a header */
        enum conn_state state;
        uint32_t wanted; /* events of the host's socket; 0: none */
        bool listed;     /* in its bucket */
        bool inspect;    /* the first bytes are held until the policy has seen them */
        bool guest_fin, host_eof;
        bool guest_told, host_told; /* of the end of the other side */
        struct ring to_host, to_guest;
        size_t written; /* of to_guest: lwIP's until acknowledged */
        uint64_t used_ns;
        struct loop_job free_job;
};

struct splice {
        struct splice_config config;
        struct conn *conns;
        struct conn *buckets[SPLICE_BUCKETS];
        unsigned nr;
        bool paused[2]; /* by direction: the rate is used up */
        struct loop_timer resume, idle;
};

/* After each change: which events of the host's socket it waits for. */
void splice_want(struct conn *c);
/* Moves what can be moved. The connection may be dead afterwards. */
void splice_flow_to_guest(struct conn *c);
void splice_flow_to_host(struct conn *c);
extern const struct stack_conn_ops splice_guest_ops;

/* Both sides are told that it ended badly. */
void splice_reset(struct conn *c);
/* It is over; nothing is told any more. */
void splice_drop(struct conn *c);
/* Is there anything left to move? */
void splice_drop_if_done(struct conn *c);
/* The rate is used up for so long. */
void splice_pause(struct splice *s, enum gate_direction direction, uint64_t ns);
