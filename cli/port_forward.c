/*
 * vmlet port-forward: ports of this host that lead into a sandbox, until it is told to end.
 * Input:  the command line (the user); connections, in sandbox/.
 * Runs:   the tool's only thread, on a loop of its own.
 * Limits: PORTS_MAX ports.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#include "cli/cli.h"
#include "cli/target.h"
#include "sandbox/forward.h"

#define PORTS_MAX 64

struct forward_options {
        bool quiet;
};

static const struct cli_option options[] = {
        { 'q', "quiet", CLI_FLAG, NULL, offsetof(struct forward_options, quiet),
          "say nothing about connections that fail" },
        { 0 },
};

struct ports {
        const struct forward_options *options;
        struct problem *problem;
        struct loop *loop;
        struct link *guard; /* as long as it stands, the guest is there */
        struct ev signals;
        struct forward *forwards[PORTS_MAX];
};

static void on_trouble(void *owner, const struct problem *problem)
{
        const struct ports *p = owner;

        if (!p->options->quiet)
                fprintf(stderr, "vmlet port-forward: %s\n", problem->text);
}

/* Once the guest has answered, what it listens for is told. */
static void on_event(void *owner, const struct agent_event *event)
{
        struct ports *p = owner;
        char text[FORWARD_TEXT];

        if (event->kind == AGENT_ERROR) {
                (void)!link_explain(&event->error, p->problem);
                loop_stop(p->loop);
        }
        if (event->kind != AGENT_DONE)
                return;
        for (size_t i = 0; i < PORTS_MAX && p->forwards[i]; i++)
                puts(forward_tell(p->forwards[i], text));
        fflush(stdout);
}

static void on_end(void *owner, const struct problem *problem)
{
        struct ports *p = owner;

        *p->problem = *problem;
        loop_stop(p->loop);
}

static int on_signal(struct ev *ev, uint32_t events)
{
        const struct ports *p = container_of(ev, struct ports, signals);

        (void)events;
        loop_stop(p->loop);
        return 0;
}

static int watch(struct ports *p, const struct target *target)
{
        static const struct link_ops ops = { .on_event = on_event, .on_end = on_end };
        const struct link_config config = { .socket = target->socket,
                                            .name = target->name,
                                            .ops = &ops,
                                            .owner = p,
                                            .answer_ms = LINK_ANSWER_MS };
        sigset_t set;
        int r;

        sigemptyset(&set);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        (void)!sigprocmask(SIG_BLOCK, &set, NULL);
        p->signals = (struct ev){ .call = on_signal, .fd = signalfd(-1, &set, SFD_CLOEXEC) };
        r = p->signals.fd < 0 ? -EMFILE : loop_add(p->loop, &p->signals, EPOLLIN);
        if (!r)
                r = link_new(p->loop, &config, &p->guard);
        if (!r)
                r = agent_plain(link_agent(p->guard), PROTOCOL_PING, 0);
        if (!r)
                link_start(p->guard);
        return r;
}

static int listen_all(struct ports *p, const struct target *target, char **words, int nr)
{
        struct forward_config config = {
                .socket = target->socket, .name = target->name, .on_trouble = on_trouble, .owner = p
        };

        if (nr > PORTS_MAX)
                return problem_set(p->problem, CLI_FAILED, "at most %u ports", PORTS_MAX);
        for (int i = 0; i < nr; i++) {
                if (forward_parse(words[i], &config.spec, p->problem) ||
                    forward_new(p->loop, &config, &p->forwards[i], p->problem))
                        return -1;
        }
        return 0;
}

static void ports_fini(struct ports *p)
{
        for (size_t i = 0; i < PORTS_MAX; i++)
                forward_free(p->forwards[i]);
        link_free(p->guard);
        if (p->loop)
                loop_remove(p->loop, &p->signals);
        if (p->signals.call)
                fd_closep(&p->signals.fd);
        loop_free(p->loop);
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        cleanup(target_fini) struct target target = TARGET_NONE;
        struct forward_options o = { 0 };
        struct problem problem = { 0 };
        cleanup(ports_fini) struct ports p = { .options = &o, .problem = &problem };
        int at = 0, r = cli_parse(command, argc, argv, &o, &at, &problem);

        if (r > 0)
                return 0;
        if (!r && at + 2 > argc)
                r = problem_set(&problem, CLI_FAILED, "%s vmlet port-forward %s",
                                at < argc ? "which port?" : "which sandbox?", command->usage);
        if (!r)
                r = target_find(argv[at], &target, &problem);
        if (!r && (loop_new(&p.loop) < 0 || watch(&p, &target)))
                r = problem_set(&problem, CLI_FAILED, "out of memory or descriptors");
        if (!r)
                r = listen_all(&p, &target, argv + at + 1, argc - at - 1);
        if (!r && loop_run(p.loop) < 0)
                r = problem_set(&problem, CLI_FAILED, "%s", err_where());
        return problem.status ? cli_complain(command, &problem) : r;
}

const struct cli_command cli_port_forward = {
        .name = "port-forward",
        .usage = "[OPTION]... SANDBOX [ADDRESS:]PORT[:GUEST_PORT]...",
        .summary = "Lead ports of this host into a sandbox",
        .details = "Listens on the loopback, or on ADDRESS; port 0 is any that is free. GUEST_PORT, on the "
                   "guest's\n"
                   "loopback, may be the /PATH of a Unix socket there. Prints what it listens on, and ends "
                   "on ^C.\n"
                   "\n"
                   "Examples:\n"
                   "  vmlet port-forward box 8080:80\n"
                   "  vmlet port-forward box 0.0.0.0:2222:22 5432:/run/postgresql/.s.PGSQL.5432\n",
        .options = options,
        .run = run,
};
