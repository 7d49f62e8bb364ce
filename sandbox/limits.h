#pragma once
/*
 * Limits of a sandbox's process, held by cgroup v2 where this user may.
 *
 * As root each monitor has a cgroup of its own, /sys/fs/cgroup/vmlet/ID. Others ask systemd's manager of their
 * login session for a scope, when there is a limit to hold. What cannot be held is said in words.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/record.h"
#include "sandbox/sandbox.h"

#define LIMITS_WORDS 10u

struct limits {
        char folder[128];              /* its cgroup; "" = none that we made */
        char note[256];                /* what is not held, and why; "" = nothing */
        char *scope[LIMITS_WORDS + 1]; /* words in front of the monitor's; ends with NULL */
};

/* limits_make() - before the monitor is started. limits_fini() is due. */
void limits_make(const struct sandbox *s, const struct record *r, struct limits *ret);
/* limits_join() - it has been started. */
void limits_join(struct limits *l, pid_t pid);
void limits_fini(struct limits *l);

/* limits_remove() - the cgroup of a sandbox that has ended. */
void limits_remove(const struct sandbox *s);
/* limits_killed() - did its cgroup's limit of memory, or the host's want of it, kill the last monitor of @s? */
bool limits_killed(const struct sandbox *s);

/* limits_parse_cpus() - "2", "1.5", "0.25": thousandths of a processor, 10 to 255000. Pure. */
bool limits_parse_cpus(const char *text, uint64_t *ret_milli);
/* limits_weight() - docker's share (2 to 262144, 1024 = normal) as cgroup v2 has it (1 to 10000, 100). Pure. */
uint64_t limits_weight(uint64_t shares);
