/*
 * Named threads.
 * Input:  none from outside.
 * Runs:   the starter's thread, and the new one.
 * Limits: STACK_BYTES of stack a thread.
 */
#include "vmm/base/thread.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "vmm/base/assert.h"
#include "vmm/base/compiler.h"
#include "vmm/base/err.h"

/* Room for two full sets of I/O vectors and a sanitizer's red zones. Only touched pages cost memory. */
#define STACK_BYTES (512u << 10)

#define NS_PER_S      1000000000l
#define KICK_EVERY_NS 20000000l

static _Thread_local const struct thread *self;

bool thread_is_self(const struct thread *t)
{
        return self == t;
}

static void *enter(void *arg)
{
        struct thread *t = arg;

        self = t;
        (void)!pthread_setname_np(pthread_self(), t->name); /* only for people's eyes */
        t->run(t->arg);
        return NULL;
}

/*
 * The mask is inherited: blocked here for a moment, so that the new thread never runs without it. A fault of
 * its own that is blocked would end the process past all handlers.
 */
static int create(struct thread *t, const pthread_attr_t *attr)
{
        static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
        sigset_t all, old;
        int r;

        (void)sigfillset(&all);
        for (unsigned i = 0; i < array_size(faults); i++)
                (void)sigdelset(&all, faults[i]);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        r = pthread_create(&t->id, attr, enter, t);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        return r ? err_new(-r) : 0;
}

int thread_start(struct thread *t, const char *name, void (*run)(void *arg), void *arg)
{
        pthread_attr_t attr;
        int r;

        ASSERT(!t->started);
        t->run = run;
        t->arg = arg;
        (void)snprintf(t->name, sizeof(t->name), "%s", name);
        r = pthread_attr_init(&attr);
        if (r)
                return err_new(-r);
        (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
        r = create(t, &attr);
        (void)pthread_attr_destroy(&attr);
        t->started = !r;
        return r;
}

void thread_join(struct thread *t)
{
        if (!t->started)
                return;
        ASSERT(!pthread_join(t->id, NULL));
        t->started = false;
}

void thread_kick(struct thread *t, int sig)
{
        if (t->started)
                (void)pthread_kill(t->id, sig);
}

void thread_kick_and_join(struct thread *t, int sig)
{
        struct timespec until;

        while (t->started) {
                (void)pthread_kill(t->id, sig); /* one that has ended needs no kick */
                (void)clock_gettime(CLOCK_REALTIME, &until);
                until.tv_nsec += KICK_EVERY_NS;
                until.tv_sec += until.tv_nsec / NS_PER_S;
                until.tv_nsec %= NS_PER_S;
                t->started = pthread_timedjoin_np(t->id, NULL, &until);
        }
}
