/*
 * Rules that contradict each other, and the text of a policy as it is kept.
 * Input:  a policy that was read.
 * Runs:   any thread; pure.
 * Limits: POLICY_RULES_MAX.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "net/policy_parse.h"
#include "vmm/base/compiler.h"

static bool covers_ports(const struct policy_rule *a, const struct policy_rule *b)
{
        if (!a->nr_ports)
                return true;
        for (unsigned i = 0; i < b->nr_ports; i++) {
                bool found = false;

                for (unsigned j = 0; j < a->nr_ports; j++)
                        found |= a->ports[j].first <= b->ports[i].first &&
                                 a->ports[j].last >= b->ports[i].last;
                if (!found)
                        return false;
        }
        return b->nr_ports;
}

static bool is_of_names(const struct policy_rule *r)
{
        return r->target == POLICY_TO_NAME || r->target == POLICY_TO_BELOW;
}

/* An address of the host's is reached by a rule for it alone, and which ones those are is not known here. */
static bool may_be_own(const struct policy_rule *r)
{
        return r->allow && r->prefix == address_bits(&r->address);
}

static bool covers_target(const struct policy_rule *a, const struct policy_rule *b)
{
        switch (a->target) {
        case POLICY_TO_NAME:
                return b->target == POLICY_TO_NAME && !strcmp(a->name, b->name);
        case POLICY_TO_BELOW:
                return is_of_names(b) && (name_is_below(b->name, a->name) ||
                                          (b->target == POLICY_TO_BELOW && !strcmp(a->name, b->name)));
        case POLICY_TO_ALL:
                return is_of_names(b) || b->target == POLICY_TO_ALL ||
                       (b->target == POLICY_TO_RANGE && !may_be_own(b) &&
                        !address_range_narrowest(&b->address, b->prefix));
        case POLICY_TO_RANGE:
                /* A wide allow rule reaches no address of special use that a narrower one names. */
                return b->target == POLICY_TO_RANGE && a->prefix <= b->prefix &&
                       address_in(&b->address, &a->address, a->prefix) &&
                       (!a->allow || a->prefix == b->prefix ||
                        (!may_be_own(b) && a->prefix >= address_range_narrowest(&b->address, b->prefix)));
        case POLICY_TO_HOST:
        case POLICY_TO_METADATA:
                return a->target == b->target;
        }
        return false;
}

static bool covers(const struct policy_rule *a, const struct policy_rule *b)
{
        return (a->proto == POLICY_ANY || a->proto == b->proto) && covers_ports(a, b) && covers_target(a, b);
}

bool policy_check(const struct policy *p, struct policy_mistake *mistake)
{
        char text[POLICY_RULE_TEXT_MAX], earlier[POLICY_RULE_TEXT_MAX];

        /* Rules may be longer than what a line of words holds. */
        if (p->nr_rules && (p->mode == POLICY_NONE || p->mode == POLICY_DENY)) {
                policy_rule_text(p, 0, text);
                mistake->line = 1;
                (void)snprintf(mistake->text, sizeof(mistake->text),
                               "mode %s has no use for rules such as '%.100s': mode allow has",
                               policy_mode_text(p->mode), text);
                return false;
        }
        for (unsigned b = 1; b < p->nr_rules; b++) {
                for (unsigned a = 0; a < b; a++) {
                        if (!covers(&p->rules[a], &p->rules[b]))
                                continue;
                        policy_rule_text(p, (int)b, text);
                        policy_rule_text(p, (int)a, earlier);
                        mistake->line = b + 1;
                        (void)snprintf(mistake->text, sizeof(mistake->text),
                                       "'%.90s' can never match: '%.90s' before it does", text, earlier);
                        return false;
                }
        }
        return true;
}

size_t policy_write(const struct policy *p, char *ret, size_t size)
{
        char text[POLICY_RULE_TEXT_MAX];
        size_t n = (size_t)snprintf(ret, size, "mode = \"%s\"\n", policy_mode_text(p->mode));

        for (unsigned i = 0; i < p->nr_rules && n < size; i++) {
                policy_rule_text(p, (int)i, text);
                n += (size_t)snprintf(ret + n, size - n, "%s  \"%s\",\n%s", i ? "" : "rules = [\n", text,
                                      i + 1 == p->nr_rules ? "]\n" : "");
        }
        if (p->bytes_per_second && n < size)
                n += (size_t)snprintf(ret + n, size - n, "bytes_per_second = %" PRIu64 "\n",
                                      p->bytes_per_second);
        if (p->connections_per_second && n < size)
                n += (size_t)snprintf(ret + n, size - n, "connections_per_second = %" PRIu64 "\n",
                                      p->connections_per_second);
        if (p->connections != POLICY_CONNECTIONS_DEFAULT && n < size)
                n += (size_t)snprintf(ret + n, size - n, "connections = %" PRIu64 "\n", p->connections);
        return n < size ? n : 0;
}
