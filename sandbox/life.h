#pragma once
/*
 * A sandbox's life: started, looked at, ended. No daemon: what is true is the lock, the control socket and
 * exit.json; state.json only says when it was started last.
 */
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/launch.h"
#include "sandbox/record.h"
#include "sandbox/sandbox.h"

enum life_state {
        LIFE_CREATED, /* never started */
        LIFE_STARTING,
        LIFE_RUNNING,
        LIFE_PAUSED,
        LIFE_ENDING,
        LIFE_EXITED, /* as it should: its command ended, it powered off, it was stopped */
        LIFE_FAILED, /* its monitor gave up: see reason */
        LIFE_KILLED, /* its monitor is gone without a word */
        LIFE_STATE_NR
};
extern const char *const life_state_names[LIFE_STATE_NR];

struct life_status {
        enum life_state state;
        int code; /* once it has ended: what `vmlet run` would have exited with */
        bool has_main, oom;
        bool is_ready;                 /* its agent was, since it was started */
        bool is_mute;                  /* its monitor runs and does not answer */
        char reason[300];              /* in words, when it is not the end of its command */
        uint64_t started_ns, ended_ns; /* since 1970; 0 = not known */
        char vmm[32]; /* version of the monitor that runs; "" = none, or it does not answer */
};

/* life_look() - how is it? A damaged file is told in reason. */
void life_look(const struct sandbox *s, struct life_status *ret);
/* life_look_ended() - likewise, of one whose monitor is known to be gone, whoever holds its lock */
void life_look_ended(const struct sandbox *s, struct life_status *ret);
bool life_is_alive(const struct life_status *status);

/*
 * life_start() - start its monitor and wait until the agent is ready
 * @lock: the sandbox's, held; stays the caller's
 * Return: 0, or -1 with @p, and nothing runs.
 */
int must_check life_start(const struct paths *paths, struct sandbox *s, const struct record *r, int lock,
                          struct launch *ret, struct problem *p);

/* life_write_end() - of one whose monitor was not told how its command ended, by who watched it; if that can be. */
void life_write_end(const struct sandbox *s, int code);

/* life_open() - the monitor that runs now. Return: 0, 1 if none does, or -1 with @p. */
int must_check life_open(const struct sandbox *s, int *ret_pidfd, struct problem *p);

/* life_stop() - ask the guest to power off, end it after @grace_ms, and wait for that. */
int must_check life_stop(const struct sandbox *s, uint64_t grace_ms, struct problem *p);
/* life_kill() - end it at once, and wait until it is gone. */
int must_check life_kill(const struct sandbox *s, struct problem *p);
/* life_wait() - for its end, @timeout_ms or for ever (-1). Return: 0, 1 when the time was up, or -1 with @p. */
int must_check life_wait(const struct sandbox *s, int timeout_ms, struct problem *p);
