#pragma once
/*
 * Published ports: ports of the host that lead into the guest.
 */
#include "net/splice.h"
#include "net/udp.h"
#include "vmm/base/err.h"

#define PUBLISH_MAX 64u

struct publish_spec {
        struct frame_end at; /* of the host */
        uint16_t guest_port;
        bool udp;
};

/* publish_read() - [ADDRESS:]PORT:GUESTPORT[/tcp|/udp]; IPv6 in [ ]; the loopback unless told otherwise */
bool publish_read(const char *text, struct publish_spec *ret);

struct publish;

/*
 * publish_open() - before anything else is: the ports are taken, or *p says why not
 * Return: 0, or -1 and *p filled
 */
int must_check publish_open(const struct publish_spec *specs, unsigned nr, struct publish **ret,
                            struct problem *p);
/* publish_start() - from now on clients are led into the guest. Return: 0 or negative errno. */
int must_check publish_start(struct publish *p, struct loop *loop, const struct lan *lan,
                             struct splice *splice, struct udp *udp);
void publish_free(struct publish *p);
DEFINE_CLEANUP(struct publish *, publish_free)
