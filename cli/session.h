#pragma once
/*
 * A command in a guest, on this terminal or these pipes, from its start (or from where it was left) to its end: what
 * exec, shell, attach and run have in common.
 */
#include "cli/keys.h"
#include "guest/protocol_request.h"
#include "sandbox/sandbox.h"
#include "vmm/base/err.h"

struct session_config {
        const char *socket, *name; /* of the agent; what people call the sandbox */
        const struct sandbox
                *sandbox; /* whose agent it is, to learn whether it is paused; NULL = not known */
        /* What to run. Set here: STDIN, TELL and DETACH as the fields below say, the terminal, the time limit. */
        struct protocol_exec_request exec;
        uint32_t attach;         /* or the number of an exec to attach to; 0 = run */
        bool interactive, tty;   /* input is passed on; on a terminal of its own (attach: what it has) */
        bool background;         /* leave it running as soon as it has started */
        bool no_signals;         /* a signal ends this tool instead of going to the command */
        const struct keys *keys; /* that leave it running; NULL = none */
        uint64_t timeout_ms;     /* 0 = none */
        uint64_t answer_ms;      /* 0 = LINK_ANSWER_MS */
        int in, out, err;        /* borrowed */
        bool last; /* the process ends next: what it holds is left to the kernel, which is faster at it */
        void (*on_started)(void *ctx); /* it has a number, and so it runs; NULL = nobody asks */
        void *started_ctx;
};

struct session_result {
        uint32_t proc; /* its number, where it was told */
        bool detached; /* it goes on */
};

/*
 * session_run() - waits until the command has ended or was left.
 * Return: exit status of the command, 128 + its signal, 124 after its time limit; or -1 with @problem, whose status
 * is 125, 126 or 127 as docker has them.
 */
int must_check session_run(const struct session_config *config, struct session_result *ret,
                           struct problem *problem);
