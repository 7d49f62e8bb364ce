/*
 * The event loop.
 * Input:  readiness of descriptors, told by the kernel.
 * Runs:   its owner's thread.
 * Limits: EVENTS_PER_ROUND events and POSTS_PER_ROUND posts a round, so that timers and deferred work get
 *         their turn.
 */
#include "vmm/base/loop.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"

#define EVENTS_PER_ROUND 16
/* vCPUs can post as fast as we take: a guest must not keep the loop here. */
#define POSTS_PER_ROUND 32

struct loop {
        int epoll;
        bool stopping;
        struct loop_timer *timers; /* few: a list in order of time */
        struct loop_job *jobs;
        struct epoll_event round[EVENTS_PER_ROUND];
        int nr_round;
        struct loop_stats stats;

        struct ev posted; /* an eventfd: something was posted */
        pthread_mutex_t lock;
        pthread_cond_t done;
        struct loop_post *posts; /* under lock, oldest first; a handful */
        bool closed;             /* under lock */
};

static int on_posted(struct ev *ev, uint32_t events);

int loop_new_alone(struct loop **ret)
{
        cleanup(loop_freep) struct loop *loop = calloc(1, sizeof(*loop));

        if (!loop)
                return err_new(-ENOMEM);
        loop->posted.fd = -1;
        (void)pthread_mutex_init(&loop->lock, NULL);
        (void)pthread_cond_init(&loop->done, NULL);
        loop->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (loop->epoll < 0)
                return err_new(-errno);
        *ret = steal_ptr(&loop);
        return 0;
}

int loop_new(struct loop **ret)
{
        cleanup(loop_freep) struct loop *loop = NULL;
        int r = loop_new_alone(&loop);

        if (r < 0)
                return err_trace(r);
        ASSERT(loop);
        loop->posted = (struct ev){ .call = on_posted, .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
        if (loop->posted.fd < 0)
                return err_new(-errno);
        r = loop_add(loop, &loop->posted, EPOLLIN | EPOLLET);
        if (r < 0)
                return err_trace(r);
        *ret = steal_ptr(&loop);
        return 0;
}

void loop_free(struct loop *loop)
{
        if (!loop)
                return;
        fd_closep(&loop->posted.fd);
        fd_closep(&loop->epoll);
        (void)pthread_cond_destroy(&loop->done);
        (void)pthread_mutex_destroy(&loop->lock);
        free(loop);
}

static int control(struct loop *loop, int op, struct ev *ev, uint32_t events)
{
        struct epoll_event e = { .events = events, .data.ptr = ev };

        if (epoll_ctl(loop->epoll, op, ev->fd, &e) < 0)
                return err_new(-errno);
        return 0;
}

int loop_add(struct loop *loop, struct ev *ev, uint32_t events)
{
        int r;

        ASSERT(!ev->armed && ev->call);
        r = control(loop, EPOLL_CTL_ADD, ev, events);
        ev->armed = !r;
        return r;
}

int loop_change(struct loop *loop, struct ev *ev, uint32_t events)
{
        ASSERT(ev->armed);
        return control(loop, EPOLL_CTL_MOD, ev, events);
}

void loop_remove(struct loop *loop, struct ev *ev)
{
        if (!ev->armed)
                return;
        ev->armed = false;
        ASSERT(!epoll_ctl(loop->epoll, EPOLL_CTL_DEL, ev->fd, NULL));
        /* It may stand further down in this round: its owner may be gone by then. */
        for (int i = 0; i < loop->nr_round; i++)
                if (loop->round[i].data.ptr == ev)
                        loop->round[i].data.ptr = NULL;
}

uint64_t loop_now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ns)
{
        struct loop_timer **at = &loop->timers;

        loop_timer_clear(loop, timer);
        if (!num_add(loop_now_ns(), after_ns, &timer->at_ns))
                timer->at_ns = UINT64_MAX; /* never */
        while (*at && (*at)->at_ns <= timer->at_ns)
                at = &(*at)->next;
        timer->next = *at;
        *at = timer;
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
        struct loop_timer **at = &loop->timers;

        if (!timer->at_ns)
                return;
        while (*at && *at != timer)
                at = &(*at)->next;
        if (*at)
                *at = timer->next;
        timer->at_ns = 0;
}

void loop_defer(struct loop *loop, struct loop_job *job)
{
        if (job->queued)
                return;
        job->queued = true;
        job->next = loop->jobs;
        loop->jobs = job;
}

struct loop_stats loop_stats(const struct loop *loop)
{
        return loop->stats;
}

void loop_stop(struct loop *loop)
{
        loop->stopping = true;
}

static int wait_ms(const struct loop *loop)
{
        uint64_t now, ms;

        if (!loop->timers)
                return -1;
        now = loop_now_ns();
        if (loop->timers->at_ns <= now)
                return 0;
        ms = (loop->timers->at_ns - now + 999999) / 1000000;
        return ms > INT_MAX ? INT_MAX : (int)ms;
}

static int run_timers(struct loop *loop)
{
        uint64_t now;

        if (!loop->timers)
                return 0;
        now = loop_now_ns();
        while (loop->timers && loop->timers->at_ns <= now) {
                struct loop_timer *t = loop->timers;
                int r;

                loop->timers = t->next;
                t->at_ns = 0;
                loop->stats.timers++;
                r = t->call(t);
                if (r < 0)
                        return err_trace(r);
        }
        return 0;
}

static void run_jobs(struct loop *loop)
{
        while (loop->jobs) {
                struct loop_job *job = loop->jobs;

                loop->jobs = job->next;
                job->queued = false;
                job->call(job);
        }
}

static int run_round(struct loop *loop)
{
        int n = epoll_wait(loop->epoll, loop->round, EVENTS_PER_ROUND, wait_ms(loop));

        if (n < 0 && errno != EINTR)
                return err_new(-errno);
        loop->nr_round = n < 0 ? 0 : n;
        loop->stats.rounds++;
        loop->stats.events += (unsigned)loop->nr_round;
        for (int i = 0; i < loop->nr_round; i++) {
                struct ev *ev = loop->round[i].data.ptr;
                int r = ev ? ev->call(ev, loop->round[i].events) : 0;

                if (r < 0)
                        return err_trace(r);
        }
        loop->nr_round = 0;
        return run_timers(loop);
}

/* One at a time: a post may be queued again by another thread as soon as it is taken. */
static struct loop_post *take_post(struct loop *loop)
{
        struct loop_post *post;

        (void)pthread_mutex_lock(&loop->lock);
        post = loop->posts;
        if (post) {
                loop->posts = post->next;
                post->queued = false;
        }
        (void)pthread_mutex_unlock(&loop->lock);
        return post;
}

static int on_posted(struct ev *ev, uint32_t events)
{
        struct loop *loop = container_of(ev, struct loop, posted);
        struct loop_post *post;

        (void)events; /* edge triggered: the counter is never read */
        for (unsigned n = 0; n < POSTS_PER_ROUND; n++) {
                post = take_post(loop);
                if (!post)
                        return 0;
                post->call(post);
        }
        (void)!eventfd_write(ev->fd, 1); /* the rest, after the others */
        return 0;
}

/* Under the lock. */
static void enqueue(struct loop *loop, struct loop_post *post)
{
        struct loop_post **at;

        if (post->queued)
                return;
        post->queued = true;
        post->next = NULL;
        for (at = &loop->posts; *at;)
                at = &(*at)->next;
        *at = post;
}

void loop_post(struct loop *loop, struct loop_post *post)
{
        ASSERT(loop->posted.fd >= 0);
        (void)pthread_mutex_lock(&loop->lock);
        if (!loop->closed)
                enqueue(loop, post);
        (void)pthread_mutex_unlock(&loop->lock);
        (void)!eventfd_write(loop->posted.fd, 1);
}

int loop_call(struct loop *loop, struct loop_post *post)
{
        bool done;

        ASSERT(loop->posted.fd >= 0);
        (void)pthread_mutex_lock(&loop->lock);
        post->done = false;
        if (!loop->closed)
                enqueue(loop, post);
        (void)!eventfd_write(loop->posted.fd, 1);
        while (!loop->closed && !post->done)
                (void)pthread_cond_wait(&loop->done, &loop->lock);
        done = post->done;
        (void)pthread_mutex_unlock(&loop->lock);
        return done ? 0 : err_new(-ECANCELED);
}

void loop_call_done(struct loop *loop, struct loop_post *post)
{
        (void)pthread_mutex_lock(&loop->lock);
        post->done = true;
        (void)pthread_cond_broadcast(&loop->done);
        (void)pthread_mutex_unlock(&loop->lock);
}

void loop_close(struct loop *loop)
{
        (void)pthread_mutex_lock(&loop->lock);
        loop->closed = true;
        (void)pthread_cond_broadcast(&loop->done);
        (void)pthread_mutex_unlock(&loop->lock);
}

int loop_run(struct loop *loop)
{
        int r = 0;

        loop->stopping = false;
        while (!loop->stopping && !r) {
                r = run_round(loop);
                run_jobs(loop);
        }
        return r;
}
