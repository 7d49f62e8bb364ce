#pragma once
/*
 * Variables and limits for a command in a guest, as people write them: -e, --env-file, --ulimit.
 */
#include "guest/protocol.h"
#include "vmm/base/err.h"

struct env {
        char **items; /* NAME=value, NULL-terminated; NULL while there are none */
        size_t nr;
};

void env_fini(struct env *e);
/*
 * env_add() - NAME=VALUE, or NAME alone: the value of our own environment, and nothing if it has none. The last
 * to set a name wins.
 * @where: for the problem: "--env"
 */
int must_check env_add(struct env *e, const char *item, const char *where, struct problem *problem);
/* env_add_file() - lines as for env_add(); blank ones and those that begin with # are skipped */
int must_check env_add_file(struct env *e, const char *path, struct problem *problem);

/* env_limit() - "nofile=1024:2048", "core=0", "cpu=unlimited". Return: 0, or -1 with @problem. */
int must_check env_limit(const char *text, struct protocol_rlimit *ret, struct problem *problem);
