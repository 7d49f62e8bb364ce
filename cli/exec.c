/*
 * vmlet exec: runs a command in the guest behind a vsock socket.
 * Input:  the command line and standard input (the user); the guest's answers, in sandbox/.
 * Runs:   the tool's only thread.
 * Limits: those of the protocol: 256 KiB of arguments and environment.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "sandbox/agent_run.h"
#include "vmm/base/cleanup.h"

struct exec_options {
        struct cli_list env;
        const char *workdir, *user;
        bool interactive;
        uint64_t timeout_ns;
        char *inherited; /* variables that were given by name only */
};

static const struct cli_option options[] = {
        { 'e', "env", CLI_LIST, "NAME[=VALUE]", offsetof(struct exec_options, env),
          "set a variable; without a value, the one of this shell" },
        { 'i', "interactive", CLI_FLAG, NULL, offsetof(struct exec_options, interactive),
          "pass standard input to the command (else it reads nothing)" },
        { 0, "timeout", CLI_DURATION, "TIME", offsetof(struct exec_options, timeout_ns),
          "kill the command after that time: 30s, 5m" },
        { 'u', "user", CLI_TEXT, "USER[:GROUP]", offsetof(struct exec_options, user),
          "run as this user of the guest, by name or number (root)" },
        { 'w', "workdir", CLI_TEXT, "DIR", offsetof(struct exec_options, workdir),
          "start in this directory (/)" },
        { 0 },
};

static void exec_options_fini(struct exec_options *o)
{
        free(o->env.items);
        free(o->inherited);
}

/* Adds "NAME=value" to o->inherited. Return: where, or NULL if our environment has no such variable. */
static const char *inherit(struct exec_options *o, const char *name, size_t *at)
{
        const char *value = getenv(name);
        char *both = o->inherited + *at;

        if (!value)
                return NULL;
        *at += (size_t)sprintf(both, "%s=%s", name, value) + 1;
        return both;
}

/* NAME alone means the value of our own environment, and nothing if it has none. */
static int complete_env(struct exec_options *o, struct problem *problem)
{
        size_t n = 0, size = 1, at = 0;

        for (size_t i = 0; i < o->env.n; i++) {
                const char *item = o->env.items[i], *value = getenv(item);

                if (!*item || *item == '=')
                        return problem_set(problem, CLI_FAILED, "--env %s: write NAME=VALUE or NAME", item);
                size += value ? strlen(item) + strlen(value) + 2 : 0;
        }
        o->inherited = malloc(size);
        if (!o->inherited)
                return problem_set(problem, CLI_FAILED, "out of memory");
        for (size_t i = 0; i < o->env.n; i++) {
                const char *item = o->env.items[i];

                if (!strchr(item, '='))
                        item = inherit(o, item, &at);
                if (item)
                        o->env.items[n++] = item;
        }
        if (o->env.items)
                o->env.items[n] = NULL;
        o->env.n = n;
        return 0;
}

/* SOCKET [--] COMMAND [ARG...] */
static int read_words(int argc, char **argv, int at, const char **ret_socket, int *ret_command,
                      struct problem *problem)
{
        if (at >= argc)
                return problem_set(problem, CLI_FAILED,
                                   "which VM? Give the path of its vsock socket: vmlet exec %s",
                                   cli_exec.usage);
        *ret_socket = argv[at++];
        if (at < argc && !strcmp(argv[at], "--"))
                at++;
        else if (at < argc && argv[at][0] == '-')
                return problem_set(problem, CLI_FAILED,
                                   "%s: options go before the socket, or write -- before the command",
                                   argv[at]);
        if (at >= argc)
                return problem_set(problem, CLI_FAILED, "which command? vmlet exec %s", cli_exec.usage);
        *ret_command = at;
        return 0;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        cleanup(exec_options_fini) struct exec_options o = { 0 };
        struct problem problem = { 0 };
        struct agent_job job = { .in = -1, .out = 1, .err = 2, .answer_ms = AGENT_RUN_ANSWER_MS };
        int rest = 0, first = 0, status;
        int r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (r > 0)
                return 0;
        if (r || read_words(argc, argv, rest, &job.socket, &first, &problem) || complete_env(&o, &problem))
                return cli_complain(command, &problem);
        job.request = (struct protocol_exec_request){
                .flags = o.interactive ? PROTOCOL_EXEC_STDIN : 0,
                .cwd = o.workdir,
                .user = o.user,
                .args = (const char *const *)argv + first,
                .env = o.env.items,
        };
        job.in = o.interactive ? 0 : -1;
        job.timeout_ms = (o.timeout_ns + 999999) / 1000000;
        if (agent_run(&job, &status, &problem))
                return cli_complain(command, &problem);
        return status;
}

const struct cli_command cli_exec = {
        .name = "exec",
        .usage = "[OPTION]... SOCKET -- COMMAND [ARG]...",
        .summary = "Run a command in the guest behind SOCKET, the vsock socket of its VM.",
        .details =
                "The exit status is the command's own; 128 and the signal's number if a signal ended it;\n"
                "127 if there is no such command, 126 if it cannot be run, 124 if its time was up, 125 if\n"
                "vmlet itself failed.\n",
        .options = options,
        .run = run,
};
