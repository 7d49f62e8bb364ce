/*
 * The worker: a queue in, a queue out, one thread between them.
 * Input:  work of our own devices.
 * Runs:   submit and done on the loop thread, run on the worker.
 * Limits: none of its own; whoever submits has a pool.
 *
 * Costs:  a submit wakes the thread (futex) only when it sleeps; the loop is woken (eventfd) only for
 *         the first of what it has not yet seen.
 * syscalls: loop: futex; worker: futex write
 */
#include "vmm/base/worker.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/base/err.h"
#include "vmm/base/thread.h"

struct queue {
        struct work *first;
        struct work **last;
};

struct worker {
        struct loop *loop;
        struct thread thread;
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct queue todo; /* under lock */
        struct queue done; /* under lock */
        bool stopping;     /* under lock */
        struct loop_post post;
};

static void put(struct queue *q, struct work *work)
{
        work->next = NULL;
        if (!q->first)
                q->last = &q->first;
        *q->last = work;
        q->last = &work->next;
}

static struct work *take(struct queue *q)
{
        struct work *work = q->first;

        if (work)
                q->first = work->next;
        return work;
}

/* Sleeps until there is something to do. Return: NULL at the end, whatever is left. */
static struct work *wait_for_work(struct worker *w)
{
        struct work *work;

        (void)pthread_mutex_lock(&w->lock);
        while (!w->todo.first && !w->stopping)
                (void)pthread_cond_wait(&w->wake, &w->lock);
        work = w->stopping ? NULL : take(&w->todo);
        (void)pthread_mutex_unlock(&w->lock);
        return work;
}

static void on_thread(void *arg)
{
        struct worker *w = arg;
        struct work *work;

        while ((work = wait_for_work(w))) {
                bool first;

                work->run(work);
                (void)pthread_mutex_lock(&w->lock);
                first = !w->done.first;
                put(&w->done, work);
                (void)pthread_mutex_unlock(&w->lock);
                if (first)
                        loop_post(w->loop, &w->post);
        }
}

static void on_done(struct loop_post *post)
{
        struct worker *w = container_of(post, struct worker, post);
        struct work *work;

        (void)pthread_mutex_lock(&w->lock);
        work = w->done.first;
        w->done.first = NULL;
        (void)pthread_mutex_unlock(&w->lock);
        while (work) {
                struct work *next = work->next;

                work->done(work);
                work = next;
        }
}

int worker_new(struct loop *loop, struct worker **ret)
{
        struct worker *w = calloc(1, sizeof(*w));
        int r;

        if (!w)
                return err_new(-ENOMEM);
        w->loop = loop;
        w->post.call = on_done;
        (void)pthread_mutex_init(&w->lock, NULL);
        (void)pthread_cond_init(&w->wake, NULL);
        r = thread_start(&w->thread, "worker", on_thread, w);
        if (r < 0) {
                worker_free(w);
                return err_trace(r);
        }
        *ret = w;
        return 0;
}

void worker_free(struct worker *w)
{
        if (!w)
                return;
        (void)pthread_mutex_lock(&w->lock);
        w->stopping = true;
        (void)pthread_cond_signal(&w->wake);
        (void)pthread_mutex_unlock(&w->lock);
        thread_join(&w->thread);
        on_done(&w->post);
        (void)pthread_cond_destroy(&w->wake);
        (void)pthread_mutex_destroy(&w->lock);
        free(w);
}

void worker_submit(struct worker *w, struct work *work)
{
        (void)pthread_mutex_lock(&w->lock);
        put(&w->todo, work);
        (void)pthread_cond_signal(&w->wake);
        (void)pthread_mutex_unlock(&w->lock);
}
