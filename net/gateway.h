#pragma once
/*
 * The gateway put together: the wire on one side, the host's sockets on the other. All on the loop's thread.
 */
#include "net/events.h"
#include "net/frame_parse.h"
#include "net/gate.h"
#include "net/host.h"
#include "net/stream.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/loop.h"

#define GATEWAY_RESOLVERS_MAX 3u /* DNS_SERVERS_MAX */

struct gateway_config {
        struct loop *loop;
        int fd; /* the wire; taken over, also on failure */
        struct lan lan;
        const struct policy *policy;
        struct events *events;       /* borrowed */
        const struct host_ops *host; /* NULL: the real one */
        struct frame_end resolvers[GATEWAY_RESOLVERS_MAX];
        unsigned nr_resolvers;
        /* The wire ended: 0, or what went wrong with it. */
        void (*on_end)(void *owner, int error);
        void *owner;
};

struct gateway_stats {
        struct stream_stats wire;
        struct gate_counts gate;
        uint64_t dropped[FRAME_E_NR]; /* frames of the guest, by what was wrong with them */
        uint64_t events_written, events_lost;
        unsigned connections, datagram_flows, pins;
};

struct gateway;

int must_check gateway_new(const struct gateway_config *config, struct gateway **ret);
void gateway_free(struct gateway *g);
DEFINE_CLEANUP(struct gateway *, gateway_free)
struct gate *gateway_gate(struct gateway *g);
struct splice;
struct splice *gateway_splice(struct gateway *g);
struct udp;
struct udp *gateway_udp(struct gateway *g);
struct gateway_stats gateway_stats(const struct gateway *g);
