/*
 * vmlet port-forward: ports of this host that lead into a sandbox, until it is told to end.
 * Input:  the command line (the user); connections, in sandbox/.
 * Runs:   the tool's only thread, on a loop of its own.
 * Limits: PORTS_MAX ports.
 */
#include "cli/port_forward.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/target.h"
#include "sandbox/forward.h"
#include "vmm/base/io.h"

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
        bool quiet;
        int tell; /* who started us in the background waits there; -1: a person reads what is listened on */
        struct problem *problem;
        struct loop *loop;
        struct link *guard; /* as long as it stands, the guest is there */
        struct ev signals;
        struct forward *forwards[PORTS_MAX];
};

static void on_trouble(void *owner, const struct problem *problem)
{
        const struct ports *p = owner;

        if (!p->quiet)
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
        if (p->tell >= 0) {
                (void)!write(p->tell, "\n", 1);
                fd_closep(&p->tell);
                return;
        }
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

static int listen_all(struct ports *p, const struct target *target, const char *const *words, size_t nr)
{
        struct forward_config config = {
                .socket = target->socket, .name = target->name, .on_trouble = on_trouble, .owner = p
        };

        if (nr > PORTS_MAX)
                return problem_set(p->problem, CLI_FAILED, "at most %u ports", PORTS_MAX);
        for (size_t i = 0; i < nr; i++) {
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

/* Until a signal, or the end of the guest. Return: 0, or -1 with the problem. */
static int serve(struct ports *p, const struct target *target, const char *const *words, size_t nr)
{
        if (loop_new_alone(&p->loop) < 0 || watch(p, target))
                return problem_set(p->problem, CLI_FAILED, "out of memory or descriptors");
        if (listen_all(p, target, words, nr))
                return -1;
        if (loop_run(p->loop) < 0)
                return problem_set(p->problem, CLI_FAILED, "%s", err_where());
        return p->problem->status ? -1 : 0;
}

static int run(const struct cli_command *command, int argc, char **argv)
{
        cleanup(target_fini) struct target target = TARGET_NONE;
        struct forward_options o = { 0 };
        struct problem problem = { 0 };
        cleanup(ports_fini) struct ports p = { .problem = &problem, .tell = -1 };
        int at = 0, r = cli_parse(command, argc, argv, &o, &at, &problem);

        if (r > 0)
                return 0;
        if (!r && at + 2 > argc)
                r = problem_set(&problem, CLI_FAILED, "%s vmlet port-forward %s",
                                at < argc ? "which port?" : "which sandbox?", command->usage);
        p.quiet = o.quiet;
        if (!r)
                r = target_find(argv[at], &target, &problem);
        if (!r)
                r = serve(&p, &target, (const char *const *)argv + at + 1, (size_t)(argc - at - 1));
        return r ? cli_complain(command, &problem) : 0;
}

/* Everything but @a and @b, which may be the same, and the three that are /dev/null now. */
static void close_others(int a, int b)
{
        unsigned low = (unsigned)(a < b ? a : b), high = (unsigned)(a < b ? b : a);

        if (low > 3)
                (void)!io_close_range(3, low - 1, IO_CLOSE);
        if (high > low + 1)
                (void)!io_close_range(low + 1, high - 1, IO_CLOSE);
        (void)!io_close_range(high + 1, ~0u, IO_CLOSE);
}

static void serve_in_background(const struct target *target, const char *const *words, size_t nr, int tell)
{
        struct problem problem = { 0 };
        struct ports p = { .problem = &problem, .quiet = true, .tell = tell };
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        (void)setsid();
        for (int fd = 0; fd < 3; fd++)
                (void)!dup2(null, fd);
        close_others(target->sandbox.run_fd >= 0 ? target->sandbox.run_fd : tell, tell);
        if (serve(&p, target, words, nr) && p.tell >= 0)
                (void)!write(p.tell, problem.text, strlen(problem.text));
        ports_fini(&p);
        _exit(0);
}

int port_forward_start(const struct sandbox *s, const char *name, const char *const *words, size_t nr,
                       struct problem *problem)
{
        const struct target target = { .name = name, .socket = s->agent, .sandbox = *s };
        char text[sizeof(problem->text)] = "";
        int ends[2];
        pid_t pid;
        ssize_t n;

        if (!nr)
                return 0;
        if (pipe2(ends, O_CLOEXEC))
                return problem_set(problem, CLI_FAILED, "%s", strerror(errno));
        pid = fork();
        if (!pid) { /* once more, so that it is nobody's child */
                if (fork())
                        _exit(0);
                serve_in_background(&target, words, nr, ends[1]);
        }
        close(ends[1]);
        if (pid > 0)
                (void)!waitpid(pid, NULL, 0);
        n = pid < 0 ? -1 : read(ends[0], text, sizeof(text) - 1);
        close(ends[0]);
        if (n == 1 && *text == '\n')
                return 0;
        return problem_set(problem, CLI_FAILED, "--publish: %s",
                           n > 0 ? text : "the ports cannot be led there");
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
