/*
 * Moves the bytes of one FILE request, in constant memory.
 * Input:  events of the link (checked there); the descriptor's bytes, passed on as they are.
 * Runs:   the tool's only thread, on a loop of its own.
 * Limits: what the link holds.
 */
#include "cli/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/out.h"
#include "sandbox/flow.h"
#include "sandbox/link.h"

#define SHOW_NS 200000000

struct moving {
        const struct transfer *t;
        struct problem *problem;
        struct loop *loop;
        struct link *link;
        struct outlet out;
        struct inlet in;
        struct loop_timer show;
        uint64_t bytes, began_ns;
        bool shown, done;
};

static void stop(struct moving *m)
{
        loop_stop(m->loop);
}

static void fail(struct moving *m, const char *what, int error)
{
        (void)!problem_set(m->problem, LINK_FAILED, "%s: %s", what, strerror(error));
        stop(m);
}

static void show(struct moving *m)
{
        uint64_t ms = (loop_now_ns() - m->began_ns) / 1000000;
        char so_far[OUT_WORD], speed[OUT_WORD], part[OUT_WORD] = "";

        if (m->t->expected && m->bytes < m->t->expected)
                snprintf(part, sizeof(part), " %2u %%", (unsigned)(m->bytes * 100 / m->t->expected));
        out_size(so_far, m->bytes);
        out_size(speed, ms ? m->bytes * 1000 / ms : 0);
        fprintf(stderr, "\r\033[K%s%s  %s  %s/s", m->t->what, part, so_far, speed);
        m->shown = true;
}

static int on_show(struct loop_timer *timer)
{
        struct moving *m = container_of(timer, struct moving, show);

        show(m);
        loop_timer_set(m->loop, &m->show, SHOW_NS);
        return 0;
}

static void on_event(void *owner, const struct agent_event *event)
{
        struct moving *m = owner;
        int r;

        switch ((unsigned)event->kind) {
        case AGENT_DATA:
                m->bytes += event->len;
                r = outlet_write(&m->out, event->bytes, event->len);
                if (r < 0)
                        fail(m, "cannot write", -r);
                else if (!r)
                        link_pause(m->link);
                break;
        case AGENT_ERROR:
                (void)!link_explain(&event->error, m->problem);
                stop(m);
                break;
        case AGENT_DONE:
                m->done = true;
                stop(m);
                break;
        default:
                break;
        }
}

static void on_written(struct outlet *o, int error)
{
        struct moving *m = container_of(o, struct moving, out);

        if (error < 0)
                fail(m, "cannot write", -error);
        else
                link_resume(m->link);
}

static void on_room(void *owner)
{
        struct moving *m = owner;

        if (inlet_want(&m->in, true) < 0)
                fail(m, "cannot read", errno);
}

static void on_end(void *owner, const struct problem *problem)
{
        struct moving *m = owner;

        *m->problem = *problem;
        stop(m);
}

static int on_readable(struct inlet *in)
{
        struct moving *m = container_of(in, struct moving, in);
        struct agent *agent = link_agent(m->link);
        size_t room = 0;
        uint8_t *to = agent_input(agent, &room);

        if (!to)
                return err_new(-ENOMEM);
        if (!room)
                return inlet_want(in, false);

        ssize_t n = read(m->t->fd, to, room);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0) {
                fail(m, "cannot read", errno);
                return 0;
        }
        if (!n)
                inlet_fini(in); /* at_end() may close what it reads */
        /* A beginning that looks like the whole must not be taken for it. */
        if (!n && m->t->at_end && m->t->at_end(m->t->who, m->problem)) {
                stop(m);
                return 0;
        }
        agent_input_done(agent, (size_t)n, !n);
        m->bytes += (uint64_t)n;
        link_flush(m->link);
        return n ? inlet_want(in, agent_input_room(agent)) : 0;
}

static int start(struct moving *m)
{
        static const struct link_ops ops = { .on_event = on_event, .on_room = on_room, .on_end = on_end };
        const struct transfer *t = m->t;
        const struct link_config config = { .socket = t->target->socket,
                                            .name = t->target->name,
                                            .ops = &ops,
                                            .owner = m,
                                            .answer_ms = LINK_ANSWER_MS };
        bool sends = t->req.op == PROTOCOL_FILE_UNPACK || t->req.op == PROTOCOL_FILE_WRITE;
        int r = link_new(m->loop, &config, &m->link);

        if (!r)
                r = agent_file(link_agent(m->link), &t->req);
        if (r)
                return r;
        outlet_init(&m->out, m->loop, t->fd, on_written);
        if (sends)
                inlet_init(&m->in, m->loop, t->fd, on_readable);
        m->show.call = on_show;
        m->began_ns = loop_now_ns();
        if (t->what)
                loop_timer_set(m->loop, &m->show, SHOW_NS);
        link_start(m->link);
        return loop_run(m->loop);
}

int transfer_run(const struct transfer *t, uint64_t *ret_bytes, struct problem *problem)
{
        struct moving m = { .t = t, .problem = problem };
        int r = loop_new_alone(&m.loop);

        if (!r)
                r = start(&m);
        if (m.shown)
                fputs("\r\033[K", stderr);
        inlet_fini(&m.in);
        outlet_fini(&m.out);
        link_free(m.link);
        loop_free(m.loop);
        *ret_bytes = m.bytes;
        if (r && !problem->status)
                (void)!problem_set(problem, LINK_FAILED, "%s", r < 0 ? strerror(-r) : agent_strerror(r));
        return m.done && !problem->status ? 0 : -1;
}
