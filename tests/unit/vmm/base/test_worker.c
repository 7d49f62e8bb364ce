/*
 * The worker and threads: order, threads of the callbacks, the end.
 */
#include "vmm/base/worker.h"

#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "tests/mock/driver.h"
#include "tests/unit/run.h"
#include "vmm/base/thread.h"

#define LIMIT_MS 20000u
#define ITEMS    1000u

static struct loop *loop;
static struct worker *worker;
static pthread_t loop_thread;

static struct item {
        struct work work;
        unsigned ran_as; /* how many ran before it */
        bool done;
} items[ITEMS];
static unsigned nr_ran;  /* worker */
static unsigned nr_done; /* loop */

static void run(struct work *work)
{
        ck_assert(!pthread_equal(pthread_self(), loop_thread));
        container_of(work, struct item, work)->ran_as = nr_ran++;
}

static void done(struct work *work)
{
        struct item *i = container_of(work, struct item, work);

        ck_assert(pthread_equal(pthread_self(), loop_thread));
        ck_assert(!i->done);
        i->done = true;
        nr_done++;
}

static void begin(void)
{
        loop_thread = pthread_self();
        ck_assert_int_eq(loop_new(&loop), 0);
        ck_assert_int_eq(worker_new(loop, &worker), 0);
        for (unsigned i = 0; i < ITEMS; i++)
                items[i].work = (struct work){ .run = run, .done = done };
}

static bool all_done(void *arg)
{
        (void)arg;
        return nr_done == ITEMS;
}

START_TEST(test_in_order)
{
        begin();
        for (unsigned i = 0; i < ITEMS; i++)
                worker_submit(worker, &items[i].work);
        ck_assert(mock_run_until(loop, all_done, NULL, LIMIT_MS));
        for (unsigned i = 0; i < ITEMS; i++)
                ck_assert_uint_eq(items[i].ran_as, i);
        worker_free(worker);
        loop_free(loop);
}
END_TEST

static sem_t running, go_on;

static void run_slowly(struct work *work)
{
        ck_assert_int_eq(sem_post(&running), 0);
        while (sem_wait(&go_on) < 0)
                ;
        run(work);
}

static void let_go(void *arg)
{
        (void)arg;
        usleep(200000); /* the worker is being freed by then; if not, the test shows less */
        ck_assert_int_eq(sem_post(&go_on), 0);
}

/* What runs is done, though the loop runs no more; what waits is not: the end must not wait for it. */
START_TEST(test_free_drops_the_rest)
{
        struct thread helper = { 0 };

        begin();
        ck_assert_int_eq(sem_init(&running, 0, 0), 0);
        ck_assert_int_eq(sem_init(&go_on, 0, 0), 0);
        items[0].work.run = run_slowly;
        for (unsigned i = 0; i < ITEMS; i++)
                worker_submit(worker, &items[i].work);
        while (sem_wait(&running) < 0)
                ;
        ck_assert_int_eq(thread_start(&helper, "helper", let_go, NULL), 0);
        worker_free(worker);
        thread_join(&helper);
        ck_assert(items[0].done);
        ck_assert_uint_eq(nr_done, nr_ran);
        ck_assert_uint_lt(nr_ran, ITEMS);
        loop_free(loop);
}
END_TEST

START_TEST(test_free_idle)
{
        begin();
        worker_free(worker);
        worker_free(NULL);
        loop_free(loop);
}
END_TEST

static bool blocks_all, is_self;

static void look_around(void *arg)
{
        sigset_t mask;

        ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
        blocks_all = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGINT) && sigismember(&mask, SIGCHLD);
        is_self = thread_is_self(arg);
}

START_TEST(test_thread)
{
        struct thread t = { 0 };
        sigset_t mask;

        ck_assert(!thread_is_self(&t));
        thread_join(&t); /* never started */
        ck_assert_int_eq(thread_start(&t, "a name that is too long", look_around, &t), 0);
        ck_assert(!thread_is_self(&t));
        thread_join(&t);
        ck_assert(blocks_all);
        ck_assert(is_self);
        ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
        ck_assert(!sigismember(&mask, SIGTERM)); /* ours is as it was */
        ck_assert_int_eq(thread_start(&t, "again", look_around, &t), 0);
        thread_join(&t);
}
END_TEST

static void on_kick(int sig)
{
        (void)sig;
}

static int never[2];

/* The first signal ends the sleep, as if it had come right before the read. */
static void wait_twice(void *arg)
{
        sigset_t set;
        char byte;

        (void)arg;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        ck_assert_int_eq(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
        (void)usleep(900000);
        ck_assert_int_eq(read(never[0], &byte, 1), -1);
}

START_TEST(test_kicked_until_it_ends)
{
        struct sigaction action = { .sa_handler = on_kick };
        struct thread t = { 0 };

        thread_kick_and_join(&t, SIGUSR1); /* never started */
        ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
        ck_assert_int_eq(pipe(never), 0);
        ck_assert_int_eq(thread_start(&t, "waits", wait_twice, NULL), 0);
        thread_kick_and_join(&t, SIGUSR1);
        ck_assert(!t.started);
        close(never[0]);
        close(never[1]);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_in_order, test_free_drops_the_rest,  test_free_idle,
                test_thread,   test_kicked_until_it_ends,
        };

        return run_tests("worker", tests, array_size(tests));
}
