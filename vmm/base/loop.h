#pragma once
/*
 * The event loop: epoll, timers and deferred calls. One thread owns it; every function here belongs to
 * that thread.
 *
 * A `struct ev` is embedded in its owner, who keeps the descriptor and must remove the event before
 * closing it. A callback returns 0; the first negative result ends loop_run() with that result. A
 * peer's mistake never is one. A callback may remove and free any event but must leave memory that a
 * later event of the same round may name to loop_defer().
 */
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"

struct loop;

struct ev {
        int (*call)(struct ev *ev, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR */
        int fd;                                      /* borrowed */
        bool armed;
};

struct loop_timer {
        int (*call)(struct loop_timer *timer);
        uint64_t at_ns; /* CLOCK_MONOTONIC; 0: not set */
        struct loop_timer *next;
};

/* Work to be done at the end of the round. Safe for freeing what the round may still name. */
struct loop_job {
        void (*call)(struct loop_job *job);
        struct loop_job *next;
        bool queued;
};

int must_check loop_new(struct loop **ret);
/* loop_new_alone() - for a process of one thread: loop_post() and loop_call() are not to be used */
int must_check loop_new_alone(struct loop **ret);
void loop_free(struct loop *loop);
DEFINE_CLEANUP(struct loop *, loop_free)

/* @ev->call and @ev->fd are set by the caller. Level triggered. */
int must_check loop_add(struct loop *loop, struct ev *ev, uint32_t events);
int must_check loop_change(struct loop *loop, struct ev *ev, uint32_t events);
/* Does nothing for an event that is not there. */
void loop_remove(struct loop *loop, struct ev *ev);

/* Sets or moves a timer; @after_ns from now. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ns);
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);

struct loop_stats {
        uint64_t rounds; /* returns of epoll_wait() */
        uint64_t events;
        uint64_t timers; /* that went off */
};
struct loop_stats loop_stats(const struct loop *loop);

void loop_defer(struct loop *loop, struct loop_job *job);

uint64_t loop_now_ns(void);

/* Ends loop_run() with 0 after this round. */
void loop_stop(struct loop *loop);
/* Return: 0 when stopped, or the first negative result of a callback. */
int must_check loop_run(struct loop *loop);

/*
 * From other threads.
 *
 * loop_call() runs post->call on the loop thread and waits until that, or something later on the loop
 * thread, says loop_call_done(). Return: 0, or -ECANCELED once the loop was closed.
 * loop_post() does not wait; a post that is queued already stays queued once.
 */
struct loop_post {
        void (*call)(struct loop_post *post);
        struct loop_post *next; /* under the loop's lock, as is the rest */
        bool queued;
        bool done;
};

int must_check loop_call(struct loop *loop, struct loop_post *post);
void loop_call_done(struct loop *loop, struct loop_post *post);
void loop_post(struct loop *loop, struct loop_post *post);
/* Nobody waits for this loop any more: those who do are let go. For the time when threads are joined. */
void loop_close(struct loop *loop);
