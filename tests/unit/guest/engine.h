#pragma once
/*
 * The agent's engine in a process of its own, behind a Unix socket instead of vsock: for tests that talk to
 * it.
 */
#include <stdint.h>
#include <sys/types.h>

struct engine {
        pid_t pid;
        char dir[32], path[64]; /* path: its socket */
};

/* What the child does differently. */
struct engine_options {
        uint16_t state; /* PROTOCOL_STATE_OK, or what WELCOME should say */
        const char *message;
};

void engine_start(struct engine *e, const struct engine_options *options);

/* engine_connect() - a blocking stream socket to it. */
int engine_connect(const struct engine *e);

/* engine_listen_log() - be the monitor: the agent's logs connect to this. */
int engine_listen_log(const struct engine *e);

/* engine_wait() - until it ends by itself. Return: its wait status. */
int engine_wait(struct engine *e);

/* engine_stop() - end it by force. */
void engine_stop(struct engine *e);

/* engine_memory_kib() - its private memory now. */
long engine_memory_kib(const struct engine *e);

/* engine_fds() - its open descriptors now. */
int engine_fds(const struct engine *e);
