#pragma once
/*
 * Runs one command through the vsock socket of a VM and waits for its end: what `vmlet exec` does.
 */
#include "guest/protocol.h"
#include "vmm/base/err.h"

#define AGENT_RUN_FAILED         125 /* exit statuses, as docker has them */
#define AGENT_RUN_NOT_EXECUTABLE 126
#define AGENT_RUN_NOT_FOUND      127
#define AGENT_RUN_TIMED_OUT      124   /* as timeout(1) has it */
#define AGENT_RUN_ANSWER_MS      10000 /* until the agent has to have said WELCOME */

struct agent_job {
        const char *socket;
        struct protocol_exec_request request;
        int in, out, err;    /* borrowed; in = -1: no input */
        uint64_t timeout_ms; /* of the whole run, 0 = none */
        uint64_t answer_ms;  /* of the agent's first answer */
};

/*
 * agent_run() - run @job to its end. A socket that is not there is waited for, for a second.
 * @ret_status: exit status of the command, or 128 + its signal
 * Return: 0, or -1 with @problem, whose status is one of those above.
 */
int must_check agent_run(const struct agent_job *job, int *ret_status, struct problem *problem);
