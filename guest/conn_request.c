/*
 * Requests that are not about a command: files, the machine, connections into the guest.
 * Input:  frames (client, hostile).
 * Runs:   the agent's only thread; what may have to wait for anything goes to a worker child.
 * Limits: each answer is one small frame.
 */
#include <errno.h>
#include <string.h>

#include "guest/conn_priv.h"
#include "guest/environment.h"
#include "guest/exec.h"
#include "guest/file.h"
#include "guest/machine.h"
#include "guest/relay.h"

/* Answers with DONE, or with what the kernel said. */
static void reply(struct conn *c, uint32_t id, int r, const char *what)
{
        struct text why;

        if (!r) {
                conn_reply_done(c, id);
                return;
        }
        text_set(&why, what, ": ", strerror(-r));
        conn_reply_error(c, id, PROTOCOL_FAULT_SYSTEM, -r, why.s);
}

static void on_metrics(struct conn *c, uint32_t id)
{
        struct service *s = c->service;
        struct machine_facts facts = { .execs = exec_running(), .frozen = s->frozen };

        s->out_len += machine_report(s->out + s->out_len, id, &facts);
}

static int on_clock(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes)
{
        uint64_t ns;
        int r = protocol_parse_u64(bytes, frame->len, &ns);

        if (!r)
                reply(c, frame->id, machine_set_clock(ns), "the guest's clock cannot be set");
        return r;
}

static int on_environment(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes)
{
        struct protocol_environment e;
        int r = protocol_parse_environment(bytes, frame->len, &e);

        if (!r && environment_change(&e))
                reply(c, frame->id, 0, NULL);
        else if (!r)
                conn_reply_error(c, frame->id, PROTOCOL_FAULT_RESOURCES, 0,
                                 "more variables than the agent keeps");
        return r;
}

/* Stopping is begun here, so that no command can be started from now on; a child waits until all have. */
static int on_freeze(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes)
{
        static const struct conn_job job = { .run = machine_wait_frozen };
        struct service *s = c->service;
        struct text why;
        uint32_t yes, fault;
        int r = protocol_parse_u32(bytes, frame->len, 1, &yes), error;

        if (r)
                return r;
        fault = yes ? conn_check_state(c, &why) : 0;
        if (fault) {
                conn_reply_error(c, frame->id, fault, 0, why.s);
                return 0;
        }
        error = machine_freeze(yes);
        if (!error)
                s->frozen = yes;
        if (!error && yes)
                conn_worker_start(c, frame, bytes, &job);
        else
                reply(c, frame->id, error, "the guest's processes cannot be stopped");
        return 0;
}

static void on_connect(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes)
{
        static const struct conn_job job = { .run = relay_serve, .has_input = true, .half_closes = true };

        conn_worker_start(c, frame, bytes, &job);
        c->closing = c->closing || !c->worker; /* bytes of the stream may be under way already */
}

static void on_file(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes)
{
        const struct conn_job job = { .run = file_serve, .has_input = file_has_input(bytes, frame->len) };

        conn_worker_start(c, frame, bytes, &job);
}

/* Without a root file system there is nothing to look at or to change. */
static bool has_root(struct conn *c, uint32_t id)
{
        const struct protocol_welcome *w = &c->service->welcome;

        if (w->state != PROTOCOL_STATE_OK)
                conn_reply_error(c, id, PROTOCOL_FAULT_NO_ROOT, 0, w->message);
        return w->state == PROTOCOL_STATE_OK;
}

bool conn_request(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes, int *ret_error)
{
        static const struct conn_job list = { .run = machine_processes }, sync = { .run = machine_sync };
        uint32_t which;

        if (!has_root(c, frame->id))
                return true;
        if (frame->type == PROTOCOL_FILE)
                on_file(c, frame, bytes);
        else if (frame->type == PROTOCOL_METRICS)
                on_metrics(c, frame->id);
        else if (frame->type == PROTOCOL_CLOCK)
                *ret_error = on_clock(c, frame, bytes);
        else if (frame->type == PROTOCOL_ENVIRONMENT)
                *ret_error = on_environment(c, frame, bytes);
        else if (frame->type == PROTOCOL_FREEZE)
                *ret_error = on_freeze(c, frame, bytes);
        else if (frame->type == PROTOCOL_SYNC)
                conn_worker_start(c, frame, bytes, &sync);
        else if (frame->type == PROTOCOL_CONNECT)
                on_connect(c, frame, bytes);
        else if (frame->type == PROTOCOL_PROCESSES &&
                 !protocol_parse_u32(bytes, frame->len, PROTOCOL_LIST_ALL, &which) &&
                 which == PROTOCOL_LIST_ALL)
                conn_worker_start(c, frame, bytes, &list);
        else
                return false;
        return true;
}
