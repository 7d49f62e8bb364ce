/*
 * Starts one command: a session of its own, three descriptors, a user, a directory, an environment, limits, a
 * control group, and a terminal if it is to have one.
 */
#pragma once

#include <sys/types.h>

#include "guest/text.h"

struct spawn {
        pid_t pid;
        int in, out, err; /* the agent's ends; in is -1 without PROTOCOL_EXEC_STDIN, err with a terminal */
        uint32_t uid;
};

/*
 * spawn_start() - start what @req asks for.
 * @cgroup: the folder of its control group, or -1.
 * Return: 0 and @ret, or a PROTOCOL_FAULT_ with its words in @ret_why and an errno or 0 in @ret_errno.
 */
uint32_t spawn_start(const struct protocol_exec *req, int cgroup, struct spawn *ret, struct text *ret_why,
                     int *ret_errno);
