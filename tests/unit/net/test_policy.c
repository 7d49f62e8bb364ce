/*
 * Policies: what their text means, what is wrong with it, and what comes of it for each connection and question.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/policy_explain.h"
#include "net/policy_parse.h"
#include "tests/unit/run.h"

#define OWN "192.168.77.1"

static struct policy policy, again;
static struct policy_mistake mistake;
static char text[POLICY_TEXT_MAX];

/* @rules: "allow a; deny b", after the mode */
static const struct policy *make(const char *mode, const char *rules)
{
        enum policy_mode m;
        char copy[1024], *save = NULL;

        snprintf(copy, sizeof(copy), "%s", rules);
        ck_assert(policy_parse_mode(mode, &m, &mistake));
        policy_init(&policy, m);
        for (char *at = strtok_r(copy, ";", &save); at; at = strtok_r(NULL, ";", &save)) {
                while (*at == ' ')
                        at++;
                ck_assert_msg(policy_parse_rule(at, strlen(at), &policy.rules[policy.nr_rules], &mistake),
                              "%s: %s", at, mistake.text);
                policy.nr_rules++;
        }
        return &policy;
}

static const struct policy_host *host(void)
{
        static struct policy_host h = { .nr = 2 };

        ck_assert(address_from_text(OWN, &h.addresses[0]) &&
                  address_from_text("93.184.216.99", &h.addresses[1]));
        return &h;
}

/* @to: "93.184.216.34:80" or "2001::1 80/udp": address, port, protocol. @names: "a b" */
static struct policy_flow flow_of(const char *to, const char *names, struct policy_names *ret)
{
        static char copy[256], kept[256];
        struct policy_flow f = { .proto = POLICY_TCP };
        char *save = NULL, *at, *port, *proto;

        snprintf(copy, sizeof(copy), "%s", to);
        port = strchr(copy, ' ');
        *port++ = 0;
        proto = strchr(port, '/');
        if (proto)
                f.proto = !strcmp(proto, "/udp") ? POLICY_UDP : POLICY_ICMP;
        f.port = (uint16_t)atoi(port);
        ck_assert_msg(address_from_text(copy, &f.address), "%s", copy);
        *ret = (struct policy_names){ 0 };
        snprintf(kept, sizeof(kept), "%s", names ? names : "");
        for (at = strtok_r(kept, " ", &save); at; at = strtok_r(NULL, " ", &save))
                ret->names[ret->nr++] = at;
        return f;
}

/* What is expected: '+' allow, '-' deny, '?' allow and inspect; and by which rule: a digit, or 'm' for the mode. */
static void check(const char *what, const char *expect, struct policy_decision d)
{
        char got[3] = { d.inspect ? '?' : d.allow ? '+' : '-', d.rule < 0 ? 'm' : (char)('0' + d.rule), 0 };

        ck_assert_msg(!strcmp(got, expect), "%s: %s instead of %s: %s", what, got, expect, d.why);
        ck_assert(d.why && *d.why);
        ck_assert(!d.inspect || d.allow);
}

#define A   "93.184.216.34"
#define B   "93.184.216.35"
#define SIX "2606:2800:220:1::34"

static const struct {
        const char *mode, *rules, *to, *names, *expect;
} decisions[] = {
        /* modes alone */
        { "deny", "", A " 80", NULL, "-m" },
        { "allow", "", A " 80", NULL, "-m" },
        { "public", "", A " 80", NULL, "+m" },
        { "public", "", SIX " 443", NULL, "+m" },
        { "public", "", A " 443/udp", NULL, "+m" },
        { "public", "", A " 0/icmp", NULL, "+m" },
        /* what public never is */
        { "public", "", "0.0.0.0 80", NULL, "-m" },
        { "public", "", "0.1.2.3 80", NULL, "-m" },
        { "public", "", "127.0.0.1 80", NULL, "-m" },
        { "public", "", "127.255.255.255 80", NULL, "-m" },
        { "public", "", "10.0.0.1 80", NULL, "-m" },
        { "public", "", "172.16.0.1 80", NULL, "-m" },
        { "public", "", "172.31.255.255 80", NULL, "-m" },
        { "public", "", "172.32.0.1 80", NULL, "+m" },
        { "public", "", "172.15.255.255 80", NULL, "+m" },
        { "public", "", "192.168.0.1 80", NULL, "-m" },
        { "public", "", "192.169.0.1 80", NULL, "+m" },
        { "public", "", "100.64.0.1 80", NULL, "-m" },
        { "public", "", "100.127.255.255 80", NULL, "-m" },
        { "public", "", "100.128.0.0 80", NULL, "+m" },
        { "public", "", "169.254.1.1 80", NULL, "-m" },
        { "public", "", "169.254.169.254 80", NULL, "-m" },
        { "public", "", "168.63.129.16 80", NULL, "-m" },
        { "public", "", "192.0.2.1 80", NULL, "-m" },
        { "public", "", "198.51.100.1 80", NULL, "-m" },
        { "public", "", "203.0.113.1 80", NULL, "-m" },
        { "public", "", "198.18.0.1 80", NULL, "-m" },
        { "public", "", "224.0.0.1 80", NULL, "-m" },
        { "public", "", "239.255.255.255 80", NULL, "-m" },
        { "public", "", "240.0.0.1 80", NULL, "-m" },
        { "public", "", "255.255.255.255 80", NULL, "-m" },
        { "public", "", ":: 80", NULL, "-m" },
        { "public", "", "::1 80", NULL, "-m" },
        { "public", "", "fe80::1 80", NULL, "-m" },
        { "public", "", "fd00::1 80", NULL, "-m" },
        { "public", "", "fc00::1 80", NULL, "-m" },
        { "public", "", "fec0::1 80", NULL, "-m" },
        { "public", "", "ff02::1 80", NULL, "-m" },
        { "public", "", "2001:db8::1 80", NULL, "-m" },
        { "public", "", "fd00:ec2::254 80", NULL, "-m" },
        { "public", "", "64:ff9b::10.0.0.1 80", NULL, "-m" },
        { "public", "", "64:ff9b::169.254.169.254 80", NULL, "-m" },
        { "public", "", "64:ff9b::" A " 80", NULL, "+m" },
        { "public", "", "64:ff9b:1::1 80", NULL, "-m" },
        { "public", "", "::ffff:" A " 80", NULL, "-m" },
        { "public", "", "::ffff:10.0.0.1 80", NULL, "-m" },
        { "public", "", "::ffff:169.254.169.254 80", NULL, "-m" },
        { "public", "", "::10.0.0.1 80", NULL, "-m" },
        { "public", "", "2002:a00:1::1 80", NULL, "-m" },
        { "public", "", "2002:a9fe:a9fe::1 80", NULL, "-m" },
        { "public", "", "2001:0:1:2:3:4:5:6 80", NULL, "-m" },
        { "public", "", "4000::1 80", NULL, "-m" },
        { "public", "", OWN " 22", NULL, "-m" },
        { "public", "", "93.184.216.99 22", NULL, "-m" },      /* the host's own, though public */
        { "public", "", "64:ff9b::5db8:d863 22", NULL, "-m" }, /* and in its IPv6 form */
        { "public", "", "::ffff:93.184.216.99 22", NULL, "-m" },
        { "public", "", "fe80::2 22", NULL, "-m" },
        { "public", "", "10.0.2.2 22", NULL, "-m" },
        { "public", "", "fd00:0:0:2::2 22", NULL, "-m" },
        /* rules by address */
        { "allow", "allow " A, A " 80", NULL, "+0" },
        { "allow", "allow " A, B " 80", NULL, "-m" },
        { "allow", "allow 93.184.216.0/24", B " 80", NULL, "+0" },
        { "allow", "allow 93.184.216.0/24", "93.184.217.0 80", NULL, "-m" },
        { "allow", "allow 93.184.216.34/31", B " 80", NULL, "+0" },
        { "allow", "allow 93.184.216.34/31", "93.184.216.36 80", NULL, "-m" },
        { "allow", "allow 2606:2800::/32", SIX " 80", NULL, "+0" },
        { "allow", "allow [2606:2800::]/32:443", SIX " 80", NULL, "-m" },
        { "allow", "allow [2606:2800::]/32:443", SIX " 443", NULL, "+0" },
        { "allow", "allow 0.0.0.0/0", A " 80", NULL, "+0" },
        { "allow", "allow 0.0.0.0/0", SIX " 80", NULL, "-m" },
        { "allow", "allow 0.0.0.0/0", "10.0.0.1 80", NULL, "-m" },
        { "allow", "allow 0.0.0.0/0", "169.254.169.254 80", NULL, "-m" },
        { "allow", "allow 0.0.0.0/0", "127.0.0.1 80", NULL, "-m" },
        { "allow", "allow 10.0.0.0/8", "10.200.0.1 80", NULL, "+0" },
        { "allow", "allow 10.0.0.0/7", "10.200.0.1 80", NULL, "-m" },
        { "allow", "allow 10.1.0.0/16", "10.1.0.1 80", NULL, "+0" },
        { "allow", "allow 10.1.0.0/16", "10.2.0.1 80", NULL, "-m" },
        { "allow", "allow 169.254.0.0/16", "169.254.1.1 80", NULL, "+0" },
        { "allow", "allow 169.254.0.0/16", "169.254.169.254 80", NULL, "-m" },
        { "allow", "allow 169.254.169.254", "169.254.169.254 80", NULL, "+0" },
        { "allow", "allow metadata", "169.254.169.254 80", NULL, "+0" },
        { "allow", "allow metadata", "fd00:ec2::254 80", NULL, "+0" },
        { "allow", "allow metadata", "64:ff9b::a9fe:a9fe 80", NULL, "+0" },
        { "allow", "allow metadata", "169.254.1.1 80", NULL, "-m" },
        { "allow", "allow ::/0", "::ffff:169.254.169.254 80", NULL, "-m" },
        { "allow", "allow ::ffff:0.0.0.0/96", "::ffff:169.254.169.254 80", NULL, "-m" },
        { "allow", "allow ::ffff:0.0.0.0/96", "::ffff:" A " 80", NULL, "+0" },
        { "allow", "allow 64:ff9b::/96", "64:ff9b::10.0.0.1 80", NULL, "-m" },
        { "allow", "allow " OWN, OWN " 80", NULL, "+0" },
        { "allow", "allow 192.168.77.0/24", OWN " 80", NULL, "-m" },
        { "allow", "allow 192.168.77.0/24", "192.168.77.2 80", NULL, "+0" },
        { "allow", "allow 93.184.216.0/24", "93.184.216.99 80", NULL, "-m" },
        { "allow", "allow 93.184.216.99", "93.184.216.99 80", NULL, "+0" },
        { "allow", "allow ::/0", "64:ff9b::5db8:d863 80", NULL, "-m" },
        { "allow", "allow ::ffff:0.0.0.0/96", "::ffff:93.184.216.99 80", NULL, "-m" },
        { "allow", "allow 127.0.0.0/8", "127.0.0.1 80", NULL, "+0" },
        { "allow", "allow 126.0.0.0/7", "127.0.0.1 80", NULL, "-m" },
        { "allow", "allow 168.0.0.0/8", "168.63.129.16 80", NULL, "-m" },
        { "allow", "allow fc00::/7", "fd00:ec2::254 80", NULL, "-m" },
        { "allow", "allow fc00::/7", "fd00:ec2::253 80", NULL, "-m" },
        { "allow", "allow fc00::/7", "fd12::1 80", NULL, "+0" },
        { "allow", "allow fc00::/7", "fd00:0:0:2::2 80", NULL, "-m" },
        { "allow", "allow *", "64:ff9b::169.254.169.254 80", NULL, "-m" },
        { "allow", "allow *", "2002:7f00:1::1 80", NULL, "-m" },
        { "allow", "allow 2002::/16", "2002:a00:1::1 80", NULL, "-m" },
        { "allow", "allow 2001::/32", "2001::f5ff:fffe 80", NULL, "-m" }, /* Teredo of 10.0.0.1 */
        { "none", "allow *", A " 80", NULL, "-m" },
        { "deny", "allow *", A " 80", NULL, "-m" },
        { "allow", "allow host", "10.0.2.2 8080", NULL, "+0" },
        { "allow", "allow host", "fd00:0:0:2::2 8080", NULL, "+0" },
        { "allow", "allow host:8080", "10.0.2.2 8081", NULL, "-m" },
        { "allow", "allow host", OWN " 8080", NULL, "-m" },
        { "allow", "allow 10.0.0.0/8", "10.0.2.2 80", NULL, "-m" }, /* the host is called host */
        { "allow", "allow *", A " 80", NULL, "+0" },
        { "allow", "allow *", "10.0.0.1 80", NULL, "-m" },
        { "allow", "allow *", "10.0.2.2 80", NULL, "-m" },
        { "allow", "allow *", "93.184.216.99 80", NULL, "-m" },
        { "allow", "allow *:443/tcp", A " 443/udp", NULL, "-m" },
        /* denied ranges reach all forms */
        { "public", "deny 93.184.216.0/24", A " 80", NULL, "-0" },
        { "public", "deny 93.184.216.0/24", "64:ff9b::" A " 80", NULL, "-0" },
        { "public", "deny 93.184.216.0/24; allow ::/0", "64:ff9b::" A " 80", NULL, "-0" },
        { "allow", "deny 10.0.0.0/8; allow ::ffff:10.0.0.1", "::ffff:10.0.0.1 80", NULL, "-0" },
        { "allow", "deny 10.0.0.0/8; allow 2002::/16", "2002:a00:1::1 80", NULL, "-0" },
        { "public", "deny 0.0.0.0/0", A " 80", NULL, "-0" },
        { "public", "deny 0.0.0.0/0", SIX " 80", NULL, "+m" },
        { "public", "deny *", A " 80", NULL, "-0" },
        /* the first one decides */
        { "public", "allow " A "; deny 93.184.216.0/24", A " 80", NULL, "+0" },
        { "public", "allow " A "; deny 93.184.216.0/24", B " 80", NULL, "-1" },
        { "public", "deny 93.184.216.0/24; allow " A, A " 80", NULL, "-0" },
        { "allow", "deny 10.1.2.3; allow 10.1.0.0/16", "10.1.2.3 80", NULL, "-0" },
        { "allow", "deny 10.1.2.3; allow 10.1.0.0/16", "10.1.2.4 80", NULL, "+1" },
        /* ports and protocols */
        { "allow", "allow " A ":80", A " 79", NULL, "-m" },
        { "allow", "allow " A ":80", A " 81", NULL, "-m" },
        { "allow", "allow " A ":80,443,8000-8010", A " 8000", NULL, "+0" },
        { "allow", "allow " A ":80,443,8000-8010", A " 8010", NULL, "+0" },
        { "allow", "allow " A ":80,443,8000-8010", A " 8011", NULL, "-m" },
        { "allow", "allow " A ":1-65535", A " 65535", NULL, "+0" },
        { "allow", "allow " A ":53/udp", A " 53", NULL, "-m" },
        { "allow", "allow " A ":53/udp", A " 53/udp", NULL, "+0" },
        { "allow", "allow " A ":53", A " 53/udp", NULL, "+0" },
        { "allow", "allow " A ":53", A " 0/icmp", NULL, "-m" },
        { "allow", "allow " A, A " 0/icmp", NULL, "+0" },
        { "allow", "allow " A "/icmp", A " 0/icmp", NULL, "+0" },
        { "allow", "allow " A "/icmp", A " 80", NULL, "-m" },
        { "public", "deny " A ":53", A " 0/icmp", NULL, "+m" },
        /* names: only while pinned, and then looked at */
        { "allow", "allow a.example.org", A " 443", "a.example.org", "?0" },
        { "allow", "allow a.example.org", A " 443", NULL, "-m" },
        { "allow", "allow a.example.org", A " 443", "b.example.org", "-m" },
        { "allow", "allow a.example.org", A " 443", "b.example.org a.example.org", "?0" },
        { "allow", "allow a.example.org:80", A " 443", "a.example.org", "-m" },
        { "allow", "allow *.example.org", A " 443", "a.example.org", "?0" },
        { "allow", "allow *.example.org", A " 443", "a.b.example.org", "?0" },
        { "allow", "allow *.example.org", A " 443", "example.org", "-m" },
        { "allow", "allow *.example.org", A " 443", "badexample.org", "-m" },
        { "allow", "allow *.org", A " 443", "org", "-m" },
        { "allow", "allow a.example.org", "10.0.0.1 443", "a.example.org", "-m" },
        { "allow", "allow a.example.org", "169.254.169.254 80", "a.example.org", "-m" },
        { "allow", "allow a.example.org", "93.184.216.99 80", "a.example.org", "-m" },
        { "allow", "allow a.example.org", A " 53/udp", "a.example.org", "+0" },
        { "allow", "allow a.example.org", A " 443/udp", "a.example.org", "-0" }, /* QUIC */
        { "allow", "allow a.example.org", A " 0/icmp", "a.example.org", "+0" },
        { "allow", "allow " A "; allow b.example.org", A " 443", NULL, "+0" },
        { "public", "deny a.example.org", A " 443", "a.example.org", "-0" },
        { "public", "deny a.example.org", A " 443", "a.example.org b.example.org", "?m" },
        { "public", "deny a.example.org", A " 443", NULL, "?m" },
        { "public", "deny a.example.org:80", A " 443", NULL, "+m" },
        { "public", "deny a.example.org", A " 53/udp", "a.example.org b.example.org", "-0" },
        { "public", "deny a.example.org", A " 443/udp", NULL, "-m" }, /* QUIC may be for it */
        { "public", "deny a.example.org/tcp", A " 443/udp", NULL, "+m" },
        { "allow", "deny a.example.org; allow *.example.org", A " 443", "a.example.org b.example.org", "?1" },
};

START_TEST(test_decide)
{
        struct policy_names names;
        struct policy_flow flow = flow_of(decisions[_i].to, decisions[_i].names, &names);
        char what[256];

        snprintf(what, sizeof(what), "mode %s, %s: %s (%s)", decisions[_i].mode, decisions[_i].rules,
                 decisions[_i].to, decisions[_i].names ? decisions[_i].names : "");
        check(what, decisions[_i].expect,
              policy_decide(make(decisions[_i].mode, decisions[_i].rules), host(), &flow, &names));
}
END_TEST

#define OTHER  POLICY_SEEN_OTHER
#define NAME   POLICY_SEEN_NAME
#define HIDDEN POLICY_SEEN_NO_NAME
static const struct {
        const char *mode, *rules, *to, *names;
        enum policy_seen seen;
        const char *name, *expect;
} seen[] = {
        { "allow", "allow a.example.org", A " 443", "a.example.org", NAME, "a.example.org", "+0" },
        { "allow", "allow a.example.org", A " 443", "a.example.org", NAME, "b.example.org", "-m" },
        { "allow", "allow *.example.org", A " 443", "a.example.org", NAME, "b.example.org",
          "-m" }, /* not pinned */
        { "allow", "allow a.example.org", A " 443", "a.example.org", HIDDEN, NULL, "-m" },
        { "allow", "allow a.example.org", A " 22", "a.example.org", OTHER, NULL, "+0" },
        { "allow", "allow a.example.org", A " 80", "a.example.org", NAME, A, "-m" },
        /* what is neither TLS nor HTTP shows no name: each one that is pinned may be meant */
        { "allow", "deny a.example.org:22; allow *.example.org", A " 22", "a.example.org b.example.org",
          OTHER, NULL, "-0" },
        { "allow", "deny a.example.org:22; allow *.example.org", A " 22", "b.example.org", OTHER, NULL,
          "+1" },
        { "public", "deny a.example.org", A " 22", "a.example.org b.example.org", OTHER, NULL, "-0" },
        { "public", "deny a.example.org", A " 22", NULL, OTHER, NULL,
          "+m" }, /* nothing tells that it is it */
        { "allow", "allow a.example.org", "10.0.0.1 443", "a.example.org", NAME, "a.example.org", "-m" },
        { "allow", "allow a.example.org", "93.184.216.99 443", "a.example.org", NAME, "a.example.org", "-m" },
        { "allow", "allow a.example.org:443", A " 80", "a.example.org", NAME, "a.example.org", "-m" },
        { "allow", "allow example.org", A " 443", "example.org", NAME, "badexample.org", "-m" },
        { "allow", "allow *.org", A " 443", "org", NAME, "org", "-m" },
        { "deny", "allow a.example.org", A " 443", "a.example.org", NAME, "a.example.org", "-m" },
        { "public", "", A " 443", NULL, HIDDEN, NULL, "+m" },
        { "allow", "allow a.example.org; allow " A, A " 80", "a.example.org", NAME, A, "+1" },
        { "allow", "allow a.example.org; allow " A, A " 80", "a.example.org", NAME, "x.example.com", "+1" },
        { "allow", "allow a.example.org; allow *", A " 443", "a.example.org", HIDDEN, NULL, "+1" },
        { "public", "deny a.example.org", A " 443", "a.example.org b.example.org", NAME, "a.example.org",
          "-0" },
        { "public", "deny a.example.org", A " 443", "a.example.org b.example.org", NAME, "b.example.org",
          "+m" },
        { "public", "deny a.example.org", A " 443", NULL, NAME, "a.example.org",
          "-0" }, /* not pinned: all the same */
        { "public", "deny a.example.org", A " 443", NULL, NAME, "c.example.org", "+m" },
        { "public", "deny a.example.org", A " 443", NULL, HIDDEN, NULL, "-0" },
        { "public", "deny *.example.org", A " 443", NULL, NAME, "a.example.org", "-0" },
        { "public", "deny *.example.org", A " 443", NULL, NAME, "example.org", "+m" },
        { "public", "deny a.example.org", A " 80", NULL, NAME, B,
          "-0" }, /* says one address, goes to another */
        { "public", "deny a.example.org", A " 80", NULL, NAME, A, "+m" },
        { "allow", "deny a.example.org; allow *.example.org", A " 443", "a.example.org b.example.org", NAME,
          "b.example.org", "+1" },
        { "allow", "deny a.example.org; allow *.example.org", A " 443", "a.example.org b.example.org", NAME,
          "a.example.org", "-0" },
};

START_TEST(test_decide_seen)
{
        struct policy_names names;
        struct policy_flow flow = flow_of(seen[_i].to, seen[_i].names, &names);
        struct policy_decision d = policy_decide_seen(make(seen[_i].mode, seen[_i].rules), host(), &flow,
                                                      &names, seen[_i].seen, seen[_i].name);
        char what[256];

        snprintf(what, sizeof(what), "mode %s, %s: %s (%s), seen %s", seen[_i].mode, seen[_i].rules,
                 seen[_i].to, seen[_i].names ? seen[_i].names : "", seen[_i].name ? seen[_i].name : "none");
        ck_assert_msg(!d.inspect, "%s", what);
        check(what, seen[_i].expect, d);
}
END_TEST

/* A name is asked for, and the address of its answer kept, or not. */
static const struct {
        const char *mode, *rules, *name, *expect, *address;
        bool keeps;
} questions[] = {
        { "deny", "", "a.example.org", "-m", A, false },
        { "none", "allow *", "a.example.org", "-m", A, false },
        { "deny", "allow *", "a.example.org", "-m", A, false },
        { "public", "", "a.example.org", "+m", "64:ff9b::10.0.0.1", false },
        { "public", "", "a.example.org", "+m", "64:ff9b::5db8:d863", false }, /* the host's own */
        { "public", "", "a.example.org", "+m", "0.0.0.0", false },
        { "public", "", "a.example.org", "+m", "fe80::2", false },
        { "allow", "allow *.org", "org", "-m", A, false },
        { "allow", "allow example.org", "example.org.example.com", "-m", A, false },
        { "allow", "allow xn--bcher-kva.example", "xn--bcher-kva.example", "+0", A, true },
        { "public", "deny *", "a.example.org", "-0", A, false },
        { "public", "deny *:25", "a.example.org", "+m", A, true },
        { "allow", "", "a.example.org", "-m", A, false },
        { "public", "", "a.example.org", "+m", A, true },
        { "public", "", "a.example.org", "+m", "10.0.0.1", false }, /* rebinding */
        { "public", "", "a.example.org", "+m", "127.0.0.1", false },
        { "public", "", "a.example.org", "+m", "169.254.169.254", false },
        { "public", "", "a.example.org", "+m", "::ffff:10.0.0.1", false },
        { "public", "", "a.example.org", "+m", "::1", false },
        { "public", "", "a.example.org", "+m", "10.0.2.2", false },
        { "public", "", "a.example.org", "+m", OWN, false },
        { "public", "deny a.example.org", "a.example.org", "-0", A, false },
        { "public", "deny a.example.org:80", "a.example.org", "+m", A, true },
        { "public", "deny 93.184.216.0/24", "a.example.org", "+m", A, false },
        { "public", "deny 93.184.216.0/24:80", "a.example.org", "+m", A, true },
        { "allow", "allow a.example.org:443", "a.example.org", "+0", A, true },
        { "allow", "allow a.example.org:443", "b.example.org", "-m", A, false },
        { "allow", "allow a.example.org:443", "a.example.org", "+0", "10.0.0.1", false },
        { "allow", "allow a.example.org", "a.example.org", "+0", "93.184.216.99", false },
        { "allow", "allow *.example.org", "tunnel.of.data.example.org", "+0", A, true },
        { "allow", "allow *.example.org", "example.org", "-m", A, false },
        { "allow", "deny a.example.org; allow *.example.org", "a.example.org", "-0", A, false },
        { "allow", "allow a.example.org; allow 10.1.0.0/16", "a.example.org", "+0", "10.1.0.1", true },
        { "allow", "allow a.example.org; allow 10.1.0.0/16", "a.example.org", "+0", "10.2.0.1", false },
        { "allow", "allow 10.1.0.0/16", "x.example.com", "+m", "10.1.0.1", true },
        { "allow", "allow 10.1.0.0/16", "x.example.com", "+m", A, false },
        { "allow", "allow metadata", "x.example.com", "+m", "169.254.169.254", true },
        { "allow", "allow host", "x.example.com", "-m", A, false },
        { "allow", "allow *", "x.example.com", "+0", A, true },
        { "allow", "allow *", "x.example.com", "+0", "10.1.0.1", false },
};

START_TEST(test_question)
{
        const struct policy *p = make(questions[_i].mode, questions[_i].rules);
        struct policy_decision d = policy_question(p, questions[_i].name);
        struct address address;
        char what[256];

        snprintf(what, sizeof(what), "mode %s, %s: %s", questions[_i].mode, questions[_i].rules,
                 questions[_i].name);
        check(what, questions[_i].expect, d);
        ck_assert(address_from_text(questions[_i].address, &address));
        ck_assert_msg(policy_keeps(p, host(), &d, &address) == questions[_i].keeps, "%s: %s", what,
                      questions[_i].address);
}
END_TEST

static const struct {
        const char *rule, *says; /* NULL: it is right */
} rules[] = {
        { "allow example.org", NULL },
        { "allow  Example.ORG.:80/tcp", NULL },
        { "deny *.example.org:1-2,4", NULL },
        { "allow xn--bcher-kva.example:443", NULL },
        { "allow _dmarc.example.org", NULL },
        { "allow 10.0.0.0/8", NULL },
        { "allow ::1", NULL },
        { "allow [::1]", NULL },
        { "allow [::1]:80", NULL },
        { "allow [fd00::]/8:80/udp", NULL },
        { "allow fd00::/8/udp", NULL },
        { "allow host:1-65535", NULL },
        { "allow 1.2.3.4:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", NULL },
        { "allow 1.2.3.4:1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "at most 16" },
        { "", "begins with allow or deny" },
        { "permit example.org", "begins with allow or deny" },
        { "allow", "what?" },
        { "allow ", "what?" },
        { "allow *.", "a name is missing" },
        { "allow a.*.org", "* stands alone" },
        { "allow *example.org", "* stands alone" },
        { "allow https://example.org", "without https://" },
        { "allow exa mple.org", "a name has letters" },
        { "allow example..org", "between two dots" },
        { "allow .example.org", "between two dots" },
        { "allow b\xc3\xbc"
          "cher.example",
          "xn--" },
        { "allow 1.2.3", "neither a name nor an address" },
        { "allow 1.2.3.256", "neither a name nor an address" },
        { "allow 0x7f000001", "neither a name nor an address" },
        { "allow 017700000001", "neither a name nor an address" },
        { "allow 10.0.0.0/33", "/0 to /32" },
        { "allow ::/129", "/0 to /128" },
        { "allow 10.0.0.0/", "/0 to /32" },
        { "allow 10.1.2.3/16", "did you mean 10.1.0.0/16?" },
        { "allow fd00::1/8", "did you mean fd00::/8?" },
        { "allow example.org/24", "is no address" },
        { "allow example.org:0", "is no port" },
        { "allow example.org:65536", "is no port" },
        { "allow example.org:", "the port is missing" },
        { "allow example.org:http", "is no port" },
        { "allow example.org:80-", "its end is missing" },
        { "allow example.org:90-80", "the smaller one comes first" },
        { "allow example.org:80,", "is no port" },
        { "allow example.org:80/sctp", "tcp, udp or icmp" },
        { "allow example.org:80/icmp", "icmp has no ports" },
        { "allow [::1", "the ] is missing" },
        { "allow [::1]80", "behind the ]" },
        { "allow [::1]:", "the port is missing" },
        { "allow [example.org]:80", "is no IPv6 address" },
        { "allow 63.63.63.63.63", "neither a name nor an address" },
};

START_TEST(test_rules)
{
        struct policy_rule rule;
        bool good = policy_parse_rule(rules[_i].rule, strlen(rules[_i].rule), &rule, &mistake);

        ck_assert_msg(good == !rules[_i].says, "%s: %s", rules[_i].rule, mistake.text);
        if (rules[_i].says)
                ck_assert_msg(strstr(mistake.text, rules[_i].says), "%s: %s", rules[_i].rule, mistake.text);
}
END_TEST

/* A rule that never matches; NULL: all may. */
static const struct {
        const char *mode, *rules;
        unsigned rule;
} covered[] = {
        { "allow", "allow a.example.org; deny a.example.org", 2 },
        { "allow", "allow a.example.org:80; deny a.example.org", 0 },
        { "allow", "allow a.example.org:80; deny a.example.org:80", 2 },
        { "allow", "allow a.example.org:70-90; allow a.example.org:80,85", 2 },
        { "allow", "allow a.example.org:70-90; allow a.example.org:80,91", 0 },
        { "allow", "allow a.example.org/tcp; allow a.example.org/udp", 0 },
        { "allow", "allow a.example.org; allow a.example.org/udp", 2 },
        { "allow", "allow *.example.org; deny a.example.org", 2 },
        { "allow", "deny a.example.org; allow *.example.org", 0 },
        { "allow", "allow *.example.org; allow *.b.example.org", 2 },
        { "allow", "allow *.example.org; allow example.org", 0 },
        { "allow", "allow *; allow example.org", 2 },
        { "allow", "allow *; allow 93.184.216.0/24", 2 },
        { "allow", "allow *; allow 10.0.0.0/8", 0 },
        { "allow", "allow 10.0.0.0/8; deny 10.1.0.0/16", 2 },
        { "allow", "deny 10.1.0.0/16; allow 10.0.0.0/8", 0 },
        { "allow", "allow 0.0.0.0/0; allow 10.0.0.0/8", 0 },
        { "allow", "deny 0.0.0.0/0; allow 10.0.0.0/8", 2 },
        { "allow", "allow host; allow host:80", 2 },
        /* it may be the host's own, which no range names */
        { "allow", "allow 192.168.0.0/16; allow 192.168.1.1", 0 },
        { "allow", "allow *; allow 93.184.216.99", 0 },
        { "allow", "allow 192.168.1.1; allow 192.168.1.1", 2 },
        { "allow", "allow 192.168.0.0/16; deny 192.168.1.1", 2 },
        { "allow", "allow 169.254.0.0/16; allow 169.254.169.254", 0 },
        { "deny", "allow a.example.org", 1 },
        { "none", "deny a.example.org", 1 },
        { "public", "deny a.example.org; deny b.example.org; deny a.example.org", 3 },
};

START_TEST(test_contradictions)
{
        const struct policy *p = make(covered[_i].mode, covered[_i].rules);
        bool good = policy_check(p, &mistake);

        ck_assert_msg(good == !covered[_i].rule && (good || mistake.line == covered[_i].rule), "%s: %u: %s",
                      covered[_i].rules, mistake.line, mistake.text);
}
END_TEST

static const char whole[] = "# what it may\n"
                            "mode = \"allow\"\r\n"
                            "rules = [ # some\n"
                            "  \"allow example.org:443\", 'deny 10.0.0.0/8',\n"
                            "\n"
                            "  \"allow [2001:db8::]/32:53/udp\" # the last one\n"
                            "]\n"
                            "bytes_per_second = \"10M\"\n"
                            "connections_per_second = 50\n"
                            "connections = 512";

START_TEST(test_file)
{
        ck_assert_msg(policy_parse(whole, strlen(whole), &policy, &mistake), "line %u: %s", mistake.line,
                      mistake.text);
        ck_assert(policy.mode == POLICY_ALLOW && policy.nr_rules == 3);
        ck_assert(policy.bytes_per_second == 10 << 20 && policy.connections_per_second == 50 &&
                  policy.connections == 512);
        size_t n = policy_write(&policy, text, sizeof(text));

        ck_assert_uint_eq(n, strlen(text));
        ck_assert_msg(policy_parse(text, n, &again, &mistake), "%s", mistake.text);
        ck_assert_int_eq(memcmp(&policy, &again, sizeof(policy)), 0);
        ck_assert_uint_eq(policy_write(&policy, text, n), 0); /* one byte too few */
        ck_assert(policy_parse("mode='deny'", 11, &policy, &mistake));
        ck_assert_uint_eq(policy.connections, POLICY_CONNECTIONS_DEFAULT);
        ck_assert(!policy_parse("mode=\"deny\\\0\"", 13, &policy, &mistake)); /* no NUL hides in a text */
}
END_TEST

static const struct {
        const char *text;
        unsigned line;
        const char *says;
} files[] = {
        { "", 0, "mode is missing" },
        { "mode = allow\n", 1, "mode = " },
        { "mode = \"alow\"\n", 1, "mode 'alow'" },
        { "\n\nmode = \"allow\"\nmode = \"allow\"\n", 4, "twice" },
        { "mode = \"allow\" x\n", 1, "behind the value" },
        { "mode \"allow\"\n", 1, "key = " },
        { "mood = \"allow\"\n", 1, "'mood' is not known" },
        { "[net]\n", 1, "key = " },
        { "mode = \"allow\"\nrules = \"allow a\"\n", 2, "is a list" },
        { "mode = \"allow\"\nrules = [\n\"allow a\"\n", 4, "is a comma" },
        { "mode = \"allow\"\nrules = [\n\"allow a\",\n", 4, "] of the rules is missing" },
        { "mode = \"allow\"\nrules = [ 5 ]\n", 2, "text in quotes" },
        { "mode = \"allow\"\nrules = [\n \"allow a.example\",\n \"allow *.\" ]\n", 4, "a name is missing" },
        { "mode = \"allow\"\nrules = [\n \"allow a.example\",\n \"deny a.example\" ]\n", 4,
          "can never match" },
        { "mode = \"deny\"\nrules = [ \"allow a.example\" ]\n", 2, "has no use for rules" },
        { "mode = \"allow\"\nconnections = 0\n", 2, "from 1 to 65536" },
        { "mode = \"allow\"\nconnections = 65537\n", 2, "from 1 to 65536" },
        { "mode = \"allow\"\nconnections = \"5\"\n", 2, "a number" },
        { "mode = \"allow\"\nconnections_per_second = 1000001\n", 2, "1000000" },
        { "mode = \"allow\"\nbytes_per_second = \"x\"\n", 2, "a size" },
};

START_TEST(test_bad_files)
{
        ck_assert(!policy_parse(files[_i].text, strlen(files[_i].text), &policy, &mistake));
        ck_assert_msg(mistake.line == files[_i].line && strstr(mistake.text, files[_i].says),
                      "%s: line %u: %s", files[_i].text, mistake.line, mistake.text);
}
END_TEST

/* As many rules as there may be, as long as they may be: written, and read again; one more is refused. */
START_TEST(test_limits)
{
        char name[NAME_LEN_MAX + 4], rule[POLICY_RULE_TEXT_MAX];

        policy_init(&policy, POLICY_ALLOW);
        for (unsigned i = 0; i <= POLICY_RULES_MAX; i++) {
                memset(name, 'n', sizeof(name));
                for (unsigned at = 50; at < NAME_LEN_MAX - 3; at += 50)
                        name[at] = '.';
                snprintf(name, 9, "label%03u", i);
                name[8] = 'n';
                name[NAME_LEN_MAX] = 0;
                snprintf(rule, sizeof(rule), "*.%s:10001-20001,20003-20005", name + 0);
                ck_assert_msg(policy_add(&policy, true, rule, &mistake) == (i < POLICY_RULES_MAX), "%u: %s",
                              i, mistake.text);
        }
        ck_assert_ptr_nonnull(strstr(mistake.text, "more than 256 rules"));
        ck_assert_msg(policy_check(&policy, &mistake), "%s", mistake.text);
        size_t n = policy_write(&policy, text, sizeof(text));

        ck_assert_uint_gt(n, 0);
        ck_assert_msg(policy_parse(text, n, &again, &mistake), "line %u: %s", mistake.line, mistake.text);
        ck_assert_int_eq(memcmp(&policy, &again, sizeof(policy)), 0);
}
END_TEST

static const struct {
        const char *mode, *rules, *target;
        bool good;
        const char *says[3];
} explained[] = {
        { "allow",
          "allow a.example.org:443",
          "https://a.example.org/path?x=1",
          true,
          { "resolver:   allow (allow a.example.org:443)", "connection: allow (allow a.example.org:443)",
            "must be a.example.org too" } },
        { "allow",
          "allow a.example.org:443",
          "http://a.example.org",
          true,
          { "resolver:   allow", "connection: deny (mode allow): no rule allows it" } },
        { "allow",
          "allow a.example.org:443",
          "https://b.example.org",
          true,
          { "resolver:   deny (mode allow): no rule allows this name" } },
        { "public",
          "",
          "https://user:pw@a.example.org:8443/",
          true,
          { "port 8443, tcp", "connection: allow (mode public)" } },
        { "public",
          "",
          "10.0.0.1:80",
          true,
          { "address 10.0.0.1, port 80, tcp", "deny (mode public): private" } },
        { "public", "", "[2606:2800:220:1::34]:443/udp", true, { "port 443, udp", "allow (mode public)" } },
        { "public", "", "169.254.169.254:80", true, { "metadata" } },
        { "public", "", "host:80", true, { "deny (mode public): the host itself" } },
        { "public", "", "example.org/icmp", true, { "name example.org, icmp" } },
        { "public",
          "deny example.org",
          "93.184.216.34:443",
          true,
          { "allow (mode public)", "rules of names count too" } },
        { "public", "", "example.org", false, { "which port?" } },
        { "public", "", "gopher://example.org", false, { "unknown scheme" } },
        { "public", "", "example.org:99999", false, { "1 to 65535" } },
        { "public", "", "exa mple:80", false, { "neither a name nor an address" } },
};

START_TEST(test_explain)
{
        char words[2048];
        bool good = policy_explain(make(explained[_i].mode, explained[_i].rules), host(),
                                   explained[_i].target, words, sizeof(words));

        ck_assert_msg(good == explained[_i].good, "%s: %s", explained[_i].target, words);
        for (unsigned i = 0; i < 3 && explained[_i].says[i]; i++)
                ck_assert_msg(strstr(words, explained[_i].says[i]), "%s: '%s' is not in: %s",
                              explained[_i].target, explained[_i].says[i], words);
}
END_TEST

int main(void)
{
        const struct run_test tests[] = { { test_decide, (int)array_size(decisions) },
                                          { test_decide_seen, (int)array_size(seen) },
                                          { test_question, (int)array_size(questions) },
                                          { test_rules, (int)array_size(rules) },
                                          { test_contradictions, (int)array_size(covered) },
                                          { test_file, 1 },
                                          { test_bad_files, (int)array_size(files) },
                                          { test_limits, 1 },
                                          { test_explain, (int)array_size(explained) } };

        return run_loop_tests("policy", tests, array_size(tests));
}
