#pragma once
/*
 * The guest's TCP connections, each spliced to a socket of the host. On the loop's thread.
 *
 * A SYN of the guest is held until the policy has decided and the host's connect() has succeeded: only then does the
 * guest get an answer, and it is the true one. Both directions are bounded by a ring each, and whoever does not read
 * holds up nobody but his own peer. What a name rule let in is looked at: the guest's first bytes wait until they
 * are a TLS hello, the head of an HTTP request, or neither.
 */
#include "net/gate.h"
#include "net/host.h"
#include "net/stack.h"
#include "net/stream.h"
#include "vmm/base/loop.h"

struct splice_config {
        struct loop *loop;
        const struct lan *lan;
        struct stream *stream;
        struct stack *stack;
        struct gate *gate;
        const struct host_ops *host;
};

struct splice;

int must_check splice_new(const struct splice_config *config, struct splice **ret);
void splice_free(struct splice *s);
DEFINE_CLEANUP(struct splice *, splice_free)

/* A segment of the guest. */
void splice_input(struct splice *s, const struct frame *f);
/*
 * splice_publish() - lead a client of a published port to @guest
 * @fd: taken over; non-blocking
 */
void splice_publish(struct splice *s, int fd, const struct frame_end *guest);
unsigned splice_count(const struct splice *s);
