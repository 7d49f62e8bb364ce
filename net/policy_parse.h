#pragma once
/*
 * The text of a policy: a subset of TOML in a file, single rules on a command line. Pure.
 *
 *   mode = "allow"              "none", "deny", "allow", "public"
 *   rules = [ "allow example.com:443", "deny 192.0.2.0/24", … ]
 *   bytes_per_second = "10M"
 *   connections_per_second = 50
 *   connections = 512
 *
 * RULE = (allow|deny) TARGET[:PORTS][/tcp|/udp|/icmp]
 * TARGET = name | *.name | * | address | CIDR | host | metadata; around IPv6, [ ] when ports follow
 * PORTS = a[-b][,c[-d]]…
 */
#include "net/policy.h"

#define POLICY_TEXT_MAX    (128u << 10) /* bytes of a file: the longest rules all fit */
#define POLICY_MISTAKE_MAX 256u

/* A person's mistake in one line of words. */
struct policy_mistake {
        unsigned line; /* of the file, from 1; 0: of none in particular */
        char text[POLICY_MISTAKE_MAX];
};

/* Each returns true, or false and @mistake; then *ret is not to be used. */

/* A file, with policy_check(). */
bool policy_parse(const char *text, size_t len, struct policy *ret, struct policy_mistake *mistake);
/* @text: with its verb, "allow example.com:443" */
bool policy_parse_rule(const char *text, size_t len, struct policy_rule *ret, struct policy_mistake *mistake);
bool policy_parse_mode(const char *text, enum policy_mode *ret, struct policy_mistake *mistake);

/* For the command line: --deny X is policy_add(p, false, X, …), in the order given; policy_check() at the end. */
void policy_init(struct policy *p, enum policy_mode mode);
bool policy_add(struct policy *p, bool allow, const char *target, struct policy_mistake *mistake);

/*
 * policy_check() - contradictions: a rule that can never match, for an earlier one covers it; rules that the mode has
 * no use for. @mistake->line is the number of the rule, from 1.
 */
bool policy_check(const struct policy *p, struct policy_mistake *mistake);

/*
 * policy_write() - the canonical text; policy_parse() makes the same policy of it
 * Return: its length without the NUL, or 0 if it does not fit
 */
size_t policy_write(const struct policy *p, char *ret, size_t size);
