/*
 * How a sandbox's agent is.
 * Input:  METRICS of the guest (hostile, checked in sandbox/).
 * Runs:   the tool's only thread, which waits.
 * Limits: HEALTH_ANSWER_MS.
 */
#include "cli/health.h"

#include <string.h>

#include "cli/ask.h"

struct answer {
        bool any, frozen;
};

static int queue(struct agent *agent, void *who)
{
        (void)who;
        return agent_plain(agent, PROTOCOL_METRICS, 0);
}

static void on_event(void *who, const struct agent_event *event)
{
        struct answer *a = who;
        size_t size = 0, len;
        const char *name;
        uint64_t value;

        /* Whoever refuses lives too. */
        a->any |= event->kind == AGENT_REPORT || event->kind == AGENT_ERROR;
        if (event->kind != AGENT_REPORT)
                return;
        for (size_t at = 0; at < event->len; at += size) {
                if (protocol_parse_metric(event->bytes + at, event->len - at, &name, &len, &value, &size))
                        return; /* the link has checked them: it does not happen */
                if (len == 6 && !memcmp(name, "frozen", 6))
                        a->frozen = value;
        }
}

const char *health_look(const struct sandbox *s, const struct life_status *status)
{
        const struct target target = { .name = s->id, .socket = s->agent };
        struct answer answer = { 0 };
        const struct ask ask = {
                .queue = queue, .on_event = on_event, .who = &answer, .answer_ms = HEALTH_ANSWER_MS
        };
        struct problem ignored = { 0 };
        uint64_t began_ns = loop_now_ns();

        if (!life_is_alive(status) || status->state == LIFE_ENDING)
                return NULL;
        if (status->is_mute)
                return "stuck";
        if (status->state == LIFE_PAUSED)
                return "paused";
        if (status->state == LIFE_STARTING || !status->is_ready)
                return "booting";
        (void)!ask_run(&target, &ask, &ignored);
        if (!answer.any)
                return "stuck";
        if (answer.frozen)
                return "frozen";
        return loop_now_ns() - began_ns > HEALTH_BUSY_MS * 1000000ull ? "busy" : "ready";
}
