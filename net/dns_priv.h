#pragma once
/*
 * A question of the guest on its way, between dns.c (the guest's side) and dns_upstream.c (the resolvers').
 */
#include "net/dns.h"
#include "net/dns_parse.h"

#define DNS_STREAM_MAX (2u + 1024u) /* a question with its length; none needs more */

/* A TCP connection of the guest: one question at a time. */
struct dns_stream {
        struct dns *dns;
        struct ev ev; /* fd -1: free */
        bool waits;   /* for the answer to its question */
        size_t len;
        uint8_t bytes[DNS_STREAM_MAX];
};

struct dns_query {
        struct dns *dns;
        bool used;
        struct dns_question question;
        struct policy_decision decision;
        struct frame_end from, to; /* of a question over UDP: the guest, and which address of ours */
        struct dns_stream *stream; /* else NULL */
        unsigned tries;            /* so far */
        uint16_t id;               /* upstream's */
        bool tcp;
        struct ev ev; /* fd -1: none */
        struct loop_timer timer;
        size_t len;      /* TCP: of the answer, with its length */
        uint8_t *answer; /* TCP: owned */
};

struct dns {
        struct dns_config config;
        struct rate rate;
        struct dns_stats stats;
        struct dns_query queries[DNS_QUERIES_MAX];
        struct dns_stream streams[DNS_STREAMS_MAX];
        uint8_t bytes[DNS_MESSAGE_MAX]; /* of one message while it is looked at */
};

/* Asks upstream, and calls one of the two below in the end, not before it returns. */
void dns_ask(struct dns_query *q);
/* Sockets and timer; the rest is the caller's. */
void dns_unask(struct dns_query *q);

void dns_on_answer(struct dns_query *q, const struct dns_answer *answer);
void dns_on_failure(struct dns_query *q);
