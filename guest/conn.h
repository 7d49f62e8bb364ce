/*
 * One client's connection: its frames, and the command it runs.
 *
 * States: new (only HELLO is legal) -> idle -> running (EXEC) -> idle ... -> closing (an ERROR with id 0 is
 * on its way out, nothing more is read) -> closed. Descriptors are watched edge-triggered, so the flags
 * below remember what each has to give until it says "no more"; conn_run() does a bounded piece of work and
 * says whether there is more.
 */
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include "guest/held.h"
#include "guest/protocol.h"
#include "guest/text.h"

#define CONN_STDIN_WINDOW (64u << 10) /* one pipe: enough for one round trip at any speed that matters */
#define CONN_CHUNK        (32u << 10) /* of output in one frame */
#define CONN_IN_SIZE      (64u << 10)
#define CONN_OUT_SIZE     (2 * (PROTOCOL_HEADER_SIZE + CONN_CHUNK) + 16 * PROTOCOL_SMALL_MAX)

/* What all connections share: descriptions, and buffers for the time of one conn_run(). */
struct service {
        int epoll_fd;
        bool stopping;
        bool frozen;       /* FREEZE: no command can be started */
        uint32_t nr_execs; /* that run */
        struct protocol_welcome welcome;
        struct protocol_shutdown shutdown; /* valid once stopping */
        uint8_t in[CONN_IN_SIZE];
        uint8_t out[CONN_OUT_SIZE];
        size_t out_len;
        size_t behind; /* of the input, bytes behind the frame that is handled; 0 once a worker has them */
};

enum conn_source { CONN_SOCKET, CONN_STDOUT, CONN_STDERR, CONN_STDIN, CONN_SOURCE_NR };

struct conn_pipe {
        int fd;     /* -1 = at its end */
        bool ready; /* may have something */
        int left;   /* bytes still to be sent after the command's end, -1 = not known */
};

struct conn {
        struct service *service;
        uint64_t tag; /* for epoll: tag + enum conn_source */
        int fd;       /* -1 = free */
        bool greeted, readable, hangup, closing;
        struct held rx, tx; /* a frame that is not whole; frames that the socket did not take */
        pid_t worker;       /* the child that has the socket for itself, 0 = none; see child.h */
        bool worker_half_closes;

        pid_t pid; /* 0 = no command */
        uint32_t id;
        bool ended, in_done, in_watched;
        int in;
        struct held in_held;
        uint32_t in_used;     /* of the window */
        uint32_t in_consumed; /* of those, what reached the pipe and was not given back */
        struct conn_pipe out, err;
        struct protocol_exit exit;
};

/*
 * conn_open_take() - begin with a socket that was accepted, and keep it. Return: false if it cannot be
 * watched.
 */
bool conn_open_take(struct conn *c, struct service *service, int fd, uint64_t tag);

/* conn_event() - note what epoll says about one of the descriptors. */
void conn_event(struct conn *c, enum conn_source source, uint32_t events);

/* conn_ended() - the command is over; how, as wait4() says. */
void conn_ended(struct conn *c, int status, const struct rusage *usage);

/* conn_worker_ended() - the worker child is over; after a good end the connection is the agent's again. */
void conn_worker_ended(struct conn *c, int status);

/*
 * conn_run() - do what can be done now. Return: true if more can be done at once. The connection may be
 * closed after.
 */
bool conn_run(struct conn *c);

/* conn_close() - end it; a command that runs is killed with its process group. */
void conn_close(struct conn *c);
