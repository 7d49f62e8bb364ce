/*
 * What would happen.
 * Input:  words of a person; a policy that was checked.
 * Runs:   any thread; pure.
 * Limits: the caller's room.
 */
#include "net/policy_explain.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "net/addresses.h"
#include "vmm/base/compiler.h"
#include "vmm/base/parse.h"

#define TARGET_MAX 300u

struct text {
        char *at;
        size_t room;
};

static void say(struct text *t, const char *format, ...) format_printf(2, 3);
static void say(struct text *t, const char *format, ...)
{
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(t->at, t->room, format, args);
        va_end(args);
        if (n < 0 || t->room < 2)
                return;
        if ((size_t)n > t->room - 1)
                n = (int)(t->room - 1);
        t->at += n;
        t->room -= (size_t)n;
}

struct target {
        char host[TARGET_MAX];
        bool is_address, by_tls, by_http;
        name_t name;
        struct policy_flow flow;
};

static const struct {
        const char *scheme;
        uint16_t port;
        bool tls, http;
} schemes[] = {
        { "https", 443, true, false }, { "http", 80, false, true }, { "wss", 443, true, false },
        { "ws", 80, false, true },     { "ssh", 22, false, false }, { "git", 9418, false, false },
        { "ftp", 21, false, false },
};

/* The scheme, cut off. False for one that is not known. */
static bool take_scheme(char **text, struct target *t)
{
        char *found = strstr(*text, "://");

        if (!found)
                return true;
        *found = 0;
        for (size_t i = 0; i < array_size(schemes); i++) {
                if (strcmp(*text, schemes[i].scheme))
                        continue;
                t->flow.port = schemes[i].port;
                t->by_tls = schemes[i].tls;
                t->by_http = schemes[i].http;
                *text = found + 3;
                (*text)[strcspn(*text, "/?#")] = 0;
                if (strrchr(*text, '@'))
                        *text = strrchr(*text, '@') + 1;
                return true;
        }
        return false;
}

static void take_proto(char *text, struct target *t)
{
        char *slash = strrchr(text, '/');

        t->flow.proto = POLICY_TCP;
        for (enum policy_proto proto = POLICY_TCP; slash && proto <= POLICY_ICMP; proto++) {
                if (strcmp(slash + 1, policy_proto_text(proto)))
                        continue;
                t->flow.proto = proto;
                *slash = 0;
                return;
        }
}

static bool take_port(char *text, struct target *t)
{
        char *bracket = strchr(text, ']');
        char *colon = strchr(bracket ? bracket : text, ':');
        uint64_t port;

        if (!colon || (!bracket && strchr(colon + 1, ':')))
                return true; /* an IPv6 address has several */
        *colon = 0;
        if (!parse_u64(colon + 1, &port) || !port || port > UINT16_MAX)
                return false;
        t->flow.port = (uint16_t)port;
        return true;
}

/* Return: NULL, or what is wrong with it. */
static const char *read_target(const char *text, struct target *t)
{
        char *at = t->host, *end;

        if (strlen(text) >= TARGET_MAX)
                return "it is too long";
        memcpy(t->host, text, strlen(text) + 1);
        if (!take_scheme(&at, t))
                return "an unknown scheme: write http, https, ssh, or the name and port";
        take_proto(at, t);
        if (!take_port(at, t))
                return "behind the : is a port, 1 to 65535";
        if (*at == '[' && (end = strchr(at, ']')) && !end[1]) {
                at++;
                *end = 0;
        }
        if (t->flow.proto == POLICY_ICMP)
                t->flow.port = 0;
        else if (!t->flow.port)
                return "which port? Write https://NAME, NAME:PORT, or NAME/icmp";
        memmove(t->host, at, strlen(at) + 1);
        if (!strcmp(t->host, "host")) {
                t->is_address = address_from_text(ADDRESSES_GATEWAY_IP4, &t->flow.address);
                return NULL;
        }
        t->is_address = address_from_text(t->host, &t->flow.address);
        if (t->is_address)
                return NULL;
        return name_read(t->host, strlen(t->host), t->name) == NAME_OK
                       ? NULL
                       : "it is neither a name nor an address";
}

static void say_verdict(struct text *out, const struct policy *p, const struct policy_decision *d)
{
        char rule[POLICY_RULE_TEXT_MAX];

        policy_rule_text(p, d->rule, rule);
        say(out, "%s (%s): %s\n", d->allow ? "allow" : "deny", rule, d->why);
}

static void explain_address(struct text *out, const struct policy *p, const struct policy_host *host,
                            const struct target *t)
{
        const struct policy_names none = { 0 };
        struct policy_decision d = policy_decide(p, host, &t->flow, &none);
        bool names = false;

        say(out, "connection: ");
        say_verdict(out, p, &d);
        for (unsigned i = 0; i < p->nr_rules; i++)
                names |= p->rules[i].target <= POLICY_TO_BELOW;
        if (names && address_classify(&t->flow.address, NULL) == ADDRESS_PUBLIC)
                say(out,
                    "names:      rules of names count too while a name that was resolved to it is valid\n");
}

static void explain_name(struct text *out, const struct policy *p, const struct policy_host *host,
                         struct target *t)
{
        const struct policy_names names = { .nr = 1, .names = { t->name } };
        struct policy_decision d = policy_question(p, t->name);
        bool ranges = false;

        say(out, "resolver:   ");
        say_verdict(out, p, &d);
        if (!d.allow)
                return;
        /* Stands for the addresses that it will have: a public one, of nobody in particular. */
        (void)address_from_text("1.0.0.0", &t->flow.address);
        d = policy_decide(p, host, &t->flow, &names);
        if (d.inspect && (t->by_tls || t->by_http))
                d = policy_decide_seen(p, host, &t->flow, &names, POLICY_SEEN_NAME, t->name);
        say(out, "connection: ");
        say_verdict(out, p, &d);
        if (d.allow && policy_decide(p, host, &t->flow, &names).inspect)
                say(out, "content:    the server name of TLS, or the Host of plain HTTP, must be %s too\n",
                    t->name);
        for (unsigned i = 0; i < p->nr_rules; i++)
                ranges |= p->rules[i].target == POLICY_TO_RANGE;
        say(out, "addresses:  only public ones that it was just resolved to%s\n",
            ranges ? ", and those of rules for addresses, which may decide before" : "");
}

bool policy_explain(const struct policy *p, const struct policy_host *host, const char *target, char *ret,
                    size_t size)
{
        struct text out = { ret, size };
        struct target t = { 0 };
        const char *wrong = read_target(target, &t);

        if (wrong) {
                say(&out, "%s", wrong);
                return false;
        }
        say(&out, "%s", t.is_address ? "address " : "name ");
        say(&out, "%s", t.host);
        if (t.flow.proto != POLICY_ICMP)
                say(&out, ", port %u", t.flow.port);
        say(&out, ", %s\n", policy_proto_text(t.flow.proto));
        if (t.is_address)
                explain_address(&out, p, host, &t);
        else
                explain_name(&out, p, host, &t);
        return true;
}
