/*
 * Client of the agent: frames from bytes, bytes from requests.
 * Input:  bytes of the guest's agent (hostile).
 * Runs:   one thread at a time; pure but for its own memory.
 * Limits: one frame in; out, the requests of one round, AGENT_SMALL_MAX short ones and UNSENT_MAX of input.
 */
#include "sandbox/agent.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/agent_order.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"

#define IN_SIZE     (PROTOCOL_HEADER_SIZE + PROTOCOL_DATA_MAX) /* the largest frame */
#define IN_FIRST    1024 /* all that a short command says: its pages are what it costs here */
#define OUT_SPARE   512  /* room behind a request for the next */
#define OK_LINE_MAX 32   /* "OK 4294967295\n" and to spare */
#define WINDOW_MAX  (1u << 20)
#define UNSENT_MAX  (16u << 10) /* more than that unsent: no more input */

struct agent {
        bool connected, greeted, stream;
        uint32_t last_id;
        struct agent_order order;
        uint32_t window; /* as WELCOME said */
        uint32_t credit; /* of it, what may be sent now */
        bool input_open, input_windowed;
        uint8_t *in; /* first, until more comes at once */
        size_t in_start, in_end, in_size;
        bool in_filled; /* all the room there was */
        uint8_t *out;   /* all of it is kept until connected: it may have to be said again */
        size_t out_start, out_end, out_size;
        uint8_t first[IN_FIRST];
};

static int queue_room(struct agent *a, size_t n, uint8_t **ret)
{
        if (a->out_start == a->out_end && a->connected)
                a->out_start = a->out_end = 0;
        if (a->out_size - a->out_end < n) {
                size_t size = a->out_end + n + OUT_SPARE;
                uint8_t *out = realloc(a->out, size);

                if (!out)
                        return err_new(-ENOMEM);
                a->out = out;
                a->out_size = size;
        }
        *ret = a->out + a->out_end;
        return 0;
}

int agent_new(struct agent **ret)
{
        cleanup(agent_freep) struct agent *a = malloc(sizeof(*a));
        uint8_t *at = NULL;

        if (!a)
                return err_new(-ENOMEM);
        memset(a, 0, offsetof(struct agent, first));
        a->in = a->first;
        a->in_size = sizeof(a->first);

        int r = queue_room(a, OK_LINE_MAX + PROTOCOL_SMALL_MAX, &at);

        if (r < 0)
                return err_trace(r);
        a->out_end += (size_t)snprintf((char *)at, OK_LINE_MAX, "CONNECT %u\n", PROTOCOL_PORT);
        a->out_end += protocol_put_hello(a->out + a->out_end, 0);
        *ret = steal_ptr(&a);
        return 0;
}

void agent_free(struct agent *a)
{
        if (a) {
                free(a->out);
                if (a->in != a->first)
                        free(a->in);
        }
        free(a);
}

void agent_restart(struct agent *a)
{
        ASSERT(!a->connected);
        a->in_start = a->in_end = a->out_start = 0;
}

static int grow_in(struct agent *a)
{
        uint8_t *in = malloc(IN_SIZE);

        if (!in)
                return err_new(-ENOMEM);
        memcpy(in, a->in, a->in_end);
        a->in = in; /* the first is a part of *a */
        a->in_size = IN_SIZE;
        return 0;
}

uint8_t *agent_room(struct agent *a, size_t *ret_size)
{
        if (a->in_start) {
                memmove(a->in, a->in + a->in_start, a->in_end - a->in_start);
                a->in_end -= a->in_start;
                a->in_start = 0;
        }
        if (a->in_filled && a->in_size < IN_SIZE)
                (void)!grow_in(a); /* what is there does, only slower */
        *ret_size = a->in_size - a->in_end;
        return a->in + a->in_end;
}

void agent_fed(struct agent *a, size_t n)
{
        a->in_end += n;
        a->in_filled = a->in_end == a->in_size;
}

const uint8_t *agent_out(const struct agent *a, size_t *ret_len)
{
        *ret_len = a->out_end - a->out_start;
        return a->out + a->out_start;
}

void agent_sent(struct agent *a, size_t n)
{
        a->out_start += n;
}

bool agent_is_connected(const struct agent *a)
{
        return a->connected;
}

bool agent_is_greeted(const struct agent *a)
{
        return a->greeted;
}

bool agent_is_stream(const struct agent *a)
{
        return a->stream;
}

bool agent_is_waiting(const struct agent *a)
{
        return !a->greeted || agent_order_is_waiting(&a->order);
}

bool agent_is_running(const struct agent *a)
{
        return a->greeted && agent_order_is_running(&a->order);
}

uint32_t agent_id(const struct agent *a)
{
        return a->last_id;
}

/* "OK <port>\n" of the monitor's socket. */
static int take_ok(struct agent *a)
{
        const char *line = (const char *)a->in + a->in_start;
        size_t len = a->in_end - a->in_start;
        const char *end = memchr(line, '\n', len < OK_LINE_MAX ? len : OK_LINE_MAX);

        if (memcmp(line, "OK ", len < 3 ? len : 3) || (!end && len >= OK_LINE_MAX))
                return AGENT_E_NOT_VSOCK;
        if (!end)
                return PROTOCOL_E_MORE;
        a->in_start += (size_t)(end - line) + 1;
        a->connected = true;
        return AGENT_OK;
}

static int on_welcome(struct agent *a, const uint8_t *p, const struct protocol_frame *frame,
                      struct agent_event *ret)
{
        int r = protocol_parse_welcome(p, frame->len, &ret->welcome);

        if (r)
                return r;
        if (a->greeted)
                return AGENT_E_ORDER;
        if (ret->welcome.stdin_window > WINDOW_MAX)
                return PROTOCOL_E_VALUE;
        a->greeted = true;
        a->window = a->credit = ret->welcome.stdin_window;
        ret->kind = AGENT_WELCOME;
        return AGENT_OK;
}

static int on_window(struct agent *a, const uint8_t *p, const struct protocol_frame *frame)
{
        uint32_t bytes = 0;
        int r = protocol_parse_window(p, frame->len, &bytes);

        if (r)
                return r;
        if (bytes > a->window - a->credit)
                return PROTOCOL_E_VALUE;
        a->credit += bytes;
        return AGENT_OK;
}

static int on_frame(struct agent *a, const struct protocol_frame *frame, const uint8_t *p,
                    struct agent_event *ret)
{
        bool long_one = agent_order_is_long(&a->order, frame->id);
        int r;

        ret->id = frame->id;
        if (frame->type == PROTOCOL_WELCOME)
                return on_welcome(a, p, frame, ret);
        if (!a->greeted && frame->type != PROTOCOL_ERROR)
                return AGENT_E_ORDER;
        r = agent_order_check(&a->order, frame, &ret->of);
        if (r)
                return r;
        if (frame->type == PROTOCOL_WINDOW)
                return on_window(a, p, frame);
        r = agent_order_parse(frame, p, ret);
        if (long_one && !agent_order_is_long(&a->order, frame->id))
                a->input_open = false;
        if (ret->of == PROTOCOL_CONNECT && ret->kind == AGENT_DONE)
                a->stream = a->input_open = true;
        return r;
}

/* What CONNECT reached speaks: all there is, as it is. */
static int next_of_stream(struct agent *a, struct agent_event *ret)
{
        ret->len = a->in_end - a->in_start;
        ret->bytes = a->in + a->in_start;
        ret->kind = ret->len ? AGENT_STREAM : AGENT_NOTHING;
        a->in_start = a->in_end;
        return AGENT_OK;
}

int agent_next(struct agent *a, struct agent_event *ret)
{
        *ret = (struct agent_event){ .kind = AGENT_NOTHING };
        if (!a->connected) {
                int r = take_ok(a);

                if (r)
                        return r == PROTOCOL_E_MORE ? AGENT_OK : r;
        }
        while (ret->kind == AGENT_NOTHING) {
                const uint8_t *at = a->in + a->in_start;
                size_t len = a->in_end - a->in_start;
                struct protocol_frame frame;

                if (a->stream)
                        return next_of_stream(a, ret);

                int r = protocol_parse_header(at, len, PROTOCOL_FROM_AGENT, &frame);

                if (!r && PROTOCOL_HEADER_SIZE + frame.len > a->in_size && (r = grow_in(a)))
                        return err_trace(r);
                if (r == PROTOCOL_E_MORE || (!r && len - PROTOCOL_HEADER_SIZE < frame.len))
                        return AGENT_OK;
                if (!r)
                        r = on_frame(a, &frame, at + PROTOCOL_HEADER_SIZE, ret);
                if (r)
                        return r;
                a->in_start += PROTOCOL_HEADER_SIZE + frame.len;
        }
        return AGENT_OK;
}

/* An id for a request that has its place in the order, and room for its frame. */
static int begin(struct agent *a, struct agent_request req, size_t size, uint8_t **ret)
{
        int r = queue_room(a, size, ret);

        if (r < 0)
                return err_trace(r);
        req.id = ++a->last_id ? a->last_id : ++a->last_id;
        return agent_order_add(&a->order, &req);
}

static void open_input(struct agent *a, bool windowed)
{
        a->input_open = true;
        a->input_windowed = windowed;
        a->credit = a->window;
}

int agent_exec(struct agent *a, const struct protocol_exec_request *req)
{
        struct protocol_exec_request with_id = *req;
        uint8_t *at = NULL;
        size_t size = 0;

        with_id.id = 1; /* any, to learn the size */

        int r = protocol_build_exec(NULL, &with_id, &size);

        if (!r)
                r = begin(a, (struct agent_request){ .type = PROTOCOL_EXEC, .flags = req->flags }, size, &at);
        with_id.id = a->last_id;
        if (!r)
                r = protocol_build_exec(at, &with_id, &size);
        if (r)
                return r;
        a->out_end += size;
        if (req->flags & PROTOCOL_EXEC_STDIN)
                open_input(a, true);
        return AGENT_OK;
}

int agent_file(struct agent *a, const struct protocol_file *req)
{
        const struct agent_request file = { .type = PROTOCOL_FILE, .flags = (uint32_t)req->op };
        uint8_t *at = NULL;
        size_t size = 0;
        int r = protocol_build_file(NULL, 1, req, &size);

        if (!r)
                r = begin(a, file, size, &at);
        if (!r)
                r = protocol_build_file(at, a->last_id, req, &size);
        if (r)
                return r;
        a->out_end += size;
        if (req->op == PROTOCOL_FILE_WRITE || req->op == PROTOCOL_FILE_UNPACK)
                open_input(a, false);
        return AGENT_OK;
}

int agent_environment(struct agent *a, const char *const *items)
{
        uint8_t *at = NULL;
        size_t size = 0;
        int r = protocol_build_environment(NULL, 1, items, &size);

        if (!r)
                r = begin(a, (struct agent_request){ .type = PROTOCOL_ENVIRONMENT }, size, &at);
        if (!r)
                r = protocol_build_environment(at, a->last_id, items, &size);
        if (r)
                return r;
        a->out_end += size;
        return AGENT_OK;
}

int agent_attach(struct agent *a, const struct protocol_attach *req)
{
        uint8_t *at = NULL;
        int r = begin(a, (struct agent_request){ .type = PROTOCOL_ATTACH, .flags = req->flags },
                      PROTOCOL_SMALL_MAX, &at);

        if (r)
                return r;
        a->out_end += protocol_put_attach(at, a->last_id, req);
        if (req->flags & PROTOCOL_ATTACH_STDIN)
                open_input(a, true);
        return AGENT_OK;
}

int agent_connect(struct agent *a, const struct protocol_connect *req)
{
        uint8_t *at = NULL;
        int r;

        if (strlen(req->address) > PROTOCOL_PATH_MAX)
                return PROTOCOL_E_STRING;
        r = begin(a, (struct agent_request){ .type = PROTOCOL_CONNECT },
                  PROTOCOL_SMALL_MAX + PROTOCOL_PATH_MAX, &at);
        if (r)
                return r;
        a->out_end += protocol_put_connect(at, a->last_id, req);
        return AGENT_OK;
}

int agent_signal(struct agent *a, const struct protocol_signal *req)
{
        uint8_t *at = NULL;
        int r = begin(a, (struct agent_request){ .type = PROTOCOL_SIGNAL }, PROTOCOL_SMALL_MAX, &at);

        if (!r)
                a->out_end += protocol_put_signal(at, a->last_id, req);
        return r;
}

int agent_resize(struct agent *a, const struct protocol_resize *req)
{
        uint8_t *at = NULL;
        int r = begin(a, (struct agent_request){ .type = PROTOCOL_RESIZE }, PROTOCOL_SMALL_MAX, &at);

        if (!r)
                a->out_end += protocol_put_resize(at, a->last_id, req);
        return r;
}

int agent_shutdown(struct agent *a, uint32_t how, uint32_t grace_ms)
{
        uint8_t *at = NULL;
        int r = begin(a, (struct agent_request){ .type = PROTOCOL_SHUTDOWN }, PROTOCOL_SMALL_MAX, &at);

        if (!r)
                a->out_end += protocol_put_shutdown(at, a->last_id, how, grace_ms);
        return r;
}

int agent_plain(struct agent *a, enum protocol_type type, uint64_t value)
{
        struct protocol_frame frame = { .type = type };
        uint8_t *at = NULL;
        int r = begin(a, (struct agent_request){ .type = type }, PROTOCOL_SMALL_MAX, &at);

        if (r)
                return r;
        frame.id = a->last_id;
        if (type == PROTOCOL_CLOCK)
                a->out_end += protocol_put_u64(at, type, frame.id, value);
        else if (type == PROTOCOL_PROCESSES || type == PROTOCOL_FREEZE)
                a->out_end += protocol_put_u32(at, type, frame.id, (uint32_t)value);
        else
                a->out_end += protocol_put_header(at, &frame);
        return AGENT_OK;
}

int agent_probe(struct agent *a)
{
        const struct agent_request ping = { .type = PROTOCOL_PING, .patient = true };
        struct protocol_frame frame = { .type = PROTOCOL_PING };
        uint8_t *at = NULL;
        int r = begin(a, ping, PROTOCOL_SMALL_MAX, &at);

        if (r)
                return r;
        frame.id = a->last_id;
        a->out_end += protocol_put_header(at, &frame);
        return AGENT_OK;
}

size_t agent_input_room(const struct agent *a)
{
        size_t unsent = a->out_end - a->out_start;

        if (!a->input_open || !a->greeted || unsent > UNSENT_MAX)
                return 0;
        if (!a->stream && a->input_windowed && a->credit < PROTOCOL_DATA_MAX)
                return a->credit;
        return PROTOCOL_DATA_MAX;
}

uint8_t *agent_input(struct agent *a, size_t *ret_room)
{
        size_t room = agent_input_room(a);
        uint8_t *at = NULL;

        *ret_room = room;
        if (queue_room(a, PROTOCOL_HEADER_SIZE + room, &at) < 0)
                return NULL;
        return at + (a->stream ? 0 : PROTOCOL_HEADER_SIZE);
}

void agent_input_done(struct agent *a, size_t n, bool end)
{
        struct protocol_frame frame = { .type = PROTOCOL_STDIN,
                                        .id = a->order.main.id,
                                        .len = (uint32_t)n,
                                        .flags = end ? PROTOCOL_STDIN_END : 0 };

        if (!a->input_open)
                return; /* the command was faster */
        if (!a->stream)
                a->out_end += protocol_put_header(a->out + a->out_end, &frame);
        if (!a->stream && a->input_windowed)
                a->credit -= (uint32_t)n;
        a->out_end += n;
        a->input_open = !end;
}

const char *agent_strerror(int error)
{
        switch (error) {
        case AGENT_E_NOT_VSOCK:
                return "it does not answer as the vsock socket of a VM does";
        case AGENT_E_ORDER:
                return "a frame out of order";
        case AGENT_E_BUSY:
                return "too many requests at a time";
        default:
                return protocol_strerror(error);
        }
}
