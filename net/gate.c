/*
 * Where every connection is decided.
 * Input:  addresses, ports and names that a guest chose, checked by parsers.
 * Runs:   loop thread.
 * Limits: those of the policy; what an address has of names: POLICY_NAMES_MAX.
 */
#include "net/gate.h"

#include "vmm/base/loop.h"

static void set_rates(struct gate *g)
{
        const struct policy *p = &g->policy;
        uint64_t now = loop_now_ns();
        const struct rate_config connections = { .ops = { .size = p->connections_per_second,
                                                          .refill_ms = RATE_REFILL_MS } },
                                 bytes = { .bandwidth = { .size = p->bytes_per_second,
                                                          .refill_ms = RATE_REFILL_MS } };

        rate_init(&g->connections, &connections, now);
        for (unsigned i = 0; i < 2; i++) {
                rate_init(&g->bytes[i], &bytes, now);
                g->owed[i] = 0;
        }
}

int gate_init(struct gate *g, const struct policy *policy, struct events *events)
{
        *g = (struct gate){ .policy = *policy, .events = events };
        set_rates(g);
        return pins_new(&g->pins);
}

void gate_fini(struct gate *g)
{
        pins_free(g->pins);
        g->pins = NULL;
}

void gate_replace(struct gate *g, const struct policy *policy)
{
        g->policy = *policy;
        pins_forget(g->pins);
        set_rates(g);
}

static void tell(struct gate *g, enum policy_proto proto, const struct frame_end *to, const char *name,
                 const struct policy_decision *d)
{
        struct event_line line = { .proto = policy_proto_text(proto), .name = name, .decision = d };

        if (d->allow)
                g->counts.allowed++;
        else
                g->counts.denied++;
        if (to) {
                line.address = &to->address;
                line.port = to->port;
        } else {
                line.proto = "dns";
        }
        events_tell(g->events, &g->policy, &line);
}

const char *gate_enter(struct gate *g, enum policy_proto proto, const struct frame_end *to)
{
        struct policy_decision d = { .rule = POLICY_BY_MODE };

        if (g->open >= g->policy.connections) {
                d.why = "too many connections at once";
                g->counts.too_many++;
        } else if (rate_take(&g->connections, 0, loop_now_ns())) {
                d.why = "too many connections a second";
                g->counts.too_fast++;
        } else {
                g->open++;
                return NULL;
        }
        tell(g, proto, to, NULL, &d);
        return d.why;
}

void gate_leave(struct gate *g)
{
        g->open--;
}

static void find_names(struct gate *g, const struct frame_end *to, struct policy_names *ret)
{
        *ret = (struct policy_names){ 0 };
        pins_find(g->pins, &to->address, loop_now_ns(), ret);
}

struct policy_decision gate_decide(struct gate *g, enum policy_proto proto, const struct frame_end *to)
{
        const struct policy_flow flow = { .proto = proto, .address = to->address, .port = to->port };
        struct policy_names names;
        struct policy_decision d;

        find_names(g, to, &names);
        d = policy_decide(&g->policy, &g->host, &flow, &names);
        if (!d.allow || !d.inspect)
                tell(g, proto, to, names.nr ? names.names[0] : NULL, &d);
        return d;
}

struct policy_decision gate_decide_seen(struct gate *g, const struct frame_end *to, enum policy_seen seen,
                                        const char *name)
{
        const struct policy_flow flow = { .proto = POLICY_TCP, .address = to->address, .port = to->port };
        struct policy_names names;
        struct policy_decision d;

        find_names(g, to, &names);
        d = policy_decide_seen(&g->policy, &g->host, &flow, &names, seen, name);
        if (seen != POLICY_SEEN_NAME)
                name = names.nr ? names.names[0] : NULL;
        tell(g, POLICY_TCP, to, name, &d);
        return d;
}

struct policy_decision gate_question(struct gate *g, const char *name)
{
        struct policy_decision d = policy_question(&g->policy, name);

        tell(g, POLICY_UDP, NULL, name, &d);
        return d;
}

bool gate_keep(struct gate *g, const struct policy_decision *question, const char *name,
               const struct address *address, uint32_t ttl_s)
{
        const struct policy_decision no = { .rule = question->rule,
                                            .why = "the name leads to an address that is not for it" };
        struct event_line line = { .proto = "dns", .name = name, .address = address, .decision = &no };

        if (policy_keeps(&g->policy, &g->host, question, address)) {
                pins_put(g->pins, address, name, ttl_s, loop_now_ns());
                return true;
        }
        g->counts.denied++;
        events_tell(g->events, &g->policy, &line);
        return false;
}

uint64_t gate_pay(struct gate *g, enum gate_direction direction, size_t n)
{
        uint64_t wait;

        g->owed[direction] += n;
        wait = rate_take(&g->bytes[direction], g->owed[direction], loop_now_ns());
        if (!wait)
                g->owed[direction] = 0;
        return wait;
}

bool gate_admit(struct gate *g, enum gate_direction direction, size_t n)
{
        return !g->owed[direction] && !rate_take(&g->bytes[direction], n, loop_now_ns());
}
