#pragma once
/*
 * A connection to the agent of a VM, on a loop: connects to the monitor's socket, tries again while the guest boots,
 * and moves bytes between the socket and the client's machine (sandbox/agent.h). All callbacks come from the
 * loop, none from within link_start(). link_free() may be called at any time, in callbacks too.
 *
 *   link_new(), requests into link_agent(), link_start(), events, link_free()
 *   later: requests into link_agent(), link_flush(), events
 */
#include "sandbox/agent.h"
#include "vmm/base/err.h"
#include "vmm/base/loop.h"

#define LINK_FAILED         125 /* statuses of problems, as docker has them */
#define LINK_NOT_EXECUTABLE 126
#define LINK_NOT_FOUND      127
#define LINK_ANSWER_MS      10000 /* what a living agent answers at once, it answers within that */
#define LINK_QUIET_MS       30000 /* nothing for so long while a command runs: asked whether it lives */

struct link;

struct link_ops {
        /* Never AGENT_NOTHING. Its views are good until the callback returns, or until link_resume(). */
        void (*on_event)(void *owner, const struct agent_event *event);
        /* There may be room for input now (agent_input_room()). May be NULL. */
        void (*on_room)(void *owner);
        /* CONNECT's stream: the other side has ended its sending. NULL: that is the end, as everywhere else. */
        void (*on_half)(void *owner);
        /*
         * An agent whose command runs was asked whether it lives, and says nothing: is the VM paused? Then it is
         * waited for; else that is the end. NULL: nobody can tell, and so it is not asked.
         */
        bool (*is_paused)(void *owner);
        /* Nothing comes any more. */
        void (*on_end)(void *owner, const struct problem *problem);
};

struct link_config {
        const char *socket;
        const char *name; /* what to call it; NULL = the socket */
        const struct link_ops *ops;
        void *owner;
        uint64_t answer_ms;
        uint64_t quiet_ms; /* 0 = LINK_QUIET_MS; after twice that again without a word it is stuck */
};

int must_check link_new(struct loop *loop, const struct link_config *config, struct link **ret);
void link_free(struct link *l);
DEFINE_CLEANUP(struct link *, link_free)

struct agent *link_agent(struct link *l);

/* link_start() - connect, now or when somebody listens. A socket that is not there is waited for, for a second. */
void link_start(struct link *l);

/* link_flush() - something was queued on the agent. */
void link_flush(struct link *l);

/* link_pause() - no further events, nothing is read from the socket; from within on_event, its views stay. */
void link_pause(struct link *l);
void link_resume(struct link *l);

/* link_end_stream() - no more will be sent, once all that is queued has gone. */
void link_end_stream(struct link *l);

/* link_explain() - an ERROR of the agent, made fit for a terminal. Return: -1 as problem_set(). */
int link_explain(const struct protocol_error *error, struct problem *ret);
