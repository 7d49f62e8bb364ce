#pragma once
/*
 * One request to the agent of a sandbox, and its answer; waits for it.
 */
#include "cli/target.h"
#include "sandbox/link.h"

struct ask {
        /* Queues the request. Return: as agent_exec(). */
        int (*queue)(struct agent *agent, void *who);
        /* Everything but ERROR. May be NULL. */
        void (*on_event)(void *who, const struct agent_event *event);
        void *who;
};

/* ask_run() - Return: 0 after the last frame of the answer, or -1 with @problem. */
int must_check ask_run(const struct target *target, const struct ask *ask, struct problem *problem);

/* ask_file() - a FILE request whose answer is no more than that; a status is put into *ret, its strings are not. */
int must_check ask_file(const struct target *target, const struct protocol_file *req,
                        struct protocol_status *ret, struct problem *problem);

/*
 * ask_processes() - PROCESSES; @on_process gets each, its strings are the guest's own words
 * @all: of the whole guest, not only the execs
 */
int must_check ask_processes(const struct target *target, bool all,
                             void (*on_process)(void *who, const struct protocol_process *p), void *who,
                             struct problem *problem);
