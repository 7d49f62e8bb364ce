/*
 * vmlet net: what the network of a sandbox lets through, and what it did.
 * Input:  the command line and files of the user; lines of a gateway (checked as JSON).
 * Runs:   the tool's only thread, which waits.
 * Limits: those of sandbox/network.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/out.h"
#include "cli/policy_words.h"
#include "net/policy_explain.h"
#include "net/policy_parse.h"
#include "sandbox/network.h"
#include "vmm/base/json.h"
#include "vmm/base/parse.h"

#define EXPLAIN_MAX 4096u

struct options {
        struct cli_list rules;
        const char *net, *tail;
        bool json;
};

static const struct cli_option options[] = {
        { 0, "allow", CLI_NAMED, "RULE", offsetof(struct options, rules), "set: it reaches this" },
        { 0, "deny", CLI_NAMED, "RULE", offsetof(struct options, rules), "set: it must not reach this" },
        { 0, "json", CLI_FLAG, NULL, offsetof(struct options, json), "log: lines of JSON" },
        { 0, "net", CLI_TEXT, "MODE|FILE", offsetof(struct options, net),
          "set: deny, allow, public, or a file with a policy" },
        { 'n', "tail", CLI_TEXT, "LINES", offsetof(struct options, tail), "log: only the last ones (all)" },
        { 0 },
};

static int show(const struct sandbox *s, struct problem *p)
{
        cleanup(freep) char *text = NULL;

        if (network_read(s, &text, p))
                return -1;
        fputs(text, stdout);
        return 0;
}

static int set(const struct options *o, const struct sandbox *s, struct problem *p)
{
        cleanup(freep) char *text = NULL;

        if (policy_words_read(o->net, &o->rules, &text, p))
                return -1;
        if (!text)
                return problem_set(p, CLI_FAILED,
                                   "set: say --net deny, allow, public or FILE, or --allow RULE");
        return network_replace(s, text, p);
}

static int explain(const struct sandbox *s, const char *target, struct problem *p)
{
        cleanup(freep) struct policy *policy = calloc(1, sizeof(*policy));
        cleanup(freep) char *text = NULL, *words = malloc(EXPLAIN_MAX);
        struct policy_mistake mistake;

        if (!policy || !words)
                return problem_set(p, CLI_FAILED, "out of memory");
        if (network_read(s, &text, p))
                return -1;
        if (!policy_parse(text, strlen(text), policy, &mistake))
                return problem_set(p, CLI_FAILED, "%s/network.toml line %u: %s", s->folder, mistake.line,
                                   mistake.text);
        if (!policy_explain(policy, &(struct policy_host){ 0 }, target, words, EXPLAIN_MAX))
                return problem_set(p, CLI_FAILED, "explain '%.100s': %.300s", target, words);
        fputs(words, stdout);
        return 0;
}

/* The values of a line that stand in the table. */
struct row {
        const char *time, *verdict, *proto, *name, *address, *rule, *why;
        int64_t port;
};

static int read_field(void *ctx, const char *key, struct json_t *value)
{
        struct row *r = ctx;
        const struct {
                const char *key, **text;
        } texts[] = {
                { "time", &r->time }, { "verdict", &r->verdict }, { "proto", &r->proto },
                { "name", &r->name }, { "address", &r->address }, { "rule", &r->rule },
                { "why", &r->why },
        };

        for (size_t i = 0; i < array_size(texts); i++)
                if (!strcmp(key, texts[i].key) && json_kind(value) == JSON_IS_TEXT)
                        *texts[i].text = json_text(value);
        if (!strcmp(key, "port") && json_kind(value) == JSON_IS_NUMBER)
                r->port = json_number(value);
        return 0;
}

static void add_row(struct out_table *t, const char *line, size_t len)
{
        struct row r = {
                .time = "", .verdict = "", .proto = "", .name = "", .address = "", .rule = "", .why = ""
        };
        char error[64];
        struct json_t *value = json_read(line, len, error, sizeof(error));

        if (value && json_kind(value) == JSON_IS_OBJECT && !json_each(value, read_field, &r)) {
                (void)out_cell(t, "%s", r.time);
                (void)out_cell(t, "%s", r.verdict);
                (void)out_cell(t, "%s", r.proto);
                (void)out_cell(t, "%s", r.name);
                if (r.port)
                        (void)out_cell(t, "%s:%lld", r.address, (long long)r.port);
                else
                        (void)out_cell(t, "%s", r.address);
                (void)out_cell(t, "%s", r.rule);
                (void)out_cell(t, "%s", r.why);
        }
        json_free(value);
}

/* The last @nr lines. */
static const char *tail(const char *text, uint64_t nr)
{
        const char *at = text + strlen(text);

        while (at > text) {
                if (at[-1] == '\n' && at[0] && !nr--)
                        return at;
                at--;
        }
        return text;
}

static int show_log(const struct options *o, const struct sandbox *s, struct problem *p)
{
        static const struct out_column columns[] = {
                { "TIME", false },    { "VERDICT", false }, { "PROTO", false }, { "NAME", false },
                { "ADDRESS", false }, { "RULE", false },    { "WHY", false },
        };
        cleanup(out_table_freep) struct out_table *t = NULL;
        cleanup(freep) char *text = NULL;
        uint64_t nr = UINT64_MAX;
        int r;

        if (o->tail && strcmp(o->tail, "all") && !parse_u64(o->tail, &nr))
                return problem_set(p, CLI_FAILED, "--tail %.32s: write a number of lines, or all", o->tail);
        if (network_events(s, &text, p))
                return -1;
        if (!nr)
                *text = 0;
        if (o->json) {
                fputs(tail(text, nr ? nr - 1 : 0), stdout);
                return 0;
        }
        r = out_table_new(columns, array_size(columns), &t);
        for (const char *at = tail(text, nr ? nr - 1 : 0); !r && *at;) {
                size_t len = strcspn(at, "\n");

                add_row(t, at, len);
                at += len + (at[len] == '\n');
        }
        if (!r)
                r = out_table_print(t, stdout);
        return r < 0 ? problem_set(p, CLI_FAILED, "cannot print: %s", strerror(-r)) : 0;
}

static int act(const struct options *o, int nr, char **words, struct problem *p)
{
        cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
        static const char *const verbs[] = { "show", "set", "log", "explain", NULL };
        const char *verb = nr ? words[0] : "", *closest = parse_closest(verb, verbs);
        bool explains = !strcmp(verb, "explain");

        if (strcmp(verb, "show") && strcmp(verb, "set") && strcmp(verb, "log") && !explains)
                return problem_set(p, CLI_FAILED, "%.64s: vmlet net show, set, log or explain%s%s%s",
                                   *verb ? verb : "what?", closest ? "; did you mean " : "",
                                   closest ? closest : "", closest ? "?" : "");
        if (nr != 2 + explains)
                return problem_set(p, CLI_FAILED, "vmlet net %s SANDBOX%s", verb, explains ? " URL" : "");
        if ((o->rules.n || o->net) && strcmp(verb, "set"))
                return problem_set(p, CLI_FAILED, "--net, --allow and --deny are for set");
        if (sandbox_find(words[1], &s, p))
                return -1;
        if (explains)
                return explain(&s, words[2], p);
        if (!strcmp(verb, "log"))
                return show_log(o, &s, p);
        return !strcmp(verb, "set") ? set(o, &s, p) : show(&s, p);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        struct options o = { 0 };
        struct problem problem = { 0 };
        int rest = 0, r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (!r)
                r = act(&o, argc - rest, argv + rest, &problem);
        free(o.rules.items);
        if (r > 0)
                return 0;
        return r ? cli_complain(command, &problem) : 0;
}

const struct cli_command cli_net = {
        .name = "net",
        .usage = "[OPTION]... show SANDBOX | set SANDBOX | log SANDBOX | explain SANDBOX URL",
        .summary = "What a sandbox's network lets through, and what it did",
        .details = "show prints its policy, set replaces it, also while it runs. log shows what was decided, "
                   "and\n"
                   "explain tells what would happen, and which rule says so, without sending anything.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet net log box\n"
                   "  vmlet net explain box https://api.example.com\n"
                   "  vmlet net set box --allow api.example.com:443 --allow '*.example.net:443'\n",
        .options = options,
        .run = run,
};
