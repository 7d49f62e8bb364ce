/*
 * vmlet exec, shell, attach: a command in a guest.
 * Input:  the command line and standard input (the user); the guest's answers, in sandbox/.
 * Runs:   the tool's only thread.
 * Limits: those of the protocol: 256 KiB of arguments and environment.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/asked.h"
#include "cli/cli.h"
#include "cli/env.h"
#include "cli/session.h"
#include "cli/target.h"
#include "vmm/base/cleanup.h"

struct exec_options {
        struct cli_list env, env_files, limits;
        const char *workdir, *user, *detach_keys;
        bool interactive, tty, detach, keep, line;
        uint64_t timeout_ns;
};

static const struct cli_option options[] = {
        { 'd', "detach", CLI_FLAG, NULL, offsetof(struct exec_options, detach),
          "leave it running, and print its number" },
        { 0, "detach-keys", CLI_TEXT, "KEYS", offsetof(struct exec_options, detach_keys),
          "keys that leave it running (ctrl-p,ctrl-q); '' for none" },
        { 'e', "env", CLI_LIST, "NAME[=VALUE]", offsetof(struct exec_options, env),
          "set a variable; without a value, the one of this shell" },
        { 0, "env-file", CLI_LIST, "FILE", offsetof(struct exec_options, env_files),
          "set the variables of a file, one a line" },
        { 'i', "interactive", CLI_FLAG, NULL, offsetof(struct exec_options, interactive),
          "pass standard input to the command (else it reads nothing)" },
        { 0, "keep", CLI_FLAG, NULL, offsetof(struct exec_options, keep),
          "what it leaves running in the background may outlive it" },
        { 0, "shell", CLI_FLAG, NULL, offsetof(struct exec_options, line),
          "COMMAND is one word: a line for the guest's /bin/sh -c" },
        { 0, "timeout", CLI_DURATION, "TIME", offsetof(struct exec_options, timeout_ns),
          "kill the command after that time: 30s, 5m" },
        { 't', "tty", CLI_FLAG, NULL, offsetof(struct exec_options, tty),
          "give it a terminal; with -i, this one" },
        { 0, "ulimit", CLI_LIST, "NAME=SOFT[:HARD]", offsetof(struct exec_options, limits),
          "set a limit: nofile=1024, core=unlimited" },
        { 'u', "user", CLI_TEXT, "USER[:GROUP]", offsetof(struct exec_options, user),
          "run as this user of the guest, by name or number (root)" },
        { 'w', "workdir", CLI_TEXT, "DIR", offsetof(struct exec_options, workdir),
          "start in this directory (/)" },
        { 0 },
};

static const struct cli_option shell_options[] = {
        { 0, "detach-keys", CLI_TEXT, "KEYS", offsetof(struct exec_options, detach_keys),
          "keys that leave it running (ctrl-p,ctrl-q); '' for none" },
        { 'e', "env", CLI_LIST, "NAME[=VALUE]", offsetof(struct exec_options, env),
          "set a variable; without a value, the one of this shell" },
        { 0, "env-file", CLI_LIST, "FILE", offsetof(struct exec_options, env_files),
          "set the variables of a file, one a line" },
        { 'u', "user", CLI_TEXT, "USER[:GROUP]", offsetof(struct exec_options, user),
          "as this user of the guest, by name or number (root)" },
        { 'w', "workdir", CLI_TEXT, "DIR", offsetof(struct exec_options, workdir),
          "start in this directory (the user's home)" },
        { 0 },
};

/* Who we are and which shell we have, with nothing but what any shell can do by itself. $1: stay in this directory. */
static const char login[] = "while read -r k u r; do [ \"$k\" = Uid: ] && break; done </proc/$$/status\n"
                            "while IFS=: read -r n x i g c h s; do [ \"$i\" = \"$u\" ] && break; n= h= s=; "
                            "done 2>/dev/null </etc/passwd\n"
                            "[ -x \"$s\" ] || s=/bin/sh\n"
                            "[ -n \"$n\" ] && USER=$n LOGNAME=$n && export USER LOGNAME\n"
                            "[ -n \"$1\" ] || cd \"${h:-/}\" 2>/dev/null\n"
                            "SHELL=$s; export SHELL; exec \"$s\" -l\n";

/* What a request is made of; its lists live here. */
struct wanted {
        struct env env;
        struct protocol_rlimit limits[PROTOCOL_RLIMITS_MAX];
        struct keys keys;
        struct session_config config;
};

static void wanted_fini(struct wanted *w)
{
        env_fini(&w->env);
}

static void exec_options_fini(struct exec_options *o)
{
        free(o->env.items);
        free(o->env_files.items);
        free(o->limits.items);
}

static int read_env(const struct exec_options *o, struct env *env, struct problem *problem)
{
        const char *terminal = o->tty ? getenv("TERM") : NULL;

        if (terminal && *terminal && env_add(env, "TERM", "--tty", problem))
                return -1;
        for (size_t i = 0; i < o->env_files.n; i++) {
                if (env_add_file(env, o->env_files.items[i], problem))
                        return -1;
        }
        for (size_t i = 0; i < o->env.n; i++) {
                if (env_add(env, o->env.items[i], "--env", problem))
                        return -1;
        }
        return 0;
}

static int read_limits(const struct exec_options *o, struct wanted *w, struct problem *problem)
{
        if (o->limits.n > PROTOCOL_RLIMITS_MAX)
                return problem_set(problem, CLI_FAILED, "--ulimit: at most %u", PROTOCOL_RLIMITS_MAX);
        for (size_t i = 0; i < o->limits.n; i++) {
                if (env_limit(o->limits.items[i], &w->limits[i], problem))
                        return -1;
        }
        return 0;
}

static int fill(const struct exec_options *o, struct wanted *w, struct problem *problem)
{
        if (read_env(o, &w->env, problem) || read_limits(o, w, problem))
                return -1;
        if (!keys_parse(o->detach_keys ? o->detach_keys : KEYS_DEFAULT, &w->keys))
                return problem_set(
                        problem, CLI_FAILED,
                        "--detach-keys %.64s: write letters or ctrl-LETTER with commas between, such "
                        "as " KEYS_DEFAULT,
                        o->detach_keys);
        if (o->tty && o->interactive && !o->detach && !isatty(0))
                return problem_set(problem, CLI_FAILED, "-it: standard input is no terminal: leave out -t");
        w->config = (struct session_config){
                .exec = { .flags = o->keep ? PROTOCOL_EXEC_KEEP : 0,
                          .cwd = o->workdir,
                          .user = o->user,
                          .env = (const char *const *)w->env.items,
                          .nr_rlimits = (uint32_t)o->limits.n,
                          .rlimits = w->limits },
                .interactive = o->interactive && !o->detach,
                .tty = o->tty,
                .background = o->detach,
                .keys = o->tty ? &w->keys : NULL,
                .timeout_ms = (o->timeout_ns + 999999) / 1000000,
                .in = 0,
                .out = 1,
                .err = 2,
        };
        return 0;
}

/* SANDBOX [--] COMMAND [ARG...] */
static int read_words(int argc, char **argv, int at, int *ret_command, struct problem *problem)
{
        if (at >= argc)
                return problem_set(problem, CLI_FAILED, "which sandbox? vmlet exec %s", cli_exec.usage);
        at++;
        if (at < argc && !strcmp(argv[at], "--"))
                at++;
        else if (at < argc && argv[at][0] == '-')
                return problem_set(problem, CLI_FAILED,
                                   "%.64s: options go before the sandbox, or write -- before the command",
                                   argv[at]);
        if (at >= argc)
                return problem_set(problem, CLI_FAILED, "which command? vmlet exec %s", cli_exec.usage);
        *ret_command = at;
        return 0;
}

static int talk(const char *sandbox, struct session_config *config, struct problem *problem)
{
        cleanup(target_fini) struct target target = TARGET_NONE;
        struct session_result result = { 0 };
        int status;

        if (target_find(sandbox, &target, problem))
                return -1;
        config->socket = target.socket;
        config->name = target.name;
        config->sandbox = target.sandbox.id[0] ? &target.sandbox : NULL;
        config->last = cli_is_last;
        status = session_run(config, &result, problem);
        if (status >= 0 && result.detached && config->background)
                printf("%u\n", result.proc);
        else if (status >= 0 && result.detached)
                fprintf(stderr, "\nleft running: vmlet attach %s %u\n", sandbox, result.proc);
        return status;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        cleanup(exec_options_fini) struct exec_options o = { 0 };
        cleanup(wanted_fini) struct wanted w = { 0 };
        const char *line[4] = { NULL };
        struct problem problem = { 0 };
        int rest = 0, first = 0, status;
        int r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (r > 0)
                return 0;
        if (r || read_words(argc, argv, rest, &first, &problem) || fill(&o, &w, &problem))
                return cli_complain(command, &problem);
        w.config.exec.args = (const char *const *)argv + first;
        if (o.line) {
                if (asked_line(argv + first, argc - first, line, &problem))
                        return cli_complain(command, &problem);
                w.config.exec.args = line;
        }
        status = talk(argv[rest], &w.config, &problem);
        return status < 0 ? cli_complain(command, &problem) : status;
}

static int run_shell(const struct cli_command *command, int argc, char **argv)
{
        cleanup(exec_options_fini) struct exec_options o = { .interactive = true, .tty = isatty(0) };
        cleanup(wanted_fini) struct wanted w = { 0 };
        const char *args[] = { "/bin/sh", "-c", login, "vmlet-shell", NULL, NULL };
        struct problem problem = { 0 };
        int rest = 0, status;
        int r = cli_parse(command, argc, argv, &o, &rest, &problem);

        if (r > 0)
                return 0;
        if (!r && rest + 1 != argc)
                r = problem_set(&problem, CLI_FAILED, "%s: vmlet shell %s",
                                rest < argc ? "one sandbox, and no command" : "which sandbox?",
                                command->usage);
        if (r || fill(&o, &w, &problem))
                return cli_complain(command, &problem);
        args[4] = o.workdir;
        w.config.exec.args = args;
        status = talk(argv[rest], &w.config, &problem);
        return status < 0 ? cli_complain(command, &problem) : status;
}

const struct cli_command cli_exec = {
        .name = "exec",
        .usage = "[OPTION]... SANDBOX COMMAND [ARG]...",
        .summary = "Run a command in a sandbox",
        .details =
                "The exit status is the command's own; 128 and the signal's number if a signal ended it;\n"
                "127 if there is no such command, 126 if it cannot be run, 124 if its time was up, 125 if\n"
                "vmlet itself failed.\n"
                "\n"
                "When it has ended, what it left running in the background is killed, without --keep.\n"
                "\n"
                "Examples:\n"
                "  vmlet exec box uname -a\n"
                "  vmlet exec --shell box 'cd /srv && make | tee log'\n"
                "  vmlet exec -it box bash\n"
                "  vmlet exec -i box tar x -C /src < src.tar\n"
                "  vmlet exec -d box python3 -m http.server\n",
        .options = options,
        .run = run,
};

const struct cli_command cli_shell = {
        .name = "shell",
        .usage = "[OPTION]... SANDBOX",
        .summary = "Log into a sandbox: the user's own shell, on this terminal",
        .details = "The exit status is the shell's, and as that of vmlet exec.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet shell box\n"
                   "  vmlet shell -u daemon -w /tmp box\n"
                   "  vmlet shell box < script.sh\n",
        .options = shell_options,
        .run = run_shell,
};
