/*
 * A link on its loop, with peers by a script.
 */
#include "sandbox/link.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "sandbox/dial.h"
#include "tests/mock/peer.h"
#include "tests/unit/run.h"

#define PATIENCE 100 /* tenths of a second, on a busy machine */

static struct peer peer;
static struct loop *loop;
static struct link *l;
static struct problem problem;
static unsigned nr_out, pause_after;
static uint64_t nr_bytes;
static enum agent_kind last;
static bool free_in_event, vm_is_paused;
static unsigned nr_done, nr_asked;
static struct loop_timer timer;

static int stop(struct loop_timer *t)
{
        (void)t;
        loop_stop(loop);
        return 0;
}

static void on_event(void *owner, const struct agent_event *event)
{
        (void)owner;
        last = event->kind;
        nr_done += event->kind == AGENT_DONE;
        if (event->kind == AGENT_STDOUT || event->kind == AGENT_STREAM) {
                nr_out++;
                nr_bytes += event->len;
                if (nr_out == pause_after)
                        link_pause(l);
        }
        if (event->kind == AGENT_EXIT || event->kind == AGENT_ERROR)
                loop_stop(loop);
        if (free_in_event) {
                link_free(l);
                l = NULL;
                loop_stop(loop);
        }
}

static void on_end(void *owner, const struct problem *p)
{
        (void)owner;
        problem = *p;
        loop_stop(loop);
}

static bool is_paused(void *owner)
{
        (void)owner;
        nr_asked++;
        return vm_is_paused;
}

static void on_half(void *owner)
{
        (void)owner;
        last = AGENT_NOTHING;
        loop_stop(loop);
}

static void begin(void (*serve)(int client), bool half)
{
        static struct link_ops ops = { .on_event = on_event, .on_end = on_end, .is_paused = is_paused };
        struct link_config config = { .ops = &ops, .answer_ms = 400, .quiet_ms = 300, .name = "box" };

        ops.on_half = half ? on_half : NULL;
        if (serve)
                peer_start(&peer, serve);
        config.socket = peer.path;
        ck_assert_int_eq(loop_new(&loop), 0);
        ck_assert_int_eq(link_new(loop, &config, &l), 0);
        timer.call = stop;
}

static void begin_exec(void (*serve)(int client))
{
        const char *args[] = { "x", NULL };
        const struct protocol_exec_request req = { .args = args };

        begin(serve, false);
        ck_assert_int_eq(agent_exec(link_agent(l), &req), 0);
        link_start(l);
}

static void run_for(uint64_t ms)
{
        if (ms)
                loop_timer_set(loop, &timer, ms * 1000000);
        ck_assert_int_eq(loop_run(loop), 0);
        loop_timer_clear(loop, &timer);
}

static void end(void)
{
        link_free(l);
        loop_free(loop);
        peer_stop(&peer);
        unlink(peer.path);
}

static void say_much(int client)
{
        static uint8_t bytes[65536];
        const struct protocol_exit e = { 0 };
        uint8_t frame[PROTOCOL_SMALL_MAX];

        peer_say_welcome(client);
        for (unsigned i = 0; i < 64; i++)
                peer_say_frame(client, PROTOCOL_STDOUT, 1, bytes, sizeof(bytes));
        peer_say(client, frame, protocol_put_exit(frame, 1, &e));
        pause();
}

/* Whoever does not want more gets no more, and later all of it. */
START_TEST(test_pause)
{
        begin_exec(say_much);
        pause_after = 3;
        run_for(600); /* longer than an answer may take: what is paused is not late */
        ck_assert_uint_eq(nr_out, 3);
        ck_assert_int_eq(problem.status, 0);
        link_resume(l);
        run_for(0);
        ck_assert_int_eq(last, AGENT_EXIT);
        ck_assert_uint_eq(nr_bytes, 64 * 65536);
        end();
}
END_TEST

START_TEST(test_free_in_event)
{
        begin_exec(say_much);
        free_in_event = true;
        run_for(0);
        ck_assert_ptr_null(l);
        end();
}
END_TEST

static void die_after_output(int client)
{
        peer_say_welcome(client);
        peer_say_frame(client, PROTOCOL_STDOUT, 1, "x", 1);
}

/* A peer that hangs up while nobody reads does not keep the loop busy, and is noticed afterwards. */
START_TEST(test_hang_up_while_paused)
{
        begin_exec(die_after_output);
        pause_after = 1;
        run_for(200);
        ck_assert_uint_lt(loop_stats(loop).rounds, 20);
        ck_assert_int_eq(problem.status, 0);
        link_resume(l);
        run_for(0);
        ck_assert_int_eq(problem.status, LINK_FAILED);
        end();
}
END_TEST

static void never_answer(int client)
{
        peer_say_welcome(client);
        pause();
}

static void answer_pings(int client)
{
        static uint8_t payload[PROTOCOL_EXEC_MAX];
        const struct protocol_exit e = { 0 };
        uint8_t frame[PROTOCOL_SMALL_MAX];
        struct protocol_frame got;
        unsigned nr = 0;

        peer_say_welcome(client);
        while (nr < 2) {
                peer_read_frame(client, &got, payload);
                if (got.type != PROTOCOL_PING)
                        continue;
                peer_say_frame(client, PROTOCOL_DONE, got.id, "\1\0\0", 4);
                nr++;
        }
        peer_say(client, frame, protocol_put_exit(frame, 1, &e));
        pause();
}

/* Whoever lives is waited for, and nobody sees that it was asked; an answer brings quiet_ms of peace. */
START_TEST(test_busy)
{
        begin_exec(answer_pings);
        run_for(0);
        ck_assert_int_eq(last, AGENT_EXIT);
        ck_assert_uint_eq(nr_done + nr_asked, 0);
        ck_assert_int_eq(problem.status, 0);
        end();
}
END_TEST

static void chatter(int client)
{
        const struct protocol_exit e = { 0 };
        uint8_t frame[PROTOCOL_SMALL_MAX];

        peer_say_welcome(client);
        for (unsigned i = 0; i < 12; i++) {
                usleep(100000);
                peer_say_frame(client, PROTOCOL_STDOUT, 1, "x", 1);
        }
        peer_say(client, frame, protocol_put_exit(frame, 1, &e));
        pause();
}

/* Its command's output shows that it lives. */
START_TEST(test_output_is_life)
{
        begin_exec(chatter);
        run_for(0);
        ck_assert_int_eq(last, AGENT_EXIT);
        ck_assert_uint_eq(nr_out, 12);
        ck_assert_uint_eq(nr_asked, 0);
        end();
}
END_TEST

/* An agent that says nothing: waited for while its VM is paused, then given up in words. */
START_TEST(test_stuck)
{
        vm_is_paused = true;
        begin_exec(never_answer);
        for (unsigned i = 0; i < PATIENCE && !nr_asked;
             i++) /* 300 ms until it is asked, 600 until the monitor is */
                run_for(100);
        ck_assert_uint_eq(nr_asked, 1);
        ck_assert_int_eq(problem.status, 0);
        vm_is_paused = false;
        run_for(0);
        ck_assert_uint_eq(nr_asked, 2);
        ck_assert_int_eq(problem.status, LINK_FAILED);
        ck_assert_str_eq(
                problem.text,
                "the agent of box has not answered for 0 s: the guest is stuck (its kernel or agent hangs)");
        end();
}
END_TEST

/* A command may take as long as it likes; an answer to a PING may not. */
START_TEST(test_stuck_or_busy)
{
        vm_is_paused = true; /* for whoever wonders about the silence */
        begin_exec(never_answer);
        run_for(600);
        ck_assert_int_eq(problem.status, 0);
        ck_assert_int_eq(agent_plain(link_agent(l), PROTOCOL_PING, 0), 0);
        link_flush(l);
        run_for(0);
        ck_assert_ptr_nonnull(strstr(problem.text, "box: the agent has stopped answering"));
        end();
}
END_TEST

static void hang_up_at_first(int client)
{
        char path[64];
        int fd;

        snprintf(path, sizeof(path), "/tmp/vmlet-test-boot-%d", getppid());
        fd = open(path, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0)
                return; /* still booting */
        unlink(path);
        say_much(client);
}

START_TEST(test_boots_meanwhile)
{
        begin_exec(hang_up_at_first);
        run_for(0);
        ck_assert_int_eq(last, AGENT_EXIT);
        end();
}
END_TEST

static void echo_stream(int client)
{
        static uint8_t payload[PROTOCOL_EXEC_MAX];
        struct protocol_frame frame;
        ssize_t n;

        peer_say_welcome(client);
        peer_read_frame(client, &frame, payload); /* HELLO */
        peer_read_frame(client, &frame, payload);
        peer_say_frame(client, PROTOCOL_DONE, frame.id, "", 0);
        while ((n = recv(client, payload, sizeof(payload), 0)) > 0)
                peer_say(client, payload, (size_t)n);
}

START_TEST(test_stream)
{
        const struct protocol_connect to = { .port = 7, .address = "" };
        size_t room = 0;
        uint8_t *at;

        begin(echo_stream, true);
        ck_assert_int_eq(agent_connect(link_agent(l), &to), 0);
        link_start(l);
        for (unsigned i = 0; i < PATIENCE && !agent_is_stream(link_agent(l)); i++)
                run_for(100);
        ck_assert(agent_is_stream(link_agent(l)));
        at = agent_input(link_agent(l), &room);
        ck_assert(at && room >= 1000);
        memset(at, 'x', 1000);
        agent_input_done(link_agent(l), 1000, false);
        link_flush(l);
        for (unsigned i = 0; i < PATIENCE && nr_bytes < 1000; i++)
                run_for(100);
        ck_assert_uint_eq(nr_bytes, 1000);
        link_end_stream(l);
        last = AGENT_STREAM;
        run_for(0);
        ck_assert_int_eq(last, AGENT_NOTHING); /* its end came back */
        end();
}
END_TEST

/* A socket whose path no address holds is reached by its folder. */
START_TEST(test_long_path)
{
        char folder[160] = "/tmp/vmlet-test-", path[200], real[300];
        int fd;

        begin(never_answer, false);
        memset(folder + strlen(folder), 'x', 120);
        mkdir(folder, 0700);
        snprintf(path, sizeof(path), "%s/agent", folder);
        ck_assert_int_eq(rename(peer.path, path), 0);
        fd = dial_connect(path);
        ck_assert_int_ge(fd, 0);
        close(fd);
        snprintf(real, sizeof(real), "%s/%0100d", folder, 1);
        ck_assert_int_eq(dial_connect(real), -36 /* ENAMETOOLONG */);
        unlink(path);
        rmdir(folder);
        end();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_pause,
                test_free_in_event,
                test_hang_up_while_paused,
                test_stuck_or_busy,
                test_boots_meanwhile,
                test_stream,
                test_long_path,
                test_busy,
                test_output_is_life,
                test_stuck,
        };

        return run_tests("link", tests, array_size(tests));
}
