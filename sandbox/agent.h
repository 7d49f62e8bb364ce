#pragma once
/*
 * The host's side of the agent's protocol (docs/protocol.md), as a machine that is fed with bytes: no
 * descriptors, no waiting, no globals. Whoever drives it (sandbox/link.h) moves bytes between it and a socket:
 *
 *   agent_room() / agent_fed()       bytes that came from the socket go in
 *   agent_next()                     events come out, until AGENT_NOTHING
 *   agent_out()  / agent_sent()      bytes that the socket should take
 *
 * It begins with CONNECT and HELLO queued, and a request may be queued at once behind them: an exec over
 * a fresh connection costs one round trip of frames. One long request at a time (EXEC, ATTACH, FILE, PROCESSES,
 * METRICS, CONNECT, SYNC, FREEZE); beside it up to AGENT_SMALL_MAX short ones. An answer that nobody
 * asked for, or in an order that the protocol does not have, is an error: the peer may be anything.
 */
#include "guest/protocol.h"
#include "guest/protocol_file.h"
#include "guest/protocol_request.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"

#define AGENT_SMALL_MAX 8 /* short requests that wait for their answer */

struct agent;

enum agent_kind {
        AGENT_NOTHING, /* feed more */
        AGENT_WELCOME,
        AGENT_STARTED,
        AGENT_STDOUT, /* bytes */
        AGENT_STDERR, /* bytes */
        AGENT_LOST,   /* number: bytes of output that came too fast for this reader */
        AGENT_EXIT,
        AGENT_ERROR,     /* the request (or with id 0 the connection) failed */
        AGENT_DONE,      /* number: of PING, how many execs run; of a LIST, the next offset */
        AGENT_PROCESSES, /* bytes: whole records, each checked, for protocol_parse_process() */
        AGENT_DATA,      /* bytes */
        AGENT_STATUS,
        AGENT_ENTRIES, /* bytes: whole records, each checked, for protocol_parse_status() */
        AGENT_WATCHED,
        AGENT_REPORT, /* bytes: whole lines, each checked, for protocol_parse_metric() */
        AGENT_STREAM, /* bytes of what CONNECT reached */
        AGENT_KIND_NR
};

/* Views into the agent's buffer: valid until the next agent_next() or agent_room(). */
struct agent_event {
        enum agent_kind kind;
        uint32_t id;
        enum protocol_type of; /* the request that it answers; 0 = none */
        const uint8_t *bytes;
        size_t len;
        uint64_t number;
        union {
                struct protocol_welcome welcome;
                struct protocol_started started;
                struct protocol_exit exit;
                struct protocol_error error;
                struct protocol_status status;
                struct protocol_event watched;
        };
};

enum {
        AGENT_OK,
        AGENT_E_NOT_VSOCK = PROTOCOL_E_NR, /* whoever is there does not answer CONNECT with OK */
        AGENT_E_ORDER,                     /* a frame that is right but not now */
        AGENT_E_BUSY,                      /* ours: too many requests at a time */
};

int must_check agent_new(struct agent **ret);
void agent_free(struct agent *a);
DEFINE_CLEANUP(struct agent *, agent_free)

/* agent_restart() - the same from the beginning over another socket, while agent_is_connected() is not yet true. */
void agent_restart(struct agent *a);

/* agent_room() - where to put bytes from the socket. Never 0 once agent_next() has said AGENT_NOTHING. */
uint8_t *agent_room(struct agent *a, size_t *ret_size);
void agent_fed(struct agent *a, size_t n);

/*
 * agent_next() - the next event.
 * Return: 0 and the event, or a PROTOCOL_E_ or AGENT_E_: the peer is not an agent of this protocol; give up. A negative
 * errno: no memory for a large frame.
 */
int must_check agent_next(struct agent *a, struct agent_event *ret);

const uint8_t *agent_out(const struct agent *a, size_t *ret_len);
void agent_sent(struct agent *a, size_t n);

bool agent_is_connected(const struct agent *a); /* the other end said OK: a guest's agent is on the line */
bool agent_is_greeted(const struct agent *a);   /* and WELCOME */
bool agent_is_stream(const struct agent *a);    /* CONNECT succeeded: bytes, no frames */
/* Does it owe an answer that a living agent gives at once? */
bool agent_is_waiting(const struct agent *a);
/* Is an EXEC or ATTACH under way, which may say nothing for as long as it likes? */
bool agent_is_running(const struct agent *a);

/*
 * Requests: each queues one frame. Return: 0, a PROTOCOL_E_ or AGENT_E_BUSY if it is against the limits, or a
 * negative errno.
 */
int must_check agent_exec(struct agent *a, const struct protocol_exec_request *req); /* its id is set here */
int must_check agent_attach(struct agent *a, const struct protocol_attach *req);
int must_check agent_file(struct agent *a, const struct protocol_file *req);
int must_check agent_connect(struct agent *a, const struct protocol_connect *req);
int must_check agent_signal(struct agent *a, const struct protocol_signal *req);
int must_check agent_resize(struct agent *a, const struct protocol_resize *req);
int must_check agent_environment(struct agent *a, const char *const *items);
int must_check agent_shutdown(struct agent *a, uint32_t how, uint32_t grace_ms);
/* agent_plain() - PING, METRICS, SYNC; or with @value PROCESSES, FREEZE, CLOCK. */
int must_check agent_plain(struct agent *a, enum protocol_type type, uint64_t value);
/* agent_probe() - a PING whose answer agent_is_waiting() does not count: it may be late */
int must_check agent_probe(struct agent *a);
/* agent_id() - of the request that was queued last */
uint32_t agent_id(const struct agent *a);

/*
 * Input: of an EXEC or ATTACH with STDIN within the agent's window, of a file, or of a stream.
 * agent_input() - where the next bytes may be put, and how many: none before WELCOME has told the window, while much
 * is still unsent, or when nothing takes input. NULL only without memory.
 * agent_input_done() - so many were put there; @end: no more will come (a stream's end is the driver's).
 * Nothing else of the agent may be called between the two.
 */
uint8_t *agent_input(struct agent *a, size_t *ret_room);
void agent_input_done(struct agent *a, size_t n, bool end);
size_t agent_input_room(const struct agent *a);

/* In words, for both PROTOCOL_E_ and AGENT_E_. */
const char *agent_strerror(int error);
