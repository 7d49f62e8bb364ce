/*
 * Client of the agent: frames from bytes, bytes from requests.
 * Input:  bytes of the guest's agent (hostile).
 * Runs:   one thread at a time; pure but for its own memory.
 * Limits: one frame in, one request and one window of input out.
 */
#include "sandbox/agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/base/err.h"

#define IN_SIZE     (2 * (PROTOCOL_HEADER_SIZE + PROTOCOL_DATA_MAX))
#define OK_LINE_MAX 32 /* "OK 4294967295\n" and to spare */
#define WINDOW_MAX  (1u << 20)

struct agent {
        bool connected, greeted;
        uint32_t last_id, exec_id; /* exec_id 0: no command runs */
        uint32_t window;           /* as WELCOME said */
        uint32_t credit;           /* of it, what may be sent now */
        bool stdin_open;
        size_t in_start, in_end;
        uint8_t *out;
        size_t out_start, out_end, out_size;
        uint8_t in[IN_SIZE];
};

static int queue_room(struct agent *a, size_t n, uint8_t **ret)
{
        if (a->out_start == a->out_end)
                a->out_start = a->out_end = 0;
        if (a->out_size - a->out_end < n) {
                size_t size = a->out_end + n + 4096;
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
        cleanup(agent_freep) struct agent *a = calloc(1, sizeof(*a));
        uint8_t *at = NULL;

        if (!a)
                return err_new(-ENOMEM);

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
        if (a)
                free(a->out);
        free(a);
}

uint8_t *agent_room(struct agent *a, size_t *ret_size)
{
        if (a->in_start) {
                memmove(a->in, a->in + a->in_start, a->in_end - a->in_start);
                a->in_end -= a->in_start;
                a->in_start = 0;
        }
        *ret_size = IN_SIZE - a->in_end;
        return a->in + a->in_end;
}

void agent_fed(struct agent *a, size_t n)
{
        a->in_end += n;
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
        uint32_t bytes;
        int r = protocol_parse_window(p, frame->len, &bytes);

        if (r)
                return r;
        if (bytes > a->window - a->credit)
                return PROTOCOL_E_VALUE;
        a->credit += bytes;
        return AGENT_OK;
}

static void end_exec(struct agent *a)
{
        a->exec_id = 0;
        a->stdin_open = false;
}

static int on_frame(struct agent *a, const struct protocol_frame *frame, const uint8_t *p,
                    struct agent_event *ret)
{
        bool of_exec = a->exec_id && frame->id == a->exec_id;
        int r;

        ret->id = frame->id;
        if (frame->type == PROTOCOL_WELCOME)
                return on_welcome(a, p, frame, ret);
        if (frame->type == PROTOCOL_ERROR) {
                r = protocol_parse_error(p, frame->len, &ret->error);
                if (of_exec)
                        end_exec(a);
                ret->kind = AGENT_ERROR;
                return r;
        }
        if (!a->greeted)
                return AGENT_E_ORDER;
        if (frame->type == PROTOCOL_DONE) {
                ret->kind = AGENT_DONE;
                return AGENT_OK;
        }
        if (!of_exec)
                return AGENT_E_ORDER;
        if (frame->type == PROTOCOL_WINDOW)
                return on_window(a, p, frame);
        if (frame->type == PROTOCOL_EXIT) {
                r = protocol_parse_exit(p, frame->len, &ret->exit);
                end_exec(a);
                ret->kind = AGENT_EXIT;
                return r;
        }
        ret->kind = frame->type == PROTOCOL_STDOUT ? AGENT_STDOUT : AGENT_STDERR;
        ret->bytes = p;
        ret->len = frame->len;
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
                int r = protocol_parse_header(at, len, PROTOCOL_FROM_AGENT, &frame);

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

int agent_exec(struct agent *a, const struct protocol_exec_request *req)
{
        struct protocol_exec_request with_id = *req;
        size_t size;
        uint8_t *at = NULL;

        with_id.id = ++a->last_id ? a->last_id : ++a->last_id;

        int r = protocol_build_exec(NULL, &with_id, &size);

        if (!r)
                r = queue_room(a, size, &at);
        if (!r)
                r = protocol_build_exec(at, &with_id, &size);
        if (r)
                return r < 0 ? err_trace(r) : r;
        a->out_end += size;
        a->exec_id = with_id.id;
        a->stdin_open = req->flags & PROTOCOL_EXEC_STDIN;
        a->credit = a->window;
        return AGENT_OK;
}

size_t agent_stdin_room(const struct agent *a)
{
        if (!a->stdin_open || !a->greeted)
                return 0;
        return a->credit < PROTOCOL_DATA_MAX ? a->credit : PROTOCOL_DATA_MAX;
}

int agent_stdin(struct agent *a, const void *bytes, size_t n, bool end)
{
        struct protocol_frame frame = { .type = PROTOCOL_STDIN,
                                        .id = a->exec_id,
                                        .len = (uint32_t)n,
                                        .flags = end ? PROTOCOL_STDIN_END : 0 };
        uint8_t *at = NULL;

        if (!a->stdin_open)
                return AGENT_OK; /* the command was faster */

        int r = queue_room(a, PROTOCOL_HEADER_SIZE + n, &at);

        if (r < 0)
                return err_trace(r);
        ASSERT(at);
        protocol_put_header(at, &frame);
        if (n)
                memcpy(at + PROTOCOL_HEADER_SIZE, bytes, n);
        a->out_end += PROTOCOL_HEADER_SIZE + n;
        a->credit -= (uint32_t)n;
        a->stdin_open = !end;
        return AGENT_OK;
}

int agent_shutdown(struct agent *a, uint32_t how, uint32_t grace_ms)
{
        uint8_t *at = NULL;
        int r = queue_room(a, PROTOCOL_SMALL_MAX, &at);

        if (r < 0)
                return err_trace(r);
        a->out_end += protocol_put_shutdown(at, ++a->last_id, how, grace_ms);
        return AGENT_OK;
}

const char *agent_strerror(int error)
{
        switch (error) {
        case AGENT_E_NOT_VSOCK:
                return "it does not answer as the vsock socket of a VM does";
        case AGENT_E_ORDER:
                return "a frame out of order";
        default:
                return protocol_strerror(error);
        }
}
