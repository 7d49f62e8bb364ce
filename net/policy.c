/*
 * Verdicts.
 * Input:  a policy that was checked; addresses, ports and names of a guest (hostile).
 * Runs:   any thread; pure.
 * Limits: POLICY_RULES_MAX rules are looked at, with POLICY_NAMES_MAX names each.
 */
#include "net/policy.h"

#include <stdio.h>
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/base/compiler.h"

#define QUIC_PORT 443

/* What a rule is held against. */
struct subject {
        const struct policy_flow *flow;
        const struct policy_names *names;
        enum address_class class;
        unsigned block;   /* prefix of the block of special use that holds the address */
        bool gateway;     /* it stands for the host */
        bool own;         /* an address of the host's */
        bool last;        /* the first bytes are known, and name nobody: nothing more will be seen */
        bool seen;        /* the first bytes are known: */
        bool hidden;      /* they name nobody, or somebody whom we cannot know */
        const char *name; /* or this one; NULL: an address */
};

static bool is_by_name(const struct policy_rule *r)
{
        return r->target == POLICY_TO_NAME || r->target == POLICY_TO_BELOW;
}

static bool name_matches(const struct policy_rule *r, const char *name)
{
        if (r->target == POLICY_TO_ALL)
                return true;
        return r->target == POLICY_TO_BELOW ? name_is_below(name, r->name)
                                            : r->target == POLICY_TO_NAME && !strcmp(name, r->name);
}

/* In a form of IPv6 too: a router that translates it brings it back. */
static bool is_own(const struct policy_host *host, const struct address *a)
{
        struct address inside;
        bool embeds = address_embedded(a, &inside);

        for (unsigned i = 0; i < host->nr && i < POLICY_HOST_MAX; i++)
                if (address_equal(&host->addresses[i], a) ||
                    (embeds && address_equal(&host->addresses[i], &inside)))
                        return true;
        return false;
}

static bool is_pinned(const struct policy_names *names, const char *name)
{
        for (unsigned i = 0; i < names->nr && i < POLICY_NAMES_MAX; i++)
                if (!strcmp(names->names[i], name))
                        return true;
        return false;
}

static bool is_public(const struct subject *s)
{
        return s->class == ADDRESS_PUBLIC && !s->own && !s->gateway;
}

static bool applies(const struct policy_rule *r, const struct policy_flow *f)
{
        if (r->proto != POLICY_ANY && r->proto != f->proto)
                return false;
        if (!r->nr_ports)
                return true;
        for (unsigned i = 0; f->proto != POLICY_ICMP && i < r->nr_ports; i++)
                if (f->port >= r->ports[i].first && f->port <= r->ports[i].last)
                        return true;
        return false;
}

/* An allow rule has to name what is of special use; a deny rule reaches it in every form. */
static bool range_matches(const struct policy_rule *r, const struct subject *s)
{
        const struct address *a = &s->flow->address;
        struct address inside;
        bool embeds = address_embedded(a, &inside);
        bool exact = r->prefix == address_bits(a);

        if (!r->allow)
                return address_in(a, &r->address, r->prefix) ||
                       (embeds && address_in(&inside, &r->address, r->prefix));
        if (!address_in(a, &r->address, r->prefix) || s->gateway)
                return false;
        if (s->own || (embeds && address_classify(&inside, NULL)))
                return exact;
        return s->class == ADDRESS_PUBLIC || r->prefix >= s->block;
}

/*
 * Before the first bytes are known, one name of several that matches allows, as it may be the one; it denies alone
 * or where nothing more will be seen.
 */
static bool pinned_matches(const struct policy_rule *r, const struct subject *s)
{
        unsigned nr = 0, all = s->names->nr < POLICY_NAMES_MAX ? s->names->nr : POLICY_NAMES_MAX;

        for (unsigned i = 0; i < all; i++)
                nr += name_matches(r, s->names->names[i]);
        if (r->allow)
                return nr && is_public(s);
        return s->flow->proto == POLICY_TCP && !s->last ? nr && nr == all : nr;
}

static bool name_rule_matches(const struct policy_rule *r, const struct subject *s)
{
        if (!s->seen)
                return pinned_matches(r, s);
        if (s->hidden)
                return !r->allow;
        if (!s->name || !name_matches(r, s->name))
                return false;
        return !r->allow || (is_public(s) && is_pinned(s->names, s->name));
}

static bool matches(const struct policy_rule *r, const struct subject *s)
{
        switch (r->target) {
        case POLICY_TO_NAME:
        case POLICY_TO_BELOW:
                return name_rule_matches(r, s);
        case POLICY_TO_ALL:
                return is_public(s);
        case POLICY_TO_RANGE:
                return range_matches(r, s);
        case POLICY_TO_HOST:
                return s->gateway;
        case POLICY_TO_METADATA:
                return s->class == ADDRESS_METADATA && !s->own;
        }
        return false;
}

static struct policy_decision by_mode(const struct policy *p, const struct subject *s)
{
        struct policy_decision d = { .rule = POLICY_BY_MODE,
                                     .allow = p->mode == POLICY_PUBLIC && is_public(s) };

        if (d.allow)
                d.why = "a public address";
        else if (s->gateway || s->own)
                d.why = "the host itself";
        else if (s->class != ADDRESS_PUBLIC)
                d.why = address_class_words(s->class);
        else if (s->seen && s->hidden)
                d.why = "its name cannot be seen";
        else if (s->seen && s->name)
                d.why = "no rule allows the name that it is for";
        else
                d.why = "no rule allows it";
        return d;
}

static struct policy_decision decide(const struct policy *p, const struct subject *s)
{
        struct policy_decision d;
        bool named = false;
        int i = 0;

        if (p->mode == POLICY_NONE || p->mode == POLICY_DENY)
                return (struct policy_decision){ .rule = POLICY_BY_MODE, .why = "everything is refused" };
        for (; i < (int)p->nr_rules; i++) {
                const struct policy_rule *r = &p->rules[i];

                if (!applies(r, s->flow))
                        continue;
                named |= is_by_name(r);
                if (matches(r, s))
                        break;
        }
        if (i < (int)p->nr_rules)
                d = (struct policy_decision){ .rule = i,
                                              .allow = p->rules[i].allow,
                                              .why = p->rules[i].allow ? "allowed by a rule"
                                                                       : "denied by a rule" };
        else
                d = by_mode(p, s);
        d.inspect = d.allow && named && !s->seen && s->flow->proto == POLICY_TCP;
        if (d.allow && named && s->flow->proto == POLICY_UDP && s->flow->port == QUIC_PORT) {
                d.allow = false;
                d.why = "QUIC does not show its name";
        }
        return d;
}

static struct subject subject_of(const struct policy_host *host, const struct policy_flow *flow,
                                 const struct policy_names *names)
{
        struct subject s = { .flow = flow, .names = names };

        s.class = address_classify(&flow->address, &s.block);
        s.gateway = address_is_gateway(&flow->address);
        s.own = is_own(host, &flow->address);
        return s;
}

struct policy_decision policy_decide(const struct policy *p, const struct policy_host *host,
                                     const struct policy_flow *flow, const struct policy_names *names)
{
        struct subject s = subject_of(host, flow, names);

        return decide(p, &s);
}

struct policy_decision policy_decide_seen(const struct policy *p, const struct policy_host *host,
                                          const struct policy_flow *flow, const struct policy_names *names,
                                          enum policy_seen seen, const char *seen_name)
{
        struct subject s = subject_of(host, flow, names);
        struct policy_decision d;
        struct address address;

        if (seen == POLICY_SEEN_OTHER) {
                s.last = true;
                d = decide(p, &s);
                d.inspect = false;
                return d;
        }
        s.seen = true;
        s.hidden = seen == POLICY_SEEN_NO_NAME;
        /* Who names another address than he goes to hides where he wants to go. */
        if (!s.hidden && address_from_text(seen_name, &address))
                s.hidden = !address_equal(&address, &flow->address);
        else if (!s.hidden)
                s.name = seen_name;
        return decide(p, &s);
}

struct policy_decision policy_question(const struct policy *p, const char *name)
{
        bool ranges = false;

        if (p->mode == POLICY_NONE || p->mode == POLICY_DENY)
                return (struct policy_decision){ .rule = POLICY_BY_MODE, .why = "no name is resolved" };
        for (int i = 0; i < (int)p->nr_rules; i++) {
                const struct policy_rule *r = &p->rules[i];

                ranges |= r->allow && (r->target == POLICY_TO_RANGE || r->target == POLICY_TO_METADATA);
                if (!name_matches(r, name) || (!r->allow && (r->nr_ports || r->proto != POLICY_ANY)))
                        continue;
                return (struct policy_decision){ .rule = i,
                                                 .allow = r->allow,
                                                 .why = r->allow ? "allowed by a rule" : "denied by a rule" };
        }
        if (p->mode == POLICY_PUBLIC || ranges)
                return (struct policy_decision){ .rule = POLICY_BY_MODE,
                                                 .allow = true,
                                                 .why = "its addresses are what is decided on" };
        return (struct policy_decision){ .rule = POLICY_BY_MODE, .why = "no rule allows this name" };
}

/* Could a connection to it be allowed by its address, to some port? */
static bool may_be_reached(const struct policy *p, const struct subject *s)
{
        for (unsigned i = 0; i < p->nr_rules; i++) {
                const struct policy_rule *r = &p->rules[i];

                if (is_by_name(r) || !matches(r, s))
                        continue;
                if (r->allow)
                        return true;
                if (!r->nr_ports && r->proto == POLICY_ANY)
                        return false;
        }
        return p->mode == POLICY_PUBLIC && is_public(s);
}

bool policy_keeps(const struct policy *p, const struct policy_host *host,
                  const struct policy_decision *question, const struct address *address)
{
        const struct policy_flow flow = { .proto = POLICY_TCP, .address = *address };
        const struct policy_names none = { 0 };
        struct subject s = subject_of(host, &flow, &none);

        if (!question->allow || s.gateway)
                return false;
        return (question->rule != POLICY_BY_MODE && is_public(&s)) || may_be_reached(p, &s);
}

const char *policy_mode_text(enum policy_mode mode)
{
        static const char *const texts[] = { "none", "deny", "allow", "public" };

        ASSERT((size_t)mode < array_size(texts));
        return texts[mode];
}

const char *policy_proto_text(enum policy_proto proto)
{
        static const char *const texts[] = { "any", "tcp", "udp", "icmp" };

        ASSERT((size_t)proto < array_size(texts));
        return texts[proto];
}

static size_t put_target(const struct policy_rule *r, char *ret, size_t size)
{
        char address[ADDRESS_TEXT_MAX];
        bool brackets = r->address.family == ADDRESS_IP6 && r->nr_ports;
        int n = 0;

        switch (r->target) {
        case POLICY_TO_NAME:
                return (size_t)snprintf(ret, size, "%s", r->name);
        case POLICY_TO_BELOW:
                return (size_t)snprintf(ret, size, "*.%s", r->name);
        case POLICY_TO_ALL:
                return (size_t)snprintf(ret, size, "*");
        case POLICY_TO_HOST:
                return (size_t)snprintf(ret, size, "host");
        case POLICY_TO_METADATA:
                return (size_t)snprintf(ret, size, "metadata");
        case POLICY_TO_RANGE:
                break;
        }
        address_to_text(&r->address, address);
        n = snprintf(ret, size, "%s%s%s", brackets ? "[" : "", address, brackets ? "]" : "");
        if (r->prefix != address_bits(&r->address))
                n += snprintf(ret + n, size - (size_t)n, "/%u", r->prefix);
        return (size_t)n;
}

void policy_rule_text(const struct policy *p, int rule, char ret[POLICY_RULE_TEXT_MAX])
{
        const struct policy_rule *r = &p->rules[rule < 0 ? 0 : rule];
        size_t n, size = POLICY_RULE_TEXT_MAX;

        if (rule == POLICY_BY_MODE) {
                (void)snprintf(ret, size, "mode %s", policy_mode_text(p->mode));
                return;
        }
        n = (size_t)snprintf(ret, size, "%s ", r->allow ? "allow" : "deny");
        n += put_target(r, ret + n, size - n);
        for (unsigned i = 0; i < r->nr_ports; i++) {
                const struct policy_ports *q = &r->ports[i];

                n += (size_t)snprintf(ret + n, size - n, "%c%u", i ? ',' : ':', q->first);
                if (q->last != q->first)
                        n += (size_t)snprintf(ret + n, size - n, "-%u", q->last);
        }
        if (r->proto != POLICY_ANY)
                (void)snprintf(ret + n, size - n, "/%s", policy_proto_text(r->proto));
}
