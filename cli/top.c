/*
 * vmlet top: processes of a guest.
 * Input:  the command line (the user); the guest's answers, checked in sandbox/.
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/out.h"

struct top_options {
        bool execs, json, quiet;
};

static const struct cli_option options[] = {
        { 0, "execs", CLI_FLAG, NULL, offsetof(struct top_options, execs),
          "the commands that were started from here, also those that ended and were left" },
        { 0, "json", CLI_FLAG, NULL, offsetof(struct top_options, json), "as JSON" },
        { 'q', "quiet", CLI_FLAG, NULL, offsetof(struct top_options, quiet), "only their numbers" },
        { 0 },
};

static const struct out_column columns[] = {
        { "PROC", true }, { "PID", true },    { "USER", false },    { "STATE", false },
        { "CPU", true },  { "MEMORY", true }, { "STARTED", false }, { "COMMAND", false },
};

struct top {
        const struct top_options *options;
        struct out_table *table;
        struct out_json json;
        uint64_t now_ns;
        int error;
};

static uint64_t wall_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void add_json(struct top *top, const struct protocol_process *p)
{
        struct out_json *j = &top->json;
        char state[2] = { p->state, 0 }, word[OUT_WORD];

        out_json_open(j, NULL, '{');
        out_json_number(j, "proc", p->proc);
        out_json_number(j, "pid", p->pid);
        out_json_number(j, "ppid", p->ppid);
        out_json_number(j, "uid", p->uid);
        out_json_text(j, "user", p->user);
        out_json_text(j, "state", state);
        out_json_bool(j, "tty", p->flags & PROTOCOL_PROCESS_TTY);
        out_json_bool(j, "detached", p->flags & PROTOCOL_PROCESS_DETACHED);
        out_json_bool(j, "main", p->flags & PROTOCOL_PROCESS_MAIN);
        out_json_bool(j, "ended", p->flags & PROTOCOL_PROCESS_ENDED);
        out_json_text(j, "started", out_time(word, p->started_ns));
        out_json_number(j, "cpu_us", p->cpu_us);
        out_json_number(j, "memory_bytes", p->memory_bytes);
        out_json_text(j, "command", p->command);
        out_json_close(j, '}');
}

static void add_row(struct top *top, const struct protocol_process *p)
{
        struct out_table *t = top->table;
        char word[OUT_WORD];
        uint64_t ms = p->cpu_us / 1000;

        if (p->proc)
                out_cell(t, "%u", p->proc);
        else
                out_cell(t, "-");
        out_cell(t, "%u", p->pid);
        if (*p->user)
                out_cell(t, "%s", p->user);
        else
                out_cell(t, "%u", p->uid);
        if (p->flags & PROTOCOL_PROCESS_ENDED)
                out_cell(t, "ended");
        else
                out_cell(t, "%c", p->state);
        out_cell(t, "%llu.%02llu s", (unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000 / 10));
        out_cell(t, "%s", out_size(word, p->memory_bytes));
        /* The guest's clock need not be ours. */
        out_cell(t, "%s ago",
                 out_duration(word, top->now_ns > p->started_ns ? top->now_ns - p->started_ns : 0));
        top->error = out_cell(t, "%s", p->command);
}

static void on_process(void *who, const struct protocol_process *p)
{
        struct top *top = who;

        if (top->options->quiet)
                printf("%u\n", top->options->execs ? p->proc : p->pid);
        else if (top->options->json)
                add_json(top, p);
        else
                add_row(top, p);
}

static int show(struct top *top, const struct target *target, struct problem *problem)
{
        int r;

        if (top->options->json)
                out_json_open(&top->json, NULL, '[');
        if (ask_processes(target, !top->options->execs, on_process, top, problem))
                return -1;
        if (top->options->json) {
                out_json_close(&top->json, ']');
                putchar('\n');
        }
        if (top->options->json || top->options->quiet)
                return 0;
        r = out_table_print(top->table, stdout);
        return r < 0 ? problem_set(problem, CLI_FAILED, "%s", strerror(-r)) : 0;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        cleanup(target_fini) struct target target = TARGET_NONE;
        cleanup(out_table_freep) struct out_table *table = NULL;
        struct top_options o = { 0 };
        struct problem problem = { 0 };
        struct top top = { .options = &o, .json.to = stdout, .now_ns = wall_ns() };
        int at = 0, r = cli_parse(command, argc, argv, &o, &at, &problem);

        if (r > 0)
                return 0;
        if (!r && at + 1 != argc)
                r = problem_set(&problem, CLI_FAILED, "which sandbox? vmlet top %s", command->usage);
        if (!r && out_table_new(columns, array_size(columns), &table) < 0)
                r = problem_set(&problem, CLI_FAILED, "out of memory");
        top.table = table;
        if (r || target_find(argv[at], &target, &problem) || show(&top, &target, &problem))
                return cli_complain(command, &problem);
        return 0;
}

const struct cli_command cli_top = {
        .name = "top",
        .usage = "[OPTION]... SANDBOX",
        .summary = "Show the processes of a sandbox",
        .details = "PROC is the number of the command from here that a process belongs to.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet top box\n"
                   "  vmlet top --execs --json box\n",
        .options = options,
        .run = run,
};
