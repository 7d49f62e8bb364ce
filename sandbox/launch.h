#pragma once
/*
 * Starting a monitor for a sandbox.
 */
#include <sys/types.h>

#include "sandbox/network.h"
#include "sandbox/record.h"
#include "sandbox/sandbox.h"

struct launch {
        pid_t pid;
        struct network network;
        int ready;      /* the reading end of its --ready-fd; -1 once used */
        char note[256]; /* what a person should know: a limit that is not held; "" = nothing */
};
#define LAUNCH_NONE ((struct launch){ .network = NETWORK_NONE, .ready = -1 })

/*
 * launch_start() - start vmm, in a session of its own, with its working folder where the sockets are
 * @locks: of the sandbox's two folders, -1 if it has no second one; inherited by vmm; stay the caller's
 * Return: 0, or -1 with @p.
 */
int must_check launch_start(const struct sandbox *s, const struct record *r, const int locks[2],
                            struct launch *ret, struct problem *p);

/*
 * launch_wait_ready() - SIGINT, SIGTERM and SIGHUP are let in here, also for a caller who has blocked them
 * Return: 0 when the agent is ready, -EPIPE when vmm ended before, -EINTR when a signal came.
 */
int must_check launch_wait_ready(struct launch *l);

void launch_fini(struct launch *l);
