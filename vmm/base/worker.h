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
 * worker_free() - do what was submitted, then end; done() is called for all of it. Loop thread, after
 *                 loop_run() and before the owners of work are freed.
 */
void worker_free(struct worker *worker);
DEFINE_CLEANUP(struct worker *, worker_free)

/* Loop thread. @work->run and @work->done are set by the caller. */
void worker_submit(struct worker *worker, struct work *work);
