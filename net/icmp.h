#pragma once
/*
 * ICMP: echo to the world through the host's ping sockets, where it allows them; echo to the gateway; and what is said
 * to the guest about connections and datagrams that go nowhere.
 */
#include "net/frame_parse.h"
#include "net/gate.h"
#include "net/host.h"
#include "net/stream.h"
#include "vmm/base/loop.h"

#define ICMP_FLOWS_MAX 64u /* targets pinged at once */

enum icmp_reason {
        ICMP_PROHIBITED, /* by the policy */
        ICMP_NO_HOST,
        ICMP_NO_PORT
};

/* What is left of a packet that goes nowhere: enough for the guest's kernel to find whose it was. */
struct icmp_about {
        struct frame_end src, dst;
        uint8_t proto;
        uint8_t body[8]; /* the first bytes behind the IP header */
};

/* icmp_tell() - that it went nowhere, in the name of the gateway */
void icmp_tell(struct stream *stream, const struct lan *lan, const struct icmp_about *about,
               enum icmp_reason reason);

struct icmp_config {
        struct loop *loop;
        const struct lan *lan;
        struct stream *stream;
        struct gate *gate;
        const struct host_ops *host;
};

struct icmp;

int must_check icmp_new(const struct icmp_config *config, struct icmp **ret);
void icmp_free(struct icmp *i);
DEFINE_CLEANUP(struct icmp *, icmp_free)
/* An echo request of the guest; other messages are none of ours. */
void icmp_input(struct icmp *i, const struct frame *f);
