/*
 * Asks an agent one thing.
 * Input:  events of the link (checked there).
 * Runs:   the tool's only thread, on a loop of its own.
 * Limits: one request at a time.
 */
#include "cli/ask.h"

#include <string.h>

struct asked {
        const struct ask *ask;
        struct problem *problem;
        struct loop *loop;
        bool answered;
};

static bool is_last(enum agent_kind kind)
{
        return kind == AGENT_DONE || kind == AGENT_EXIT || kind == AGENT_STATUS || kind == AGENT_REPORT ||
               kind == AGENT_ERROR;
}

static void on_event(void *owner, const struct agent_event *event)
{
        struct asked *a = owner;

        if (a->answered)
                return;
        if (event->kind == AGENT_ERROR)
                (void)!link_explain(&event->error, a->problem);
        if (a->ask->on_event)
                a->ask->on_event(a->ask->who, event);
        a->answered = is_last(event->kind);
        if (a->answered)
                loop_stop(a->loop);
}

static void on_end(void *owner, const struct problem *problem)
{
        struct asked *a = owner;

        if (!a->answered)
                *a->problem = *problem;
        loop_stop(a->loop);
}

int ask_run(const struct target *target, const struct ask *ask, struct problem *problem)
{
        static const struct link_ops ops = { .on_event = on_event, .on_end = on_end };
        cleanup(loop_freep) struct loop *loop = NULL;
        cleanup(link_freep) struct link *link = NULL;
        int r = loop_new_alone(&loop);
        struct asked asked = { .ask = ask, .problem = problem, .loop = loop };
        const struct link_config config = { .socket = target->socket,
                                            .name = target->name,
                                            .ops = &ops,
                                            .owner = &asked,
                                            .answer_ms = ask->answer_ms ? ask->answer_ms : LINK_ANSWER_MS };

        if (!r)
                r = link_new(loop, &config, &link);
        if (!r)
                r = ask->queue(link_agent(link), ask->who);
        if (!r) {
                link_start(link);
                r = loop_run(loop);
        }
        if (r && !problem->status)
                (void)!problem_set(problem, LINK_FAILED, "%s", r < 0 ? strerror(-r) : agent_strerror(r));
        return problem->status ? -1 : 0;
}

struct file_asked {
        const struct protocol_file *req;
        struct protocol_status *ret;
        uint32_t *ret_errno;
};

static int queue_file(struct agent *agent, void *who)
{
        const struct file_asked *f = who;

        return agent_file(agent, f->req);
}

static void on_file(void *who, const struct agent_event *event)
{
        const struct file_asked *f = who;

        if (event->kind == AGENT_ERROR)
                *f->ret_errno = event->error.host_errno;
        if (event->kind != AGENT_STATUS || !f->ret)
                return;
        *f->ret = event->status;
        f->ret->name = f->ret->target = ""; /* the event's own go with it */
}

int ask_file(const struct target *target, const struct protocol_file *req, struct protocol_status *ret,
             uint32_t *ret_errno, struct problem *problem)
{
        struct file_asked f = { .req = req, .ret = ret, .ret_errno = ret_errno };
        const struct ask ask = { .queue = queue_file, .on_event = on_file, .who = &f };

        return ask_run(target, &ask, problem);
}

struct processes_asked {
        bool all;
        uint32_t nr;
        void (*on_process)(void *who, const struct protocol_process *p);
        void *who;
};

static int queue_processes(struct agent *agent, void *who)
{
        const struct processes_asked *p = who;

        return agent_plain(agent, PROTOCOL_PROCESSES, p->all ? PROTOCOL_LIST_ALL : PROTOCOL_LIST_EXECS);
}

static void on_processes(void *who, const struct agent_event *event)
{
        struct processes_asked *p = who;
        size_t size = 0;

        if (event->kind != AGENT_PROCESSES)
                return;
        for (size_t at = 0; at < event->len; at += size) {
                struct protocol_process process;

                if (protocol_parse_process(event->bytes + at, event->len - at, &process, &size))
                        return; /* the link has checked them: it does not happen */
                if (p->nr++ < ASK_PROCESSES_MAX)
                        p->on_process(p->who, &process);
        }
}

int ask_processes(const struct target *target, bool all,
                  void (*on_process)(void *who, const struct protocol_process *p), void *who,
                  struct problem *problem)
{
        struct processes_asked p = { .all = all, .on_process = on_process, .who = who };
        const struct ask ask = { .queue = queue_processes, .on_event = on_processes, .who = &p };

        if (ask_run(target, &ask, problem))
                return -1;
        if (p.nr <= ASK_PROCESSES_MAX)
                return 0;
        return problem_set(problem, LINK_FAILED, "%s: more than %u processes: no list of them is to be had",
                           target->name, ASK_PROCESSES_MAX);
}
