#pragma once
/*
 * Ports of the host that lead into a guest: each connection is a CONNECT of its own, many at once, on a loop.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "sandbox/link.h"

#define FORWARD_CONNECTIONS_MAX                                                                              \
        128 /* of one port; the agent takes 192 in all. More wait in the kernel's queue */
#define FORWARD_PATH_MAX (PROTOCOL_PATH_MAX + 1)

/* "8080", "8080:80", "0.0.0.0:8080:80", "[::1]:0:80", "5432:/run/postgresql/.s.PGSQL.5432" */
struct forward_spec {
        struct sockaddr_storage
                listen; /* IPv4 or IPv6, the loopback if not said; port 0 = any that is free */
        uint32_t port;  /* in the guest, on its loopback; 0: @path */
        char path[FORWARD_PATH_MAX];
};
int must_check forward_parse(const char *text, struct forward_spec *ret, struct problem *problem);

struct forward;

struct forward_config {
        struct forward_spec spec;
        const char *socket, *name;                               /* of the agent, and for people; borrowed */
        void (*on_trouble)(void *owner, const struct problem *); /* a connection that failed; may be NULL */
        void *owner;
};

/* forward_new() - listens from now on. Return: 0, or -1 with @problem. */
int must_check forward_new(struct loop *loop, const struct forward_config *config, struct forward **ret,
                           struct problem *problem);
void forward_free(struct forward *f); /* with its connections */
DEFINE_CLEANUP(struct forward *, forward_free)

/* forward_tell() - where it listens and where that leads: "127.0.0.1:8080 -> 80". Return: @text. */
#define FORWARD_TEXT (FORWARD_PATH_MAX + 80)
const char *forward_tell(const struct forward *f, char text[static FORWARD_TEXT]);
