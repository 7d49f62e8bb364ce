#pragma once
/*
 * The one thread that may wait for a disk. The loop hands it work; it runs that in order of arrival, and
 * the loop is told when it is done, several at once if they pile up.
 *
 * A `struct work` is embedded in its owner and belongs to the worker from worker_submit() until done()
 * is called.
 */
#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"
#include "vmm/base/loop.h"

struct worker;

struct work {
        void (*run)(struct work *work);  /* worker thread */
        void (*done)(struct work *work); /* loop thread; may submit again, or free its owner */
        struct work *next;               /* the worker's */
};

/* Starts the thread. @loop: borrowed, must outlive the worker. */
int must_check worker_new(struct loop *loop, struct worker **ret);

/*
 * worker_free() - end after the work that is running; done() is called for all that ran. What has not begun
 *                 is dropped, as by a power cut: a guest can have a terabyte of it waiting. Loop thread,
 *                 after loop_run() and before the owners of work are freed.
 */
void worker_free(struct worker *worker);
DEFINE_CLEANUP(struct worker *, worker_free)

/* Loop thread. @work->run and @work->done are set by the caller. */
void worker_submit(struct worker *worker, struct work *work);
