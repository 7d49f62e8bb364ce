#pragma once
/*
 * One request to the agent of a sandbox, and its answer; waits for it.
 */
#include "cli/target.h"
#include "sandbox/link.h"

#define ASK_PROCESSES_MAX 65536u /* twice as many as a Linux of up to 32 processors has */

struct ask {
        /* Queues the request. Return: as agent_exec(). */
        int (*queue)(struct agent *agent, void *who);
        /* All that comes. ERROR also becomes the problem. May be NULL. */
        void (*on_event)(void *who, const struct agent_event *event);
        void *who;
        uint64_t answer_ms; /* 0 = LINK_ANSWER_MS */
};

/* ask_run() - Return: 0 after the last frame of the answer, or -1 with @problem. */
int must_check ask_run(const struct target *target, const struct ask *ask, struct problem *problem);

/*
 * ask_file() - a FILE request with a short answer; a status is put into *ret (or NULL), without its strings
 * @ret_errno: of the guest's kernel, if it refused
 */
int must_check ask_file(const struct target *target, const struct protocol_file *req,
                        struct protocol_status *ret, uint32_t *ret_errno, struct problem *problem);

/*
 * ask_processes() - PROCESSES; @on_process gets each, its strings are the guest's own words. A guest that lists
 * more than ASK_PROCESSES_MAX is taken for one that would never end.
 * @all: of the whole guest, not only the execs
 */
int must_check ask_processes(const struct target *target, bool all,
                             void (*on_process)(void *who, const struct protocol_process *p), void *who,
                             struct problem *problem);
