#pragma once
/*
 * The network of a sandbox: its policy, and the gateway that stands beside its monitor.
 *
 *   network.toml   the policy (net/policy.h). A sandbox without this file has no network device
 *   network.jsonl  what the gateway decided, a line each
 *   network.log    what it has to say of itself
 *   run/network    its control socket
 *
 * The gateway ends with the monitor: it is at the other end of the monitor's socket.
 */
#include <sys/types.h>

#include "sandbox/record.h"
#include "sandbox/sandbox.h"

#define NETWORK_TEXT_MAX   (128u << 10) /* bytes of a network.toml: POLICY_TEXT_MAX */
#define NETWORK_EVENTS_MAX (4u << 20)   /* bytes of events that are read */

bool network_has(const struct sandbox *s);

/* network_write() - @text as its policy, whole or not at all. @folder_fd: of the sandbox. */
int must_check network_write(int folder_fd, const char *text, bool sync, struct problem *p);

/* network_read() - its policy. @ret: to be freed. Return: 0, or -1 with @p, also where it has no network. */
int must_check network_read(const struct sandbox *s, char **ret, struct problem *p);

/* network_replace() - @text as its policy from now on, for a gateway that runs too. */
int must_check network_replace(const struct sandbox *s, const char *text, struct problem *p);

/* network_events() - what is kept of the decisions, oldest first, a line of JSON each. @ret: to be freed. */
int must_check network_events(const struct sandbox *s, char **ret, struct problem *p);

struct network {
        pid_t pid;      /* 0: there is none */
        int monitor_fd; /* the monitor's end; -1 once it has it */
        int ready;
};
#define NETWORK_NONE ((struct network){ .monitor_fd = -1, .ready = -1 })

/* network_start() - start the gateway. Return: 0, or -1 with @p. network_fini() is due in either case. */
int must_check network_start(const struct sandbox *s, const struct record *r, struct network *ret,
                             struct problem *p);

/* network_wait_ready() - Return: 0 once its ports are open, or -1 with @p: its own words. */
int must_check network_wait_ready(const struct sandbox *s, struct network *n, struct problem *p);

void network_fini(struct network *n);
