#pragma once
/*
 * Which sandbox a command is about: a name, an ID or its beginning; or, with a slash in it, the path of the vsock
 * socket of a monitor that was started by hand.
 */
#include "sandbox/sandbox.h"

struct target {
        const char *name;   /* as it was said */
        const char *socket; /* of the agent */
        struct sandbox sandbox;
};
#define TARGET_NONE ((struct target){ .sandbox.run_fd = -1 })

/* target_find() - Return: 0, or -1 with @problem. target_fini() in either case. */
int must_check target_find(const char *word, struct target *ret, struct problem *problem);
void target_fini(struct target *t);
