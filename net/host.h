#pragma once
/*
 * Sockets of the host towards the world: the one seam between the gateway and it, so that tests and fuzzers can be the
 * world themselves.
 */
#include "net/frame.h"
#include "net/policy.h"
#include "vmm/base/compiler.h"

struct host_ops {
        /*
         * A non-blocking socket on its way to @to; UDP is connected, ICMP is an echo socket.
         * Return: the descriptor, or negative errno.
         */
        int (*open)(void *ctx, enum policy_proto proto, const struct frame_end *to);
        void *ctx;
};

/* The real one. Loopback is reached as itself: who maps the gateway's address to it did so before. */
int must_check host_open(void *ctx, enum policy_proto proto, const struct frame_end *to);
/* An address for system calls. Return: its length. */
struct sockaddr_storage;
unsigned host_address(const struct frame_end *end, struct sockaddr_storage *ret);
/* Return: false for another family than IP's. */
bool must_check host_end(const struct sockaddr_storage *a, struct frame_end *ret);

/* host_addresses() - of this host's interfaces, for the policy; beyond POLICY_HOST_MAX, the others are missing */
void host_addresses(struct policy_host *ret);
/* host_watch() - Return: a descriptor that is readable when they have changed, or negative errno. */
int must_check host_watch(void);
/* What was there to be read is not any more. */
void host_watch_drain(int fd);
