/*
 * vmlet-net: the network of one sandbox, in a process of its own.
 * Input:  options of a program or a person.
 * Runs:   main thread; there is no other.
 * Limits: one sandbox a process.
 *
 * The stages, in order: read and check the options and the policy, open everything, run until the wire ends.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/command.h"
#include "net/gateway.h"
#include "net/options.h"
#include "net/policy_parse.h"
#include "net/publish.h"
#include "net/status.h"
#include "vmm/base/io.h"
#include "vmm/base/uds.h"

#define RESOLV_CONF "/etc/resolv.conf"

struct life {
        struct options options;
        struct policy policy;
        struct events events;
        struct uds socket;
        int listen_fd;
        struct publish *publish;
        struct loop *loop;
        struct gateway *gateway;
        struct command *command;
        struct ev signals, addresses;
        int wire_error;
};

static int read_policy(struct life *l, struct problem *p)
{
        cleanup(freep) char *text = NULL;
        const char *path = l->options.policy;
        struct policy_mistake mistake;
        int r = io_read_file(path, POLICY_TEXT_MAX, &text);

        if (r < 0)
                return problem_set(p, NET_E_INPUT, "cannot read the policy '%s': %s", path, strerror(-r));
        if (!policy_parse(text, strlen(text), &l->policy, &mistake))
                return problem_set(p, NET_E_INPUT, "%s:%u: %s", path, mistake.line, mistake.text);
        if (l->policy.mode == POLICY_NONE)
                return problem_set(p, NET_E_INPUT,
                                   "%s: with mode none there is no network; deny is the word for one "
                                   "that reaches nothing",
                                   path);
        return 0;
}

static int check_wire(int fd, struct problem *p)
{
        int type = 0, domain = 0;
        socklen_t len = sizeof(type);

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
            getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || type != SOCK_STREAM ||
            domain != AF_UNIX)
                return problem_set(p, NET_E_USAGE, "--fd: descriptor %d is no Unix stream socket", fd);
        return 0;
}

static int open_all(struct life *l, struct problem *p)
{
        struct options *o = &l->options;

        if (check_wire(o->fd, p) || read_policy(l, p) ||
            events_open(&l->events, o->events, o->events_limit_bytes, p) ||
            publish_open(o->ports, o->nr_ports, &l->publish, p))
                return -1;
        if (o->control && uds_listen("control", o->control, NET_E_INPUT, p, &l->socket, &l->listen_fd))
                return -1;
        if (!o->nr_resolvers)
                o->nr_resolvers = dns_read_servers(RESOLV_CONF, o->resolvers);
        return 0;
}

static void on_wire_end(void *owner, int error)
{
        struct life *l = owner;

        l->wire_error = error;
        loop_stop(l->loop);
}

static int on_signal(struct ev *ev, uint32_t events)
{
        const struct life *l = container_of(ev, struct life, signals);

        (void)events;
        loop_stop(l->loop);
        return 0;
}

static int watch_signals(struct life *l)
{
        sigset_t set;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
        l->signals = (struct ev){ .call = on_signal, .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) };
        if (l->signals.fd < 0)
                return err_new(-errno);
        return loop_add(l->loop, &l->signals, EPOLLIN);
}

static int on_addresses(struct ev *ev, uint32_t events)
{
        struct life *l = container_of(ev, struct life, addresses);

        (void)events;
        host_watch_drain(ev->fd);
        host_addresses(&gateway_gate(l->gateway)->host);
        return 0;
}

/* First watched, then read, so that none is missed. */
static int watch_addresses(struct life *l)
{
        l->addresses = (struct ev){ .call = on_addresses, .fd = host_watch() };
        if (l->addresses.fd < 0)
                return l->addresses.fd;
        host_addresses(&gateway_gate(l->gateway)->host);
        return loop_add(l->loop, &l->addresses, EPOLLIN);
}

static int start(struct life *l)
{
        struct options *o = &l->options;
        struct gateway_config config = { .fd = steal_fd(&o->fd),
                                         .lan = o->lan,
                                         .policy = &l->policy,
                                         .events = &l->events,
                                         .nr_resolvers = o->nr_resolvers,
                                         .on_end = on_wire_end,
                                         .owner = l };
        int r = loop_new(&l->loop);

        if (r < 0)
                return r;
        config.loop = l->loop;
        memcpy(config.resolvers, o->resolvers, sizeof(o->resolvers));
        r = gateway_new(&config, &l->gateway);
        if (r < 0)
                return r;
        r = watch_addresses(l);
        if (!r)
                r = publish_start(l->publish, l->loop, &o->lan, gateway_splice(l->gateway),
                                  gateway_udp(l->gateway));
        if (!r && l->listen_fd >= 0)
                r = command_new(l->loop, l->gateway, steal_fd(&l->listen_fd), &l->command);
        return r ? r : watch_signals(l);
}

static int run(struct life *l, struct problem *p)
{
        int r = start(l);

        if (r < 0)
                return problem_set(p, NET_E_HOST, "cannot start: %s", strerror(-r));
        if (l->options.ready_fd >= 0)
                (void)!write(l->options.ready_fd, "ready\n", 6);
        fd_closep(&l->options.ready_fd);
        r = loop_run(l->loop);
        if (r < 0)
                return problem_set(p, NET_E_HOST, "the host failed: %s (%s)", strerror(-r), err_where());
        if (l->wire_error)
                return problem_set(p, NET_E_WIRE, "the wire failed: %s", strerror(-l->wire_error));
        return 0;
}

static void end(struct life *l)
{
        command_free(l->command);
        publish_free(l->publish);
        gateway_free(l->gateway);
        if (l->loop) {
                loop_remove(l->loop, &l->signals);
                loop_remove(l->loop, &l->addresses);
                loop_free(l->loop);
        }
        fd_closep(&l->signals.fd);
        fd_closep(&l->addresses.fd);
        fd_closep(&l->listen_fd);
        uds_unlink(&l->socket);
        events_close(&l->events);
}

/* Each connection is a descriptor or two, and the usual soft limit is what select(2) could take. */
static void allow_descriptors(void)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        (void)!setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
        static struct life life = { .listen_fd = -1,
                                    .signals.fd = -1,
                                    .addresses.fd = -1,
                                    .events.file = { .folder = -1, .fds = { -1, -1 } } };
        struct problem problem = { 0 };

        (void)signal(SIGPIPE, SIG_IGN);
        (void)signal(SIGXFSZ, SIG_IGN);
        if (!options_read(&life.options, argc, argv, &problem)) {
                switch (life.options.mode) {
                case OPTIONS_HELP:
                        options_help();
                        break;
                case OPTIONS_VERSION:
                        (void)puts("vmlet-net " VMLET_VERSION);
                        break;
                case OPTIONS_RUN:
                        allow_descriptors();
                        if (!open_all(&life, &problem))
                                (void)run(&life, &problem);
                        end(&life);
                        break;
                }
        }
        if (problem.status)
                (void)fprintf(stderr, "vmlet-net: %s\n", problem.text);
        return problem.status;
}
