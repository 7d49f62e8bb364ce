/*
 * vmlet stats: what guests use.
 * Input:  the command line (the user); the guests' answers, checked in sandbox/.
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/listing.h"
#include "cli/out.h"
#include "sandbox/store.h"

#define SAMPLE_US 500000  /* between the two looks at the processor's counters */
#define STREAM_US 2000000 /* between two tables */

struct stats_options {
        bool stream, json;
};

static const struct cli_option options[] = {
        { 0, "json", CLI_FLAG, NULL, offsetof(struct stats_options, json),
          "as JSON, a line for each sandbox" },
        { 0, "stream", CLI_FLAG, NULL, offsetof(struct stats_options, stream),
          "again and again, every 2 seconds" },
        { 0 },
};

static const struct out_column columns[] = {
        { "SANDBOX", false },  { "CPU", true },       { "MEMORY", true },
        { "OF", true },        { "DISK READ", true }, { "WRITTEN", true },
        { "ROOT FREE", true }, { "PROCESSES", true }, { "UPTIME", true },
};

enum value {
        UPTIME,
        CPUS,
        USER,
        SYSTEM,
        TOTAL,
        AVAILABLE,
        READ,
        WRITTEN,
        ROOT_TOTAL,
        ROOT_FREE,
        RECEIVED,
        SENT,
        PROCESSES,
        EXECS,
        VALUE_NR
};
static const char *const names[] = {
        "uptime_ms",          "cpus",
        "cpu_user_us",        "cpu_system_us",
        "memory_total_bytes", "memory_available_bytes",
        "disk_read_bytes",    "disk_written_bytes",
        "root_total_bytes",   "root_free_bytes",
        "net_received_bytes", "net_sent_bytes",
        "processes",          "execs",
};
static_assert(array_size(names) == VALUE_NR, "a name for each");

struct sample {
        struct target target;
        char name[SANDBOX_NAME_MAX + 1]; /* of one that nobody named */
        bool gone;
        uint64_t values[VALUE_NR], cpu_before_us, uptime_before_ms;
};

static int queue(struct agent *agent, void *who)
{
        (void)who;
        return agent_plain(agent, PROTOCOL_METRICS, 0);
}

static void on_event(void *who, const struct agent_event *event)
{
        struct sample *s = who;
        size_t size = 0, len;
        const char *name;
        uint64_t value;

        if (event->kind != AGENT_REPORT)
                return;
        for (size_t at = 0; at < event->len; at += size) {
                if (protocol_parse_metric(event->bytes + at, event->len - at, &name, &len, &value, &size))
                        return; /* the link has checked them: it does not happen */
                for (size_t i = 0; i < VALUE_NR; i++) {
                        if (strlen(names[i]) == len && !memcmp(name, names[i], len))
                                s->values[i] = value;
                }
        }
}

/* All that run are shown while they run; one that was asked for must. */
static int look(struct sample *samples, size_t nr, struct problem *problem)
{
        for (size_t i = 0; i < nr; i++) {
                struct sample *s = &samples[i];
                const struct ask ask = { .queue = queue, .on_event = on_event, .who = s };

                s->cpu_before_us = s->values[USER] + s->values[SYSTEM];
                s->uptime_before_ms = s->values[UPTIME];
                if (s->gone || !ask_run(&s->target, &ask, problem))
                        continue;
                if (!*s->name)
                        return -1;
                *problem = (struct problem){ 0 };
                s->gone = true;
        }
        return 0;
}

/* Tenths of a percent of one processor. The counters are the guest's own words: they may run backwards. */
static uint64_t cpu_permille(const struct sample *s)
{
        uint64_t cpu = s->values[USER] + s->values[SYSTEM], ms = s->values[UPTIME] - s->uptime_before_ms;

        return cpu < s->cpu_before_us || s->values[UPTIME] <= s->uptime_before_ms
                       ? 0
                       : (cpu - s->cpu_before_us) / ms;
}

static uint64_t memory_used(const struct sample *s)
{
        uint64_t total = s->values[TOTAL], available = s->values[AVAILABLE];

        return available < total ? total - available : 0;
}

static void add_row(struct out_table *t, const struct sample *s)
{
        char word[OUT_WORD];
        uint64_t cpu = cpu_permille(s);

        out_cell(t, "%s", s->target.name);
        out_cell(t, "%llu.%llu %%", (unsigned long long)(cpu / 10), (unsigned long long)(cpu % 10));
        out_cell(t, "%s", out_size(word, memory_used(s)));
        out_cell(t, "%s", out_size(word, s->values[TOTAL]));
        out_cell(t, "%s", out_size(word, s->values[READ]));
        out_cell(t, "%s", out_size(word, s->values[WRITTEN]));
        out_cell(t, "%s", out_size(word, s->values[ROOT_FREE]));
        out_cell(t, "%llu", (unsigned long long)s->values[PROCESSES]);
        out_cell(t, "%s", out_duration(word, s->values[UPTIME] * 1000000));
}

static void print_json(const struct sample *s)
{
        struct out_json j = { .to = stdout };

        out_json_open(&j, NULL, '{');
        out_json_text(&j, "sandbox", s->target.name);
        out_json_number(&j, "cpu_permille", cpu_permille(s));
        out_json_number(&j, "memory_used_bytes", memory_used(s));
        for (size_t i = 0; i < VALUE_NR; i++)
                out_json_number(&j, names[i], s->values[i]);
        out_json_close(&j, '}');
        putchar('\n');
}

static int print(const struct stats_options *o, const struct sample *samples, size_t nr,
                 struct problem *problem)
{
        cleanup(out_table_freep) struct out_table *t = NULL;
        int r = o->json ? 0 : out_table_new(columns, array_size(columns), &t);

        if (!o->json && o->stream && isatty(1))
                fputs("\033[H\033[J", stdout);
        for (size_t i = 0; i < nr && r >= 0; i++) {
                if (samples[i].gone)
                        continue;
                if (o->json)
                        print_json(&samples[i]);
                else
                        add_row(t, &samples[i]);
        }
        if (t && r >= 0)
                r = out_table_print(t, stdout);
        if (r < 0 || fflush(stdout))
                return problem_set(problem, CLI_FAILED, "cannot print the table");
        return 0;
}

static int show(const struct stats_options *o, struct sample *samples, size_t nr, struct problem *problem)
{
        if (look(samples, nr, problem))
                return -1;
        usleep(SAMPLE_US);
        while (!look(samples, nr, problem) && !print(o, samples, nr, problem) && o->stream)
                usleep(STREAM_US);
        return problem->status ? -1 : 0;
}

static int add_named(char **words, size_t nr, struct sample *samples, size_t *ret_nr, struct problem *problem)
{
        while (*ret_nr < nr) {
                struct sample *s = &samples[(*ret_nr)++];

                s->target = TARGET_NONE;
                if (target_find(words[*ret_nr - 1], &s->target, problem))
                        return -1;
        }
        return 0;
}

static int add_running(const struct paths *paths, const struct store_entry *entries, size_t nr,
                       struct sample *samples, size_t *ret_nr, struct problem *problem)
{
        for (size_t i = 0; i < nr; i++) {
                struct sample *s = &samples[*ret_nr];
                struct listing listing;
                bool runs;

                s->target = TARGET_NONE;
                if (sandbox_at(paths, entries[i].id, entries[i].temporary, &s->target.sandbox, problem))
                        return -1;
                listing_fill(&s->target.sandbox, &listing);
                runs = listing.status.state == LIFE_RUNNING;
                snprintf(s->name, sizeof(s->name), "%s",
                         *listing.sandbox.name ? listing.sandbox.name : entries[i].id);
                listing_fini(&listing);
                s->target.name = s->name;
                s->target.socket = s->target.sandbox.agent;
                *ret_nr += runs;
                if (!runs)
                        target_fini(&s->target);
        }
        return 0;
}

/* Those that were named, or all that run. */
static int collect(char **words, size_t nr, struct sample **ret, size_t *ret_nr, struct problem *problem)
{
        cleanup(freep) struct store_entry *entries = NULL;
        struct paths paths;
        size_t nr_entries = 0;

        if (!nr && (paths_find(&paths, problem) || store_list(&paths, &entries, &nr_entries, problem)))
                return -1;
        *ret = calloc(nr + nr_entries + 1, sizeof(**ret));
        if (!*ret)
                return problem_set(problem, CLI_FAILED, "out of memory");
        return nr ? add_named(words, nr, *ret, ret_nr, problem)
                  : add_running(&paths, entries, nr_entries, *ret, ret_nr, problem);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        cleanup(freep) struct sample *samples = NULL;
        struct stats_options o = { 0 };
        struct problem problem = { 0 };
        size_t nr = 0;
        int at = 0, r = cli_parse(command, argc, argv, &o, &at, &problem);

        if (r > 0)
                return 0;
        if (!r)
                r = collect(argv + at, (size_t)(argc - at), &samples, &nr, &problem);
        if (!r)
                r = show(&o, samples, nr, &problem);
        for (size_t i = 0; i < nr; i++)
                target_fini(&samples[i].target);
        return r ? cli_complain(command, &problem) : 0;
}

const struct cli_command cli_stats = {
        .name = "stats",
        .usage = "[OPTION]... [SANDBOX]...",
        .summary = "Show what sandboxes use",
        .details = "Without a sandbox, all that run. CPU is in percent of one processor of the guest.\n"
                   "What is told comes from the guest itself.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet stats box\n"
                   "  vmlet stats --stream --json box other\n",
        .options = options,
        .run = run,
};
