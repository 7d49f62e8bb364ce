#pragma once
/*
 * One who listens on a Unix socket, as a monitor does, in a process of its own: an agent by a script, or worse.
 */
#include <sys/types.h>

#include "guest/protocol.h"

struct peer {
        pid_t pid;
        char path[80];
};

/* peer_start() - each client is served in a child of its own, which ends when @serve returns. */
void peer_start(struct peer *p, void (*serve)(int client));
void peer_stop(struct peer *p); /* its socket stays, dead */

/* For those who serve. Whoever finds the client gone ends. */
void peer_say(int client, const void *bytes, size_t len);
void peer_say_frame(int client, enum protocol_type type, uint32_t id, const void *payload, uint32_t len);
void peer_say_welcome(int client); /* after the line of CONNECT: OK and WELCOME */
/* peer_read_frame() - the next of the client's. @payload: PROTOCOL_EXEC_MAX bytes */
void peer_read_frame(int client, struct protocol_frame *ret, uint8_t *payload);
