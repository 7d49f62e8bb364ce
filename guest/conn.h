/*
 * One client's connection: its frames, and what it asked for.
 *
 * States: new (only HELLO is legal) -> idle -> running (it reads an exec, or a worker child has it) -> idle ...
 * -> closing (an ERROR with id 0 is on its way out, nothing more is read) -> closed. Descriptors are watched
 * edge-triggered, so the flags below remember what each has to give until it says "no more"; conn_run() does
 * a bounded piece of work and says whether there is more. A log is a connection of the agent's own to the
 * monitor, which reads an exec like any other.
 */
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include "guest/held.h"
#include "guest/protocol.h"
#include "guest/ring.h"
#include "guest/text.h"

#define CONN_STDIN_WINDOW (64u << 10) /* one pipe: enough for one round trip at any speed that matters */
#define CONN_CHUNK        (32u << 10) /* of output in one frame */
#define CONN_IN_SIZE      (64u << 10)
#define CONN_OUT_SIZE     (2 * (PROTOCOL_HEADER_SIZE + CONN_CHUNK) + 16 * PROTOCOL_SMALL_MAX)

/* Whoever is served has a slot: execs first, then connections. */
#define EXECS_MAX     192u
#define SERVICE_CONNS 192u
#define SERVICE_SLOTS (EXECS_MAX + SERVICE_CONNS)

/* What all connections share: descriptions, and buffers for the time of one conn_run(). */
struct service {
        int epoll_fd;
        struct conn *conns;         /* SERVICE_CONNS */
        const struct sockaddr *log; /* of the monitor's log port, NULL = there is none */
        unsigned log_len;
        uint8_t due[SERVICE_SLOTS]; /* has something to do */
        unsigned nr_due;
        bool stopping;
        bool frozen; /* FREEZE: no command can be started */
        struct protocol_welcome welcome;
        struct protocol_shutdown shutdown; /* valid once stopping */
        uint8_t in[CONN_IN_SIZE];
        uint8_t out[CONN_OUT_SIZE];
        size_t out_len;
        size_t behind; /* of the input, bytes behind the frame that is handled; 0 once a worker has them */
};

/* What epoll gives back: whose event it is, and of which of its descriptors. */
#define CONN_TAG_SHIFT 2
static inline uint64_t conn_tag(unsigned slot, unsigned source)
{
        return (uint64_t)slot << CONN_TAG_SHIFT | source;
}

/* conn_wake() - whoever has that slot runs in this round or the next. */
static inline void conn_wake(struct service *s, unsigned slot)
{
        s->nr_due += !s->due[slot];
        s->due[slot] = 1;
}

struct exec;

/* Who reads an exec; what is his of it. */
struct exec_reader {
        struct service *service;
        unsigned slot;
        struct exec *exec; /* NULL = none now */
        uint32_t id;       /* of the request */
        uint32_t flags;    /* of ATTACH */
        struct ring_place place;
        bool in_done;         /* no more input will come */
        uint32_t in_used;     /* of the window */
        uint32_t in_consumed; /* of those, what reached the command and was not given back */
};

struct conn {
        struct service *service;
        int fd; /* -1 = free */
        bool greeted, readable, hangup, closing;
        bool is_log, connecting; /* to the monitor; not yet answered */
        struct held rx, tx;      /* a frame that is not whole; frames that the socket did not take */
        pid_t worker;            /* the child that has the socket for itself, 0 = none; see child.h */
        bool worker_half_closes;
        struct exec_reader reader;
        uint32_t list_id, list_next; /* a PROCESSES that is answered in several frames; id 0 = none */
};

/*
 * conn_open_take() - begin with a socket that was accepted, and keep it. Return: false if it cannot be
 * watched.
 */
bool conn_open_take(struct conn *c, struct service *service, int fd);

/* conn_event() - note what epoll says about the socket. */
void conn_event(struct conn *c, uint32_t events);

/* conn_worker_ended() - the worker child is over; after a good end the connection is the agent's again. */
void conn_worker_ended(struct conn *c, int status);

/*
 * conn_run() - do what can be done now. Return: true if more can be done at once. The connection may be
 * closed after.
 */
bool conn_run(struct conn *c);

/* conn_close() - end it; a command that was not detached is killed. */
void conn_close(struct conn *c);
