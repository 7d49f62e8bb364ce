#pragma once
/*
 * A decision as one line of JSON, for the file of events. Pure.
 *
 *   {"time":"2026-01-31T12:00:00.123Z","proto":"tcp","name":"example.com","address":"93.184.215.14","port":443,
 *    "rule":"allow example.com:443","verdict":"allow","why":"…"}
 *
 * name, address and port are null where there is none.
 */
#include "net/policy.h"

#define EVENT_LINE_MAX 3072u /* the longest name and rule, each byte escaped where it may be */

struct event_line {
        uint64_t time_ns;              /* since 1970 */
        const char *proto;             /* "tcp", "udp", "icmp", "dns" */
        const char *name;              /* the one seen, else one pinned, else NULL; any bytes */
        const struct address *address; /* NULL: none, as for a question of DNS */
        uint16_t port;                 /* 0: none */
        const struct policy_decision *decision;
};

/* Return: the length, with the newline and without the NUL. */
size_t event_line(const struct policy *p, const struct event_line *e, char ret[EVENT_LINE_MAX]);
