/*
 * Serves clients: one epoll loop over the listener, the connections, their commands and the signals of
 * children.
 */
#pragma once

#include "guest/conn.h"

/* 128 execs at once and room beside them; four descriptors each stay under 1024. */
#define SERVER_CONNS_MAX 192u

/* What the server cannot do by itself: the machine's end. */
struct server_ops {
        void (*signal_all)(int signal);
        void (*end)(uint32_t how); /* PROTOCOL_POWER_OFF or PROTOCOL_REBOOT */
};

struct server {
        const struct server_ops *ops;
        struct service service;
        int listen_fd, signal_fd;
        struct conn conns[SERVER_CONNS_MAX];
        bool has_client, has_dead; /* for this round to take; of the dead some may be left for the next */
        bool killed;
        int64_t deadline_ms; /* of the shutdown's current step */
};

/*
 * server_init() - @s is static memory; SIGCHLD and SIGPIPE are blocked from here on.
 * @listen_fd: not blocking; borrowed. -1 = nobody can connect, children are reaped only.
 * Return: 0 or a negative errno.
 */
int server_init(struct server *s, int listen_fd, const struct server_ops *ops);

/* server_run() - until ops->end() has returned, or a negative errno if the loop itself cannot go on. */
int server_run(struct server *s);
