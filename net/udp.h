#pragma once
/*
 * Datagrams of the guest, each pair of ends with a connected socket of the host; and of published ports, the other way
 * round. On the loop's thread.
 */
#include "net/frame_parse.h"
#include "net/gate.h"
#include "net/host.h"
#include "net/stream.h"
#include "vmm/base/loop.h"

#define UDP_FLOWS_MAX 512u /* the policy's limit on connections counts them too */

struct udp_config {
        struct loop *loop;
        const struct lan *lan;
        struct stream *stream;
        struct gate *gate;
        const struct host_ops *host;
};

struct udp;

int must_check udp_new(const struct udp_config *config, struct udp **ret);
void udp_free(struct udp *u);
DEFINE_CLEANUP(struct udp *, udp_free)
void udp_input(struct udp *u, const struct frame *f);
unsigned udp_count(const struct udp *u);

/* udp_publish() - a published port. @fd: bound, non-blocking; taken over, also on failure. Lasts as long as @u. */
int must_check udp_publish(struct udp *u, int fd, const struct frame_end *guest);
