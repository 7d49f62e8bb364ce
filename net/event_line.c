/*
 * A decision as a line of JSON.
 * Input:  names of DNS, TLS and HTTP (hostile bytes), rules of a person.
 * Runs:   any thread; pure.
 * Limits: EVENT_LINE_MAX; a name is cut after NAME_LEN_MAX bytes.
 */
#include "net/event_line.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "vmm/base/assert.h"

#define NS_PER_S   1000000000ull
#define NS_PER_MS  1000000u
#define ESCAPE_LEN 6u /* \u00ff */
#define WORDS_MAX  512u
#define FIXED_MAX  256u /* the keys, time, proto, address, port and verdict */

static_assert(POLICY_RULE_TEXT_MAX + NAME_LEN_MAX * ESCAPE_LEN + WORDS_MAX + FIXED_MAX <= EVENT_LINE_MAX,
              "each part has its room");

struct line {
        char *text;
        size_t n;
};

static void put(struct line *l, const char *text)
{
        size_t n = strlen(text);

        ASSERT(n < EVENT_LINE_MAX - l->n);
        memcpy(l->text + l->n, text, n + 1);
        l->n += n;
}

/* As a string, of @max bytes at most when escaped. Bytes beyond ASCII stay tellable, each as a letter of Latin 1. */
static void put_string(struct line *l, const char *text, size_t max)
{
        size_t used = 0;

        put(l, "\"");
        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;
                char one[ESCAPE_LEN + 1] = { *text };

                if (c == '"' || c == '\\')
                        snprintf(one, sizeof(one), "\\%c", c);
                else if (c < ' ' || c >= 0x7f)
                        snprintf(one, sizeof(one), "\\u%04x", c);
                used += strlen(one);
                if (used > max)
                        break;
                put(l, one);
        }
        put(l, "\"");
}

static void put_time(struct line *l, uint64_t time_ns)
{
        time_t s = (time_t)(time_ns / NS_PER_S);
        char text[40];
        struct tm tm;
        size_t n;

        ASSERT(gmtime_r(&s, &tm));
        n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned)(time_ns % NS_PER_S / NS_PER_MS));
        put_string(l, text, sizeof(text));
}

static void put_name(struct line *l, const char *name)
{
        name_t cut;

        if (!name || !*name) {
                put(l, "null");
                return;
        }
        snprintf(cut, sizeof(cut), "%s", name);
        put_string(l, cut, ESCAPE_LEN * NAME_LEN_MAX);
}

static void put_address(struct line *l, const struct address *address)
{
        char text[ADDRESS_TEXT_MAX];

        if (!address) {
                put(l, "null");
                return;
        }
        address_to_text(address, text);
        put_string(l, text, sizeof(text));
}

size_t event_line(const struct policy *p, const struct event_line *e, char ret[EVENT_LINE_MAX])
{
        char rule[POLICY_RULE_TEXT_MAX], port[8] = "null";
        struct line l = { .text = ret };

        if (e->port)
                snprintf(port, sizeof(port), "%u", e->port);
        policy_rule_text(p, e->decision->rule, rule);
        put(&l, "{\"time\":");
        put_time(&l, e->time_ns);
        put(&l, ",\"proto\":");
        put_string(&l, e->proto, 8);
        put(&l, ",\"name\":");
        put_name(&l, e->name);
        put(&l, ",\"address\":");
        put_address(&l, e->address);
        put(&l, ",\"port\":");
        put(&l, port);
        put(&l, ",\"rule\":");
        put_string(&l, rule, POLICY_RULE_TEXT_MAX);
        put(&l, e->decision->allow ? ",\"verdict\":\"allow\"" : ",\"verdict\":\"deny\"");
        put(&l, ",\"why\":");
        put_string(&l, e->decision->why, WORDS_MAX);
        put(&l, "}\n");
        return l.n;
}
