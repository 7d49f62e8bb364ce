/*
 * Runs a command in a guest: its streams, its terminal, its signals, its end.
 * Input:  events of the link (checked there), standard input, signals of this process.
 * Runs:   the tool's only thread, on a loop of its own.
 * Limits: one command; what the link and the agent's window allow to be under way.
 */
#include "cli/session.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "cli/term.h"
#include "sandbox/flow.h"
#include "sandbox/life.h"
#include "sandbox/link.h"

#define TIMED_OUT 124           /* as timeout(1) has it */
#define GRACE_NS  2000000000ull /* the agent keeps the time limit; when it does not, we do */
#define PATIENCE  3 /* so many of INT and TERM end the tool, whatever the command does with them */

struct session {
        const struct session_config *config;
        struct session_result *result;
        struct problem *problem;
        struct loop *loop;
        struct link *link;
        struct outlet out, err;
        struct inlet in;
        sigset_t taken;
        struct ev signals;
        struct loop_timer limit;
        struct term term;
        struct keys keys;
        unsigned nr_ends; /* of INT and TERM */
        int leaving;      /* status to end with once a hang-up has been sent; 0 = not leaving */
        int status;       /* -1: not ended */
};

static void finish(struct session *s, int status)
{
        if (s->status < 0)
                s->status = status;
        loop_stop(s->loop);
}

static void fail(struct session *s, const char *what, int error)
{
        (void)!problem_set(s->problem, LINK_FAILED, "%s: %s", what, strerror(error));
        loop_stop(s->loop);
}

static bool is_detachable(const struct session *s)
{
        return s->config->background || s->keys.nr;
}

static void detach(struct session *s)
{
        s->result->detached = true;
        finish(s, 0);
}

static void send_size(struct session *s)
{
        struct protocol_resize size = { 0 };

        term_get_size(s->config->in, s->config->out, &size.rows, &size.cols);
        /* With too many under way, the next change tells it. */
        if (agent_resize(link_agent(s->link), &size) == 0)
                link_flush(s->link);
}

static void write_out(struct session *s, struct outlet *o, const struct agent_event *event)
{
        int r = outlet_write(o, event->bytes, event->len);

        if (r < 0)
                fail(s, "cannot write the command's output", -r);
        else if (!r)
                link_pause(s->link);
}

static void on_written(struct session *s, int error)
{
        if (error < 0)
                fail(s, "cannot write the command's output", -error);
        else
                link_resume(s->link);
}

static void on_out_written(struct outlet *o, int error)
{
        on_written(container_of(o, struct session, out), error);
}

static void on_err_written(struct outlet *o, int error)
{
        on_written(container_of(o, struct session, err), error);
}

static void on_started(struct session *s, const struct protocol_started *started)
{
        s->result->proc = started->proc;
        if (s->config->on_started)
                s->config->on_started(s->config->started_ctx);
        if (s->config->background) {
                detach(s);
                return;
        }
        if (s->config->attach && started->flags & PROTOCOL_PROCESS_TTY && s->config->interactive) {
                if (term_set_raw(&s->term) < 0)
                        fail(s, "cannot set the terminal", errno);
                send_size(s);
        }
}

static void on_exit_event(struct session *s, const struct protocol_exit *e)
{
        if (e->flags & PROTOCOL_EXIT_TIMED_OUT) {
                (void)!problem_set(s->problem, TIMED_OUT,
                                   "the time limit has passed: the command was killed");
                loop_stop(s->loop);
                return;
        }
        if (e->flags & PROTOCOL_EXIT_OOM)
                fprintf(stderr, "vmlet: the guest ran out of memory: its kernel killed %s\n",
                        e->kind == PROTOCOL_SIGNALLED ? "the command" : "a process of the command");
        finish(s, s->leaving                      ? s->leaving
                  : e->kind == PROTOCOL_SIGNALLED ? 128 + (int)e->value
                                                  : (int)e->value);
}

static void on_error(struct session *s, const struct agent_event *event)
{
        if (s->leaving) {
                finish(s, s->leaving);
                return;
        }
        if (event->of == PROTOCOL_RESIZE ||
            (event->of == PROTOCOL_SIGNAL && event->error.code == PROTOCOL_FAULT_NO_PROCESS))
                return; /* it and the end have crossed */
        if (event->of == PROTOCOL_EXEC && s->config->timeout_ms && event->error.host_errno == ETIMEDOUT)
                (void)!problem_set(s->problem, TIMED_OUT,
                                   "the time limit has passed before the command began");
        else
                (void)!link_explain(&event->error, s->problem);
        loop_stop(s->loop);
}

static void on_event(void *owner, const struct agent_event *event)
{
        struct session *s = owner;

        switch (event->kind) {
        case AGENT_STARTED:
                on_started(s, &event->started);
                break;
        case AGENT_STDOUT:
                write_out(s, &s->out, event);
                break;
        case AGENT_STDERR:
                write_out(s, &s->err, event);
                break;
        case AGENT_LOST:
                fprintf(stderr, "vmlet: %llu bytes of output were lost\n", (unsigned long long)event->number);
                break;
        case AGENT_EXIT:
                on_exit_event(s, &event->exit);
                break;
        case AGENT_ERROR:
                on_error(s, event);
                break;
        case AGENT_DONE:
                if (s->leaving)
                        finish(s, s->leaving);
                break;
        case AGENT_WELCOME:
        case AGENT_NOTHING:
        case AGENT_PROCESSES:
        case AGENT_DATA:
        case AGENT_STATUS:
        case AGENT_ENTRIES:
        case AGENT_WATCHED:
        case AGENT_REPORT:
        case AGENT_STREAM:
        case AGENT_KIND_NR:
                break;
        }
}

static void on_room(void *owner)
{
        struct session *s = owner;

        if (inlet_want(&s->in, true) < 0)
                fail(s, "cannot read standard input", errno);
}

static void on_end(void *owner, const struct problem *problem)
{
        struct session *s = owner;

        if (s->leaving)
                finish(s, s->leaving);
        else
                *s->problem = *problem;
        loop_stop(s->loop);
}

/* Where the terminal's keys are looked at, room is left before them for what was held back. */
static int read_input(struct inlet *in)
{
        struct session *s = container_of(in, struct session, in);
        struct agent *agent = link_agent(s->link);
        size_t gap = s->keys.nr ? KEYS_MAX : 0, room = 0, len;
        bool detached = false;
        uint8_t *to = agent_input(agent, &room);

        if (!to || room <= gap)
                return to ? inlet_want(in, false) : err_new(-ENOMEM);

        ssize_t n = read(s->config->in, to + gap, room - gap);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0 && errno != EIO) { /* EIO: the terminal is gone */
                fail(s, "cannot read standard input", errno);
                return 0;
        }
        len = n > 0 ? keys_filter(&s->keys, to + gap, (size_t)n, to, &detached) : 0;
        if (len || n <= 0)
                agent_input_done(agent, len, n <= 0);
        link_flush(s->link);
        if (detached)
                detach(s);
        return inlet_want(in, n > 0 && agent_input_room(agent) > gap);
}

/* The terminal or its keeper wants us gone: what is left behind must not wait for a terminal that never comes. */
static void leave(struct session *s, int status)
{
        const struct protocol_signal hangup = { .signal = SIGHUP, .scope = PROTOCOL_SCOPE_ALL };

        term_restore(&s->term);
        if (!s->config->tty || s->config->attach || s->leaving || !is_detachable(s) ||
            !agent_is_greeted(link_agent(s->link)) || agent_signal(link_agent(s->link), &hangup)) {
                finish(s, status);
                return;
        }
        s->leaving = status;
        link_flush(s->link);
}

static void forward(struct session *s, int signal)
{
        struct protocol_signal to_group = { .signal = (uint32_t)signal, .scope = PROTOCOL_SCOPE_GROUP };
        struct agent *agent = link_agent(s->link);
        bool ends = signal == SIGINT || signal == SIGTERM;

        if (s->config->no_signals || s->config->tty || !agent_is_greeted(agent) ||
            (ends && ++s->nr_ends >= PATIENCE)) {
                if (signal != SIGUSR1 && signal != SIGUSR2)
                        leave(s, 128 + signal);
                return;
        }
        to_group.proc = s->config->attach;
        if (agent_signal(agent, &to_group) == 0)
                link_flush(s->link);
}

/* Stopped by somebody: the shell gets its terminal as it was, and we take it again when we go on. */
static void stop_here(struct session *s)
{
        term_restore(&s->term);
        (void)!raise(SIGSTOP);
}

static void go_on(struct session *s)
{
        if (!s->config->tty || s->term.fd < 0)
                return;
        if (term_set_raw(&s->term) < 0)
                leave(s, 128 + SIGHUP);
        else
                send_size(s);
}

static int on_signal(struct ev *ev, uint32_t events)
{
        struct session *s = container_of(ev, struct session, signals);
        struct signalfd_siginfo info;

        (void)events;
        if (read(ev->fd, &info, sizeof(info)) != sizeof(info))
                return 0;
        if (info.ssi_signo == SIGTSTP)
                stop_here(s);
        else if (info.ssi_signo == SIGCONT)
                go_on(s);
        else if (info.ssi_signo == SIGWINCH)
                send_size(s);
        else
                forward(s, (int)info.ssi_signo);
        return 0;
}

static int on_limit(struct loop_timer *timer)
{
        struct session *s = container_of(timer, struct session, limit);

        (void)!problem_set(s->problem, TIMED_OUT, "the time limit has passed: the command was killed");
        loop_stop(s->loop);
        return 0;
}

/* Those that go to the command; of a terminal's, those that we answer ourselves. SIGPIPE: writing tells it. */
static void block_signals(struct session *s, sigset_t *ret_before)
{
        static const int always[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
        static const int of_terminal[] = { SIGWINCH, SIGTSTP, SIGCONT, SIGPIPE };

        sigemptyset(&s->taken);
        for (size_t i = 0; i < array_size(always); i++)
                sigaddset(&s->taken, always[i]);
        for (size_t i = 0; s->config->tty && i < array_size(of_terminal); i++)
                sigaddset(&s->taken, of_terminal[i]);
        (void)!sigprocmask(SIG_BLOCK, &s->taken, ret_before);
        sigdelset(&s->taken, SIGPIPE);
}

static int watch_signals(struct session *s)
{
        s->signals =
                (struct ev){ .call = on_signal, .fd = signalfd(-1, &s->taken, SFD_CLOEXEC | SFD_NONBLOCK) };
        if (s->signals.fd < 0)
                return err_new(-errno);
        return loop_add(s->loop, &s->signals, EPOLLIN);
}

/* Return: as agent_exec(). */
static int ask(struct session *s)
{
        const struct session_config *c = s->config;
        struct protocol_exec_request exec = c->exec;
        struct protocol_attach attach = { .proc = c->attach, .flags = PROTOCOL_ATTACH_REPLAY };

        if (c->attach) {
                attach.flags |= c->interactive ? PROTOCOL_ATTACH_STDIN : 0;
                return agent_attach(link_agent(s->link), &attach);
        }
        exec.flags |= c->interactive ? PROTOCOL_EXEC_STDIN : 0;
        exec.flags |= is_detachable(s) ? PROTOCOL_EXEC_DETACH : 0;
        exec.timeout_ms = c->timeout_ms < UINT32_MAX ? (uint32_t)c->timeout_ms : UINT32_MAX;
        exec.has_tty = c->tty;
        if (c->tty)
                term_get_size(c->in, c->out, &exec.rows, &exec.cols);
        return agent_exec(link_agent(s->link), &exec);
}

static bool is_paused(void *owner)
{
        const struct session *s = owner;
        struct life_status status;

        life_look(s->config->sandbox, &status);
        return status.state == LIFE_PAUSED;
}

static int start(struct session *s)
{
        static const struct link_ops of_socket = { .on_event = on_event,
                                                   .on_room = on_room,
                                                   .on_end = on_end },
                                     of_sandbox = { .on_event = on_event,
                                                    .on_room = on_room,
                                                    .is_paused = is_paused,
                                                    .on_end = on_end };
        const struct session_config *c = s->config;
        const struct link_config link = { .socket = c->socket,
                                          .name = c->name,
                                          .ops = c->sandbox ? &of_sandbox : &of_socket,
                                          .owner = s,
                                          .answer_ms = c->answer_ms ? c->answer_ms : LINK_ANSWER_MS };
        int r = link_new(s->loop, &link, &s->link);

        if (!r)
                r = ask(s);
        if (r)
                return r;
        outlet_init(&s->out, s->loop, c->out, on_out_written);
        outlet_init(&s->err, s->loop, c->err, on_err_written);
        if (c->interactive)
                inlet_init(&s->in, s->loop, c->in, read_input);
        if (c->timeout_ms && !c->background) {
                s->limit.call = on_limit;
                loop_timer_set(s->loop, &s->limit, c->timeout_ms * 1000000 + GRACE_NS);
        }
        if (c->tty && c->interactive && !c->background && !c->attach)
                r = term_set_raw(&s->term);
        if (!r)
                link_start(s->link);
        return r;
}

static void end(struct session *s, const sigset_t *before)
{
        term_restore(&s->term);
        if (s->config->last)
                return;
        inlet_fini(&s->in);
        outlet_fini(&s->out);
        outlet_fini(&s->err);
        link_free(s->link);
        if (s->loop)
                loop_remove(s->loop, &s->signals);
        if (s->signals.call)
                fd_closep(&s->signals.fd);
        loop_free(s->loop);
        (void)!sigprocmask(SIG_SETMASK, before, NULL);
}

int session_run(const struct session_config *config, struct session_result *ret, struct problem *problem)
{
        static struct session s; /* the last may leave its things behind, but not out of sight */
        sigset_t before;
        int r;

        s = (struct session){ .config = config, .result = ret, .problem = problem, .status = -1 };
        term_init(&s.term, config->interactive ? config->in : -1);
        if (config->keys && config->interactive && !config->background)
                s.keys = *config->keys;
        block_signals(&s, &before);
        r = loop_new_alone(&s.loop);
        if (!r)
                r = watch_signals(&s);
        if (!r)
                r = start(&s);
        if (!r)
                r = loop_run(s.loop);
        end(&s, &before);
        if (r && !problem->status)
                (void)!problem_set(problem, LINK_FAILED, "%s", r < 0 ? strerror(-r) : agent_strerror(r));
        return problem->status ? -1 : s.status;
}
