/*
 * What goes into a command and comes out of it.
 * Input:  bytes of clients and commands (hostile), never looked at.
 * Runs:   the agent's only thread.
 * Limits: one window of input held; a chunk of each output at a time, in the frames that go out or in the ring.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guest/exec_priv.h"
#include "guest/terminal.h"

#define TERMINAL_HOLDS (128 << 10) /* more than the kernel keeps of what was written to a terminal */

/* Ends the input of the command; what was not written counts as consumed, so that the client is not stuck. */
void exec_close_stdin(struct exec *e)
{
        if (e->input)
                e->input->in_consumed += (uint32_t)(e->in_held.end - e->in_held.start);
        held_free(&e->in_held);
        if (e->in >= 0)
                close(e->in);
        e->in = -1;
        e->in_watched = false;
}

static bool watch_stdin(struct exec_reader *r, struct exec *e)
{
        if (!e->in_watched)
                e->in_watched = exec_watch(r->service, e, e->in, EXEC_STDIN, EPOLLOUT);
        return e->in_watched;
}

/* A pipe is closed; into a terminal its character is typed, when there is room. */
static void end_stdin(struct exec *e)
{
        char keys[2];
        size_t len = e->has_tty ? terminal_end_of_file(e->in, e->in_last, keys) : 0;

        if (len && write(e->in, keys, len) < 0 && errno == EAGAIN)
                return;
        exec_close_stdin(e);
}

void exec_feed(struct exec *e)
{
        size_t n = 0;

        if (e->in < 0)
                return;
        if (e->in_held.bytes) {
                int r;

                e->in_last = (char)e->in_held.bytes[e->in_held.end - 1];
                r = held_write(&e->in_held, e->in, &n);
                if (e->input)
                        e->input->in_consumed += (uint32_t)n;
                if (r < 0)
                        exec_close_stdin(e);
        }
        if (e->in >= 0 && e->in_end && !e->in_held.bytes)
                end_stdin(e);
}

/* Return: false without memory. */
static bool write_stdin(struct exec_reader *r, struct exec *e, const uint8_t *bytes, uint32_t len)
{
        ssize_t n = e->in_held.bytes ? 0 : write(e->in, bytes, len);

        if (n < 0 && errno != EAGAIN && errno != EINTR) { /* it closed its input: the rest is thrown away */
                exec_close_stdin(e);
                r->in_consumed += len;
                return true;
        }
        if (n > 0) {
                e->in_last = (char)bytes[n - 1];
                r->in_consumed += (uint32_t)n;
                bytes += n;
                len -= (uint32_t)n;
        }
        return !len || ((e->in_held.bytes || held_reserve(&e->in_held, CONN_STDIN_WINDOW)) &&
                        held_add(&e->in_held, bytes, len));
}

uint32_t exec_stdin(struct exec_reader *r, const struct protocol_frame *frame, const uint8_t *bytes,
                    const char **ret_why)
{
        struct exec *e = r->exec;

        if (!e || frame->id != r->id)
                return 0; /* it crossed the EXIT */
        if (r->in_done || frame->len > CONN_STDIN_WINDOW - r->in_used) {
                *ret_why = r->in_done ? "STDIN after its end" : "STDIN beyond its window";
                return PROTOCOL_FAULT_MALFORMED;
        }
        r->in_used += frame->len;
        r->in_done = frame->flags & PROTOCOL_STDIN_END;
        if (e->input != r || e->in < 0) { /* another has the input now, or the command closed it */
                r->in_consumed += frame->len;
                return 0;
        }
        if (frame->len && !write_stdin(r, e, bytes, frame->len)) {
                *ret_why = "the guest has no memory for the command's input";
                return PROTOCOL_FAULT_RESOURCES;
        }
        e->in_end = r->in_done;
        exec_feed(e);
        if (e->in >= 0 && (e->in_held.bytes || e->in_end) && !watch_stdin(r, e)) {
                *ret_why = "the guest cannot watch the command's input";
                return PROTOCOL_FAULT_RESOURCES;
        }
        return 0;
}

static void close_pipe(struct exec_pipe *p)
{
        close(p->fd);
        p->fd = -1;
}

/*
 * Reads once. What the command itself wrote is there when it has ended; a child it left may go on writing for
 * ever. A terminal gives little at a time, and fails when just nobody has it open. Return: bytes.
 */
static size_t read_pipe(struct exec *e, struct exec_pipe *p, uint8_t *to, size_t size)
{
        ssize_t n = read(p->fd, to, size);
        bool at_end = n == 0 || (n < 0 && errno != EAGAIN && !(e->has_tty && !e->ended));

        if (n < 0 && errno == EINTR)
                return 0;
        p->ready = e->has_tty ? n > 0 : n == (ssize_t)size;
        if (n > 0 && e->ended) {
                if (p->left >= 0)
                        p->left = n < p->left ? p->left - (int)n : 0;
                else if (e->has_tty)
                        p->left = TERMINAL_HOLDS;
                else if (ioctl(p->fd, FIONREAD, &p->left))
                        p->left = 0;
        }
        if (at_end || (e->ended && (n < 0 || !p->left || (!e->has_tty && n < (ssize_t)size))))
                close_pipe(p);
        return n > 0 ? (size_t)n : 0;
}

static bool has_output(const struct exec *e, const struct exec_pipe *p)
{
        return p->fd >= 0 && (p->ready || e->ended);
}

/* From the pipe into the frame that goes out. */
static void pass_on(struct exec_reader *r, struct exec_pipe *p, enum protocol_type type)
{
        struct service *s = r->service;
        uint8_t *frame = s->out + s->out_len;

        if (!has_output(r->exec, p))
                return;

        size_t n = read_pipe(r->exec, p, frame + PROTOCOL_HEADER_SIZE, CONN_CHUNK);
        struct protocol_frame header = { .type = type, .id = r->id, .len = (uint32_t)n };

        if (n)
                s->out_len += protocol_put_header(frame, &header) + n;
}

/* The place from which on nothing may be given up: that of the slowest who wants all. */
static uint64_t hold_of(const struct exec *e, bool *ret_is_log)
{
        uint64_t hold = UINT64_MAX;

        for (unsigned i = 0; i < e->nr_readers; i++) {
                const struct exec_reader *r = e->readers[i];

                if (r->flags & (PROTOCOL_ATTACH_LOSSY | PROTOCOL_ATTACH_QUIET) || r->place.at >= hold)
                        continue;
                hold = r->place.at;
                *ret_is_log = r->flags & EXEC_READER_LOG;
        }
        return hold;
}

/* From the pipe into the ring. Return: false if there is no room. */
static bool store(struct exec *e, struct exec_pipe *p, enum ring_stream stream)
{
        bool is_log = false;
        uint64_t hold = hold_of(e, &is_log);
        size_t room, n;
        uint8_t *to;

        if (!has_output(e, p))
                return true;
        to = ring_room(&e->ring, hold, &room);
        if (!to) {
                if (is_log && !e->log_deadline_ms)
                        e->log_deadline_ms = exec_now_us() / 1000 + EXEC_LOG_PATIENCE;
                return false;
        }
        n = read_pipe(e, p, to, room);
        if (n)
                ring_add(&e->ring, stream, n);
        e->log_deadline_ms = 0;
        return true;
}

bool exec_run(struct service *s, unsigned slot)
{
        struct exec *e = &exec_table[slot];

        if (!e->number)
                return false;
        exec_feed(e);
        if (e->ring.bytes) {
                uint64_t before = e->ring.head;
                bool out = store(e, &e->out, RING_STDOUT), err = store(e, &e->err, RING_STDERR);

                e->blocked = !out || !err;
                if (e->ring.head != before)
                        exec_wake_readers(s, e);
        }
        if (e->ended && !e->settled) {
                exec_settle(s, e);
        } else if (exec_is_finished(e)) {
                exec_consider(s, e);
                return false;
        }
        return e->number && e->ring.bytes && !e->blocked &&
               (has_output(e, &e->out) || has_output(e, &e->err));
}

void exec_event(struct service *s, unsigned slot, unsigned source, uint32_t events)
{
        struct exec *e = &exec_table[slot];

        (void)events;
        if (!e->number)
                return;
        if (source == EXEC_STDOUT)
                e->out.ready = true;
        else if (source == EXEC_STDERR)
                e->err.ready = true;
        if (source == EXEC_CGROUP || e->ring.bytes)
                conn_wake(s, slot);
        else
                exec_wake_readers(s, e);
}

static void give_window(struct exec_reader *r)
{
        struct service *s = r->service;

        if (r->in_done || r->in_consumed < CONN_STDIN_WINDOW / 2)
                return;
        s->out_len += protocol_put_window(s->out + s->out_len, r->id, r->in_consumed);
        r->in_used -= r->in_consumed;
        r->in_consumed = 0;
}

static void tell_lost(struct exec_reader *r, uint64_t lost)
{
        static const char words[] = "\nvmlet: output is missing here, it came faster than the log was read\n";
        struct service *s = r->service;
        uint8_t *frame = s->out + s->out_len;
        struct protocol_frame header = { .type = PROTOCOL_STDERR, .id = r->id, .len = sizeof(words) - 1 };

        if (r->flags & EXEC_READER_LOG) {
                s->out_len += protocol_put_header(frame, &header) + sizeof(words) - 1;
                memcpy(frame + PROTOCOL_HEADER_SIZE, words, sizeof(words) - 1);
        } else {
                s->out_len += protocol_put_u64(frame, PROTOCOL_LOST, r->id, lost);
        }
}

/* From the ring into the frame that goes out. Return: true if there is more. */
static bool pass_from_ring(struct exec_reader *r)
{
        struct service *s = r->service;
        struct exec *e = r->exec;
        enum ring_stream stream;

        if (r->flags & PROTOCOL_ATTACH_QUIET)
                return false;

        uint64_t lost = ring_skip(&e->ring, &r->place);

        if (lost)
                tell_lost(r, lost);

        uint8_t *frame = s->out + s->out_len;
        size_t n = ring_read(&e->ring, &r->place, frame + PROTOCOL_HEADER_SIZE, CONN_CHUNK, &stream);
        struct protocol_frame header = { .type = stream == RING_STDOUT ? PROTOCOL_STDOUT : PROTOCOL_STDERR,
                                         .id = r->id,
                                         .len = (uint32_t)n };

        if (n)
                s->out_len += protocol_put_header(frame, &header) + n;
        if (n && e->blocked)
                conn_wake(s, exec_slot(e));
        return r->place.at < e->ring.head;
}

bool exec_serve(struct exec_reader *r)
{
        struct service *s = r->service;
        struct exec *e = r->exec;
        bool more;

        if (e->input == r)
                exec_feed(e);
        give_window(r);
        if (e->ring.bytes) {
                more = pass_from_ring(r);
        } else {
                pass_on(r, &e->out, PROTOCOL_STDOUT);
                pass_on(r, &e->err, PROTOCOL_STDERR);
                more = has_output(e, &e->out) || has_output(e, &e->err);
        }
        if (more || !exec_is_finished(e))
                return more;
        s->out_len += protocol_put_exit(s->out + s->out_len, r->id, &e->exit);
        e->seen = e->seen || !(r->flags & (PROTOCOL_ATTACH_QUIET | EXEC_READER_LOG));
        exec_leave(r);
        return false;
}
