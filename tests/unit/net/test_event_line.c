/*
 * Events as lines of JSON.
 */
#include <stdio.h>
#include <string.h>

#include "net/event_line.h"
#include "net/policy_parse.h"
#include "tests/unit/run.h"

static struct policy policy;

static void make_policy(const char *target)
{
        struct policy_mistake mistake;

        policy_init(&policy, POLICY_ALLOW);
        ck_assert_msg(policy_add(&policy, true, target, &mistake), "%s", mistake.text);
}

START_TEST(test_line)
{
        const struct address ip4 = address_ip4((const uint8_t[]){ 198, 51, 100, 7 });
        const struct address ip6 = address_ip6((const uint8_t[16]){ 0x20, 1, 0x0d, 0xb8, [15] = 1 });
        const struct policy_decision allow = { .allow = true, .rule = 0, .why = "a \"rule\"" };
        const struct policy_decision deny = { .rule = POLICY_BY_MODE, .why = "no rule matches" };
        const struct {
                struct event_line event;
                const char *line;
        } rows[] = {
                { { 0, "tcp", "example.com", &ip4, 443, &allow },
                  "{\"time\":\"1970-01-01T00:00:00.000Z\",\"proto\":\"tcp\",\"name\":\"example.com\","
                  "\"address\":\"198.51.100.7\",\"port\":443,\"rule\":\"allow example.com:443\","
                  "\"verdict\":\"allow\",\"why\":\"a \\\"rule\\\"\"}\n" },
                { { 1769860800123999999, "dns", "example.org", NULL, 0, &deny },
                  "{\"time\":\"2026-01-31T12:00:00.123Z\",\"proto\":\"dns\",\"name\":\"example.org\","
                  "\"address\":null,\"port\":null,\"rule\":\"mode allow\","
                  "\"verdict\":\"deny\",\"why\":\"no rule matches\"}\n" },
                { { UINT64_MAX, "udp", NULL, &ip6, 65535, &deny },
                  "{\"time\":\"2554-07-21T23:34:33.709Z\",\"proto\":\"udp\",\"name\":null,"
                  "\"address\":\"2001:db8::1\",\"port\":65535,\"rule\":\"mode allow\","
                  "\"verdict\":\"deny\",\"why\":\"no rule matches\"}\n" },
                { { 0, "tcp", "", &ip4, 1, &deny },
                  "{\"time\":\"1970-01-01T00:00:00.000Z\",\"proto\":\"tcp\",\"name\":null,"
                  "\"address\":\"198.51.100.7\",\"port\":1,\"rule\":\"mode allow\","
                  "\"verdict\":\"deny\",\"why\":\"no rule matches\"}\n" },
                { { 0, "tcp", "\"\\\n\x1f\x7f\xff/", NULL, 0, &deny },
                  "{\"time\":\"1970-01-01T00:00:00.000Z\",\"proto\":\"tcp\","
                  "\"name\":\"\\\"\\\\\\u000a\\u001f\\u007f\\u00ff/\","
                  "\"address\":null,\"port\":null,\"rule\":\"mode allow\","
                  "\"verdict\":\"deny\",\"why\":\"no rule matches\"}\n" },
        };

        make_policy("example.com:443");
        for (size_t i = 0; i < array_size(rows); i++) {
                char line[EVENT_LINE_MAX];
                size_t n = event_line(&policy, &rows[i].event, line);

                ck_assert_str_eq(line, rows[i].line);
                ck_assert_uint_eq(n, strlen(line));
        }
}
END_TEST

/* The longest rule whole; of the name and the words what has room. */
START_TEST(test_longest)
{
        struct address a = address_ip6((const uint8_t[16]){ 0x20, 0x01, 0x0d, 0xb8, 0x11, 0x11, 0x11, 0x11,
                                                            0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11 });
        char target[500], name[NAME_LEN_MAX + 2], why[2000], rule[POLICY_RULE_TEXT_MAX];
        char line[EVENT_LINE_MAX], expected[EVENT_LINE_MAX + 100];
        const struct policy_decision d = { .allow = true, .why = why };
        size_t n = NAME_LEN_MAX;

        for (size_t i = 0; i < n; i++)
                target[i] = i % 64 == 63 ? '.' : 'x';
        target[n++] = ':';
        for (unsigned i = 0; i < POLICY_PORTS_MAX; i++)
                n += (size_t)sprintf(target + n, "%s%u-%u", i ? "," : "", 10000 + 3 * i, 10001 + 3 * i);
        strcpy(target + n, "/tcp");
        make_policy(target);
        policy_rule_text(&policy, 0, rule);
        ck_assert_str_eq(rule + strlen("allow "), target);
        memset(why, '"', sizeof(why) - 1);
        why[sizeof(why) - 1] = 0;
        for (size_t len = NAME_LEN_MAX; len <= NAME_LEN_MAX + 1; len++) {
                size_t at = 0;

                memset(name, '\xff', len);
                name[len] = 0;
                n = event_line(&policy, &(struct event_line){ 0, "icmp", name, &a, 65535, &d }, line);
                ck_assert_uint_eq(n, strlen(line));
                ck_assert_uint_lt(n, sizeof(line));
                ck_assert_ptr_nonnull(strstr(line, rule));
                for (size_t i = 0; i < NAME_LEN_MAX; i++)
                        at += (size_t)sprintf(expected + at, "\\u00ff");
                strcpy(expected + at, "\",\"address\"");
                ck_assert_ptr_nonnull(strstr(line, expected));
                ck_assert_str_eq(line + n - 5, "\\\"\"}\n");
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_line, test_longest };

        return run_tests("event_line", tests, array_size(tests));
}
