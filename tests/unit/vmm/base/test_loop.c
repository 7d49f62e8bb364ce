/* The loop: events, timers, deferred work, calls from other threads, the worker. */
#include "tests/unit/run.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "vmm/base/loop.h"
#include "vmm/base/thread.h"
#include "vmm/base/worker.h"

static struct loop *loop;
static int calls;

static int count_and_stop(struct ev *ev, uint32_t events)
{
        eventfd_t v;

        ck_assert(events & EPOLLIN);
        ck_assert(!eventfd_read(ev->fd, &v));
        calls++;
        loop_stop(loop);
        return 0;
}

static int fail_once(struct ev *ev, uint32_t events)
{
        (void)ev, (void)events;
        return -EIO;
}

START_TEST(test_events_are_delivered_until_removed)
{
        struct ev ev = { .call = count_and_stop, .fd = eventfd(1, 0) };

        ck_assert(!loop_new(&loop));
        ck_assert(!loop_add(loop, &ev, EPOLLIN));
        ck_assert(!loop_run(loop));
        ck_assert_int_eq(calls, 1);
        loop_remove(loop, &ev);
        loop_remove(loop, &ev); /* does nothing */
        close(ev.fd);
        loop_free(loop);
}
END_TEST

START_TEST(test_the_first_error_ends_the_loop)
{
        struct ev ev = { .call = fail_once, .fd = eventfd(1, 0) };

        ck_assert(!loop_new(&loop));
        ck_assert(!loop_add(loop, &ev, EPOLLIN));
        ck_assert_int_eq(loop_run(loop), -EIO);
        loop_remove(loop, &ev);
        close(ev.fd);
        loop_free(loop);
}
END_TEST

static struct ev twins[2];

/* Whichever comes first removes the other, which is ready in the same round. */
static int remove_other(struct ev *ev, uint32_t events)
{
        (void)events;
        calls++;
        loop_remove(loop, ev == &twins[0] ? &twins[1] : &twins[0]);
        loop_stop(loop);
        return 0;
}

START_TEST(test_an_event_removed_in_the_round_is_not_called)
{
        ck_assert(!loop_new_alone(&loop));
        for (int i = 0; i < 2; i++) {
                twins[i] = (struct ev){ .call = remove_other, .fd = eventfd(1, 0) };
                ck_assert(!loop_add(loop, &twins[i], EPOLLIN));
        }
        ck_assert(!loop_run(loop));
        ck_assert_int_eq(calls, 1);
        for (int i = 0; i < 2; i++) {
                loop_remove(loop, &twins[i]);
                close(twins[i].fd);
        }
        loop_free(loop);
}
END_TEST

static struct loop_timer timers[3];
static int order[3];

static int on_timer(struct loop_timer *t)
{
        order[calls++] = (int)(t - timers);
        if (calls == 2)
                loop_stop(loop);
        return 0;
}

START_TEST(test_timers_run_in_order_of_time)
{
        ck_assert(!loop_new_alone(&loop));
        for (int i = 0; i < 3; i++)
                timers[i].call = on_timer;
        loop_timer_set(loop, &timers[0], 3000000);
        loop_timer_set(loop, &timers[1], 1000000);
        loop_timer_set(loop, &timers[2], UINT64_MAX);
        ck_assert_uint_eq(timers[2].at_ns, UINT64_MAX);
        loop_timer_clear(loop, &timers[2]);
        loop_timer_clear(loop, &timers[2]);
        ck_assert(!loop_run(loop));
        ck_assert_int_eq(order[0], 1);
        ck_assert_int_eq(order[1], 0);
        loop_free(loop);
}
END_TEST

struct caller {
        struct thread thread;
        struct loop_post post;
        int result;
        bool later; /* done only by a job at the end of the round */
        struct loop_job job;
};

static void finish_later(struct loop_job *job)
{
        loop_call_done(loop, &container_of(job, struct caller, job)->post);
}

static void on_call(struct loop_post *post)
{
        struct caller *c = container_of(post, struct caller, post);

        calls++;
        if (c->later)
                loop_defer(loop, &c->job);
        else
                loop_call_done(loop, post);
        if (calls == 2)
                loop_stop(loop);
}

static void call_loop(void *arg)
{
        struct caller *c = arg;

        c->result = loop_call(loop, &c->post);
}

START_TEST(test_calls_from_threads_wait_for_their_end)
{
        struct caller a = { .post.call = on_call, .result = 1 };
        struct caller b = { .post.call = on_call, .result = 1, .later = true, .job.call = finish_later };

        ck_assert(!loop_new(&loop));
        ck_assert(!thread_start(&a.thread, "a", call_loop, &a));
        ck_assert(!thread_start(&b.thread, "b", call_loop, &b));
        ck_assert(!loop_run(loop));
        thread_join(&a.thread);
        thread_join(&b.thread);
        ck_assert_int_eq(a.result, 0);
        ck_assert_int_eq(b.result, 0);
        loop_free(loop);
}
END_TEST

static void never(struct loop_post *post)
{
        (void)post;
        calls++;
}

START_TEST(test_a_closed_loop_lets_its_callers_go)
{
        struct caller a = { .post.call = never, .result = 1 };

        ck_assert(!loop_new(&loop));
        ck_assert(!thread_start(&a.thread, "a", call_loop, &a));
        usleep(10000);
        loop_close(loop);
        thread_join(&a.thread);
        ck_assert_int_eq(a.result, -ECANCELED);
        ck_assert_int_eq(loop_call(loop, &a.post), -ECANCELED);
        loop_free(loop);
}
END_TEST

static void post_again(struct loop_post *post)
{
        calls++;
        loop_post(loop, post);
}

static int on_stop_time(struct loop_timer *t)
{
        (void)t;
        loop_stop(loop);
        return 0;
}

/* As many vCPUs can: whenever a post is taken the next is there. */
START_TEST(test_posts_without_end_leave_a_turn_to_others)
{
        struct loop_post post = { .call = post_again };
        struct loop_timer stop = { .call = on_stop_time };

        ck_assert(!loop_new(&loop));
        loop_timer_set(loop, &stop, 1000000);
        loop_post(loop, &post);
        ck_assert(!loop_run(loop));
        ck_assert_int_gt(calls, 1);
        loop_free(loop);
}
END_TEST

struct item {
        struct work work;
        int done;
};

static void run_item(struct work *w)
{
        container_of(w, struct item, work)->done = 1;
}

static void item_done(struct work *w)
{
        ck_assert_int_eq(container_of(w, struct item, work)->done, 1);
        if (++calls == 8)
                loop_stop(loop);
}

START_TEST(test_the_worker_does_all_and_tells_the_loop)
{
        struct item items[8] = { 0 };
        struct worker *worker;

        ck_assert(!loop_new(&loop));
        ck_assert(!worker_new(loop, &worker));
        for (int i = 0; i < 8; i++) {
                items[i].work = (struct work){ .run = run_item, .done = item_done };
                worker_submit(worker, &items[i].work);
        }
        ck_assert(!loop_run(loop));
        worker_free(worker);
        loop_free(loop);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_events_are_delivered_until_removed,          test_the_first_error_ends_the_loop,
                test_an_event_removed_in_the_round_is_not_called, test_timers_run_in_order_of_time,
                test_calls_from_threads_wait_for_their_end,       test_a_closed_loop_lets_its_callers_go,
                test_posts_without_end_leave_a_turn_to_others,    test_the_worker_does_all_and_tells_the_loop,
        };

        return run_tests("loop", tests, array_size(tests));
}
