/*
 * vmlet attach, signal: commands that were left running.
 * Input:  the command line and standard input (the user); the guest's answers, in sandbox/.
 * Runs:   the tool's only thread.
 * Limits: those of the protocol.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/ask.h"
#include "cli/cli.h"
#include "cli/session.h"
#include "vmm/base/compiler.h"
#include "vmm/base/parse.h"

struct attach_options {
        const char *detach_keys;
        bool no_stdin;
};

static const struct cli_option attach_options[] = {
        { 0, "detach-keys", CLI_TEXT, "KEYS", offsetof(struct attach_options, detach_keys),
          "keys that leave it running again (ctrl-p,ctrl-q); '' for none" },
        { 0, "no-stdin", CLI_FLAG, NULL, offsetof(struct attach_options, no_stdin),
          "only watch: standard input is not passed on" },
        { 0 },
};

struct signal_options {
        const char *signal;
        bool all;
};

static const struct cli_option signal_options[] = {
        { 'a', "all", CLI_FLAG, NULL, offsetof(struct signal_options, all),
          "to everything that it has started, not only to what is in its foreground" },
        { 's', "signal", CLI_TEXT, "SIGNAL", offsetof(struct signal_options, signal),
          "which, by name or number (TERM)" },
        { 0 },
};

/* What is looked for, and the one that was found. */
struct choice {
        uint32_t wanted; /* 0: the main command, or the only one there is */
        uint32_t proc, flags;
        unsigned nr;
};

static void consider(void *who, const struct protocol_process *p)
{
        struct choice *c = who;
        bool is_main = p->flags & PROTOCOL_PROCESS_MAIN;

        if (!p->proc || (c->wanted ? p->proc != c->wanted : !(p->flags & PROTOCOL_PROCESS_DETACHED)))
                return;
        if (c->nr && c->flags & PROTOCOL_PROCESS_MAIN)
                return;
        c->nr = is_main ? 1 : c->nr + 1;
        c->proc = p->proc;
        c->flags = p->flags;
}

static int choose(const struct target *target, struct choice *c, struct problem *problem)
{
        if (ask_processes(target, false, consider, c, problem))
                return -1;
        if (!c->nr && c->wanted)
                return problem_set(problem, CLI_FAILED, "no command %u runs there: vmlet top --execs %s",
                                   c->wanted, target->name);
        if (!c->nr)
                return problem_set(problem, CLI_FAILED, "no command was left running there");
        if (c->nr > 1)
                return problem_set(
                        problem, CLI_FAILED,
                        "%u commands were left running: say which, as vmlet top --execs %s shows it", c->nr,
                        target->name);
        return 0;
}

/* SANDBOX [PROC], or with @needs_proc SANDBOX PROC. */
static int read_words(const struct cli_command *command, int argc, char **argv, int at, uint32_t *ret_proc,
                      struct problem *problem)
{
        bool needs_proc = command == &cli_signal;
        uint64_t proc = 0;

        if (at >= argc || argc - at > 2 || (needs_proc && argc - at != 2))
                return problem_set(problem, CLI_FAILED, "%s vmlet %s %s",
                                   at >= argc ? "which sandbox?" : "that is not how it goes:", command->name,
                                   command->usage);
        if (at + 1 < argc && (!parse_u64(argv[at + 1], &proc) || !proc || proc > UINT32_MAX))
                return problem_set(problem, CLI_FAILED,
                                   "%.64s: not the number of a command; vmlet top --execs shows them",
                                   argv[at + 1]);
        *ret_proc = (uint32_t)proc;
        return 0;
}

static int attach(const char *sandbox, uint32_t proc, const struct attach_options *o, struct problem *problem)
{
        cleanup(target_fini) struct target target = TARGET_NONE;
        struct choice choice = { .wanted = proc };
        struct session_result result = { 0 };
        struct session_config config = { .in = 0, .out = 1, .err = 2 };
        struct keys keys;
        int status;

        if (!keys_parse(o->detach_keys ? o->detach_keys : KEYS_DEFAULT, &keys))
                return problem_set(problem, CLI_FAILED, "--detach-keys %.64s: write letters or ctrl-LETTER",
                                   o->detach_keys);
        if (target_find(sandbox, &target, problem) || choose(&target, &choice, problem))
                return -1;
        config.socket = target.socket;
        config.name = target.name;
        config.sandbox = target.sandbox.id[0] ? &target.sandbox : NULL;
        config.attach = choice.proc;
        config.interactive = !o->no_stdin && choice.flags & PROTOCOL_PROCESS_STDIN;
        config.tty = choice.flags & PROTOCOL_PROCESS_TTY && isatty(0);
        config.keys = config.tty ? &keys : NULL;
        status = session_run(&config, &result, problem);
        if (status >= 0 && result.detached)
                fprintf(stderr, "\nleft running: vmlet attach %s %u\n", sandbox, choice.proc);
        return status;
}

static int run_attach(const struct cli_command *command, int argc, char **argv)
{
        struct attach_options o = { 0 };
        struct problem problem = { 0 };
        uint32_t proc = 0;
        int at = 0, status, r = cli_parse(command, argc, argv, &o, &at, &problem);

        if (r > 0)
                return 0;
        if (r || read_words(command, argc, argv, at, &proc, &problem))
                return cli_complain(command, &problem);
        status = attach(argv[at], proc, &o, &problem);
        return status < 0 ? cli_complain(command, &problem) : status;
}

static const struct {
        const char *name;
        int number;
} signals[] = {
        { "HUP", SIGHUP },       { "INT", SIGINT },     { "QUIT", SIGQUIT }, { "ILL", SIGILL },
        { "TRAP", SIGTRAP },     { "ABRT", SIGABRT },   { "IOT", SIGABRT },  { "BUS", SIGBUS },
        { "FPE", SIGFPE },       { "KILL", SIGKILL },   { "USR1", SIGUSR1 }, { "SEGV", SIGSEGV },
        { "USR2", SIGUSR2 },     { "PIPE", SIGPIPE },   { "ALRM", SIGALRM }, { "TERM", SIGTERM },
        { "STKFLT", SIGSTKFLT }, { "CHLD", SIGCHLD },   { "CLD", SIGCHLD },  { "CONT", SIGCONT },
        { "STOP", SIGSTOP },     { "TSTP", SIGTSTP },   { "TTIN", SIGTTIN }, { "TTOU", SIGTTOU },
        { "URG", SIGURG },       { "XCPU", SIGXCPU },   { "XFSZ", SIGXFSZ }, { "VTALRM", SIGVTALRM },
        { "PROF", SIGPROF },     { "WINCH", SIGWINCH }, { "IO", SIGIO },     { "POLL", SIGIO },
        { "PWR", SIGPWR },       { "SYS", SIGSYS },
};

/* "KILL", "SIGKILL", "kill" or "9". */
static int parse_signal(const char *text, struct problem *problem)
{
        const char *name = !strncasecmp(text, "SIG", 3) ? text + 3 : text;
        uint64_t number;

        if (parse_u64(text, &number) && number >= 1 && number <= 64)
                return (int)number;
        for (size_t i = 0; i < array_size(signals); i++) {
                if (!strcasecmp(signals[i].name, name))
                        return signals[i].number;
        }
        return problem_set(problem, CLI_FAILED, "--signal %.64s: not a signal: write TERM, SIGTERM or 15",
                           text);
}

static int queue_signal(struct agent *agent, void *who)
{
        return agent_signal(agent, who);
}

static int run_signal(const struct cli_command *command, int argc, char **argv)
{
        cleanup(target_fini) struct target target = TARGET_NONE;
        struct signal_options o = { .signal = "TERM" };
        struct problem problem = { 0 };
        struct protocol_signal request = { 0 };
        const struct ask ask = { .queue = queue_signal, .who = &request };
        int at = 0, number, r = cli_parse(command, argc, argv, &o, &at, &problem);

        if (r > 0)
                return 0;
        if (r || read_words(command, argc, argv, at, &request.proc, &problem))
                return cli_complain(command, &problem);
        number = parse_signal(o.signal, &problem);
        request.signal = (uint32_t)number;
        request.scope = o.all ? PROTOCOL_SCOPE_ALL : PROTOCOL_SCOPE_GROUP;
        if (number < 0 || target_find(argv[at], &target, &problem) || ask_run(&target, &ask, &problem))
                return cli_complain(command, &problem);
        return 0;
}

const struct cli_command cli_attach = {
        .name = "attach",
        .usage = "[OPTION]... SANDBOX [PROC]",
        .summary = "Take up a command that was left running",
        .details = "PROC is the number that vmlet exec -d printed; without it, the sandbox's main command, "
                   "or the only\n"
                   "one there is. What it wrote last (256 KiB) comes first. Several may watch; the last has "
                   "the input.\n"
                   "The exit status is as that of vmlet exec.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet attach box\n"
                   "  vmlet attach --no-stdin box 3\n",
        .options = attach_options,
        .run = run_attach,
};

const struct cli_command cli_signal = {
        .name = "signal",
        .usage = "[OPTION]... SANDBOX PROC",
        .summary = "Send a signal to a command in a sandbox",
        .details = "PROC is the number of the command; vmlet top --execs shows it.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet signal box 3\n"
                   "  vmlet signal -as KILL box 3\n",
        .options = signal_options,
        .run = run_signal,
};
