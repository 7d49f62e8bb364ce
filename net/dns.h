#pragma once
/*
 * The resolver that the guest sees, at the gateway's address: a question is decided, asked of the host's resolvers, and
 * what may be reached of the answer is pinned to the name and told. On the loop's thread.
 *
 * Each query upstream has a socket, and so a port, of its own, and a random id; only an answer to it counts. A lost or
 * failed one is asked of the next resolver, a truncated one again over TCP.
 */
#include "net/frame_parse.h"
#include "net/gate.h"
#include "net/host.h"
#include "net/stream.h"
#include "vmm/base/loop.h"

#define DNS_QUERIES_MAX 64u  /* upstream at once; a guest that wants more asks again */
#define DNS_RATE        100u /* queries a second: names that are allowed are no tunnel of any width */
#define DNS_STREAMS_MAX 32u  /* TCP connections of the guest */
#define DNS_SERVERS_MAX 3u   /* as the C library has it */

struct dns_config {
        struct loop *loop;
        const struct lan *lan;
        struct stream *stream;
        struct gate *gate;
        const struct host_ops *host;
        struct frame_end servers[DNS_SERVERS_MAX];
        unsigned nr_servers; /* 0: every question is answered by SERVFAIL */
};

struct dns_stats {
        uint64_t questions, asked, answered, failed, limited;
};

struct dns;

int must_check dns_new(const struct dns_config *config, struct dns **ret);
void dns_free(struct dns *d);
DEFINE_CLEANUP(struct dns *, dns_free)
/* A datagram of the guest to the gateway's port 53. */
void dns_input(struct dns *d, const struct frame *f);
/* dns_connect() - over TCP. Return: the client's end of a connection to the resolver, or negative errno. */
int must_check dns_connect(struct dns *d);
struct dns_stats dns_stats(const struct dns *d);
/* dns_read_servers() - of a resolv.conf. Return: how many were found. */
unsigned dns_read_servers(const char *path, struct frame_end ret[DNS_SERVERS_MAX]);
