#pragma once
/*
 * The host's side of the agent's protocol (docs/protocol.md), as a machine that is fed with bytes: no
 * descriptors, no waiting, no globals. Whoever drives it moves bytes between it and a socket:
 *
 *   agent_room() / agent_fed()       bytes that came from the socket go in
 *   agent_next()                     events come out, until AGENT_NOTHING
 *   agent_out()  / agent_sent()      bytes that the socket should take
 *
 * It begins with CONNECT and HELLO queued, and a request may be queued at once behind them: an exec over
 * a fresh connection costs one round trip of frames. One command at a time; the next after its end.
 */
#include "guest/protocol.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"

struct agent;

enum agent_kind {
        AGENT_NOTHING, /* feed more */
        AGENT_WELCOME,
        AGENT_STDOUT,
        AGENT_STDERR,
        AGENT_EXIT,
        AGENT_ERROR, /* the request (or with id 0 the connection) failed */
        AGENT_DONE,
        AGENT_KIND_NR
};

/* Views into the agent's buffer: valid until the next call. */
struct agent_event {
        enum agent_kind kind;
        uint32_t id;
        const uint8_t *bytes; /* AGENT_STDOUT, AGENT_STDERR */
        size_t len;
        struct protocol_welcome welcome;
        struct protocol_exit exit;
        struct protocol_error error;
};

enum {
        AGENT_OK,
        AGENT_E_NOT_VSOCK = PROTOCOL_E_NR, /* whoever is there does not answer CONNECT with OK */
        AGENT_E_ORDER,                     /* a frame that is right but not now */
};

int must_check agent_new(struct agent **ret);
void agent_free(struct agent *a);
DEFINE_CLEANUP(struct agent *, agent_free)

/* agent_room() - where to put bytes from the socket. Never 0 once agent_next() has said AGENT_NOTHING. */
uint8_t *agent_room(struct agent *a, size_t *ret_size);
void agent_fed(struct agent *a, size_t n);

/*
 * agent_next() - the next event.
 * Return: 0 and the event, or a PROTOCOL_E_ or AGENT_E_: the peer is not an agent of this protocol; give up.
 */
int must_check agent_next(struct agent *a, struct agent_event *ret);

const uint8_t *agent_out(const struct agent *a, size_t *ret_len);
void agent_sent(struct agent *a, size_t n);

/* Has the other end said OK: is a guest's agent on the line? */
bool agent_is_connected(const struct agent *a);

/*
 * agent_exec() - queue an EXEC; its id is set by the agent.
 * Return: 0, a PROTOCOL_E_ if it is against the limits, or a negative errno.
 */
int must_check agent_exec(struct agent *a, const struct protocol_exec_request *req);

/* agent_stdin_room() - how many bytes of input may be queued now; 0 until WELCOME has told the window. */
size_t agent_stdin_room(const struct agent *a);
/* agent_stdin() - queue input, at most agent_stdin_room(); @end says that no more will come. */
int must_check agent_stdin(struct agent *a, const void *bytes, size_t n, bool end);

int must_check agent_shutdown(struct agent *a, uint32_t how, uint32_t grace_ms);

/* In words, for both PROTOCOL_E_ and AGENT_E_. */
const char *agent_strerror(int error);
