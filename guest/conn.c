/*
 * Connections: frames in, commands run, frames out.
 * Input:  frames (client, hostile), output of commands (hostile, never looked at).
 * Runs:   the agent's only thread.
 * Limits: one command, one window of input, one chunk of each output and one frame held, each a constant.
 */
#include "guest/conn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/conn_priv.h"
#include "guest/spawn.h"

static bool watch(struct conn *c, int fd, enum conn_source source, uint32_t events)
{
        struct epoll_event event = { .events = events | EPOLLET, .data.u64 = c->tag + (uint64_t)source };

        return !epoll_ctl(c->service->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

bool conn_open_take(struct conn *c, struct service *service, int fd, uint64_t tag)
{
        *c = (struct conn){ .service = service, .tag = tag, .fd = fd, .in = -1, .out.fd = -1, .err.fd = -1 };
        if (watch(c, fd, CONN_SOCKET, EPOLLIN | EPOLLOUT | EPOLLRDHUP))
                return true;
        close(fd);
        c->fd = -1;
        return false;
}

void conn_event(struct conn *c, enum conn_source source, uint32_t events)
{
        switch (source) {
        case CONN_SOCKET:
                c->readable = c->readable || (events & ~(uint32_t)EPOLLOUT);
                c->hangup = c->hangup || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
                break;
        case CONN_STDOUT:
                c->out.ready = true;
                break;
        case CONN_STDERR:
                c->err.ready = true;
                break;
        case CONN_STDIN:
        case CONN_SOURCE_NR:
                break; /* conn_run() tries to write whatever the event */
        }
}

/* Room for one more small frame behind the chunks of this round? */
static bool has_room(const struct service *s)
{
        return s->out_len + PROTOCOL_SMALL_MAX <=
               CONN_OUT_SIZE - 2 * (PROTOCOL_HEADER_SIZE + CONN_CHUNK) - 2 * PROTOCOL_SMALL_MAX;
}

static void refuse(struct conn *c, uint32_t fault, const char *text)
{
        conn_reply_error(c, 0, fault, 0, text);
        c->closing = true;
}

static void close_fd(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

/* Ends the input of the command; what was not written counts as consumed, so that the client is not stuck. */
static void close_stdin(struct conn *c)
{
        c->in_consumed += (uint32_t)(c->in_held.end - c->in_held.start);
        held_free(&c->in_held);
        close_fd(&c->in);
}

static void finish_exec(struct conn *c)
{
        close_stdin(c);
        close_fd(&c->out.fd);
        close_fd(&c->err.fd);
        c->service->nr_execs -= c->pid != 0;
        c->pid = 0;
        c->id = 0;
        c->ended = false;
        c->in_watched = false;
        c->in_used = c->in_consumed = 0;
}

static void on_exec(struct conn *c, uint32_t id, const struct protocol_exec *req)
{
        struct spawn spawn;
        struct text why;
        int error = 0;
        uint32_t fault = conn_check_state(c, &why);

        if (!fault && req->container) {
                text_set(&why, "the guest has no containers");
                fault = PROTOCOL_FAULT_NO_CONTAINER;
        }
        if (!fault && (req->flags & ~(uint32_t)PROTOCOL_EXEC_STDIN || req->has_tty || req->timeout_ms ||
                       req->nr_rlimits)) {
                text_set(&why, "this agent does not have these options");
                fault = PROTOCOL_FAULT_UNSUPPORTED;
        }
        if (!fault && c->service->frozen) {
                text_set(&why, "the guest is frozen: let it go on first");
                fault = PROTOCOL_FAULT_BUSY;
        }
        if (!fault)
                fault = spawn_start(req, &spawn, &why, &error);
        if (fault) {
                conn_reply_error(c, id, fault, error, why.s);
                return;
        }
        c->pid = spawn.pid;
        c->service->nr_execs++;
        c->id = id;
        c->in = spawn.in;
        c->in_done = spawn.in < 0;
        c->out = (struct conn_pipe){ .fd = spawn.out, .left = -1 };
        c->err = (struct conn_pipe){ .fd = spawn.err, .left = -1 };
        if (!watch(c, c->out.fd, CONN_STDOUT, EPOLLIN) || !watch(c, c->err.fd, CONN_STDERR, EPOLLIN)) {
                kill(-c->pid, SIGKILL);
                finish_exec(c);
                conn_reply_error(c, id, PROTOCOL_FAULT_RESOURCES, errno,
                                 "the guest cannot watch the command");
        }
}

/* Writes what waits; a command that closed its input has the rest thrown away. */
static void feed_stdin(struct conn *c)
{
        size_t n = 0;

        if (c->in_held.bytes) {
                int r = held_write(&c->in_held, c->in, &n);

                c->in_consumed += (uint32_t)n;
                if (r < 0)
                        close_stdin(c);
        }
        if (c->in_done && !c->in_held.bytes)
                close_stdin(c);
}

static void on_stdin(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes)
{
        if (!c->pid || frame->id != c->id)
                return; /* it crossed the EXIT */
        if (c->in_done || frame->len > CONN_STDIN_WINDOW - c->in_used) {
                refuse(c, PROTOCOL_FAULT_MALFORMED,
                       c->in_done ? "STDIN after its end" : "STDIN beyond its window");
                return;
        }
        c->in_used += frame->len;
        c->in_done = frame->flags & PROTOCOL_STDIN_END;

        uint32_t len = frame->len;
        ssize_t n = c->in >= 0 && len && !c->in_held.bytes ? write(c->in, bytes, len) : 0;

        if (n < 0 && errno != EAGAIN && errno != EINTR)
                close_stdin(c);
        if (n > 0) {
                c->in_consumed += (uint32_t)n;
                bytes += n;
                len -= (uint32_t)n;
        }
        if (c->in < 0) {
                c->in_consumed += len;
        } else if (len) {
                if ((!c->in_held.bytes && !held_reserve(&c->in_held, CONN_STDIN_WINDOW)) ||
                    !held_add(&c->in_held, bytes, len) ||
                    (!c->in_watched && !(c->in_watched = watch(c, c->in, CONN_STDIN, EPOLLOUT))))
                        refuse(c, PROTOCOL_FAULT_RESOURCES,
                               "the guest has no memory for the command's input");
        }
        feed_stdin(c);
}

static void on_hello(struct conn *c, const struct protocol_hello *hello)
{
        struct service *s = c->service;

        if (c->greeted) {
                refuse(c, PROTOCOL_FAULT_MALFORMED, "HELLO twice");
        } else if (hello->version_min > PROTOCOL_VERSION || hello->version_max < PROTOCOL_VERSION) {
                refuse(c, PROTOCOL_FAULT_VERSION, "the agent speaks version 1 of the protocol only");
        } else {
                c->greeted = true;
                s->out_len += protocol_put_welcome(s->out + s->out_len, &s->welcome);
        }
}

static void on_simple(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes)
{
        struct service *s = c->service;
        struct protocol_frame done = { .type = PROTOCOL_DONE, .id = frame->id };

        if (frame->type == PROTOCOL_PING) {
                s->out_len += protocol_put_u32(s->out + s->out_len, PROTOCOL_DONE, frame->id, s->nr_execs);
                return;
        }
        if (!s->stopping) {
                int r = protocol_parse_shutdown(bytes, frame->len, &s->shutdown);

                if (r) {
                        refuse(c, PROTOCOL_FAULT_MALFORMED, protocol_strerror(r));
                        return;
                }
                s->stopping = true; /* the server sees it when this round is over */
        }
        s->out_len += protocol_put_header(s->out + s->out_len, &done);
}

static void on_frame(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes)
{
        struct protocol_hello hello;
        struct protocol_exec exec;
        int r = PROTOCOL_OK;

        if (!c->greeted && frame->type != PROTOCOL_HELLO) {
                refuse(c, PROTOCOL_FAULT_MALFORMED, "the first frame must be HELLO");
        } else if (frame->type == PROTOCOL_HELLO) {
                if (!(r = protocol_parse_hello(bytes, frame->len, &hello)))
                        on_hello(c, &hello);
        } else if (frame->type == PROTOCOL_EXEC) {
                if (!(r = protocol_parse_exec(bytes, frame->len, &exec)))
                        on_exec(c, frame->id, &exec);
        } else if (frame->type == PROTOCOL_STDIN) {
                on_stdin(c, frame, bytes);
        } else if (frame->type == PROTOCOL_SHUTDOWN || frame->type == PROTOCOL_PING) {
                on_simple(c, frame, bytes);
        } else if (!conn_request(c, frame, bytes, &r)) {
                conn_reply_error(c, frame->id, PROTOCOL_FAULT_UNSUPPORTED, 0, "this agent does not have it");
        }
        if (r)
                refuse(c, PROTOCOL_FAULT_MALFORMED, protocol_strerror(r));
}

/*
 * Handles the whole frames among @len bytes while there is room for answers. Return: bytes that were used
 * up.
 */
static size_t parse(struct conn *c, const uint8_t *bytes, size_t len)
{
        size_t used = 0;

        while (!c->closing && has_room(c->service)) {
                struct protocol_frame frame;
                int r = protocol_parse_header(bytes + used, len - used, PROTOCOL_FROM_CLIENT, &frame);

                if (r == PROTOCOL_E_MORE || (!r && len - used - PROTOCOL_HEADER_SIZE < frame.len))
                        break;
                if (r) {
                        refuse(c, PROTOCOL_FAULT_MALFORMED, protocol_strerror(r));
                        break;
                }
                c->service->behind = len - used - PROTOCOL_HEADER_SIZE - frame.len;
                on_frame(c, &frame, bytes + used + PROTOCOL_HEADER_SIZE);
                used += PROTOCOL_HEADER_SIZE + frame.len;
                if (c->worker)
                        return len - c->service->behind;
        }
        return c->closing ? len : used;
}

/* How much the held beginning of a frame needs to become whole; more if not even its header is. */
static size_t wanted(const struct held *h)
{
        struct protocol_frame frame;
        size_t len = h->end - h->start;

        if (protocol_parse_header(h->bytes + h->start, len, PROTOCOL_FROM_CLIENT, &frame))
                return len + CONN_IN_SIZE;
        return PROTOCOL_HEADER_SIZE + frame.len > len ? PROTOCOL_HEADER_SIZE + frame.len : len;
}

/* Return: bytes read; 0 = none now; -1 = the client is gone. */
static ssize_t receive(struct conn *c, uint8_t *to, size_t size)
{
        ssize_t n = recv(c->fd, to, size, 0);

        if (n < 0 && errno == EINTR)
                return 0;
        if (n < 0 && errno == EAGAIN) {
                c->readable = false;
                return 0;
        }
        c->readable = n == (ssize_t)size || c->hangup;
        return n > 0 ? n : -1;
}

/* One piece of input. Return: false if the client is gone. */
static bool take_input(struct conn *c)
{
        struct held *rx = &c->rx;
        ssize_t n = 0;

        if (!rx->bytes) {
                if (!c->readable)
                        return true;
                n = receive(c, c->service->in, CONN_IN_SIZE);
                if (n <= 0)
                        return !n;

                size_t used = parse(c, c->service->in, (size_t)n);

                return used == (size_t)n || held_add(rx, c->service->in + used, (size_t)n - used);
        }

        size_t used = parse(c, rx->bytes + rx->start, rx->end - rx->start);

        if (!used && c->readable) {
                if (!held_reserve(rx, rx->start + wanted(rx)))
                        return false;
                n = receive(c, rx->bytes + rx->end, rx->size - rx->end);
                if (n <= 0)
                        return !n;
                rx->end += (size_t)n;
                used = parse(c, rx->bytes + rx->start, rx->end - rx->start);
        }
        rx->start += used;
        if (rx->start == rx->end)
                held_free(rx);
        return true;
}

/*
 * What the command itself wrote is in the pipe when it has ended; a child it left may go on writing for
 * ever.
 */
static void take_output(struct conn *c, struct conn_pipe *p, enum protocol_type type)
{
        struct service *s = c->service;

        if (p->fd < 0 || !(p->ready || c->ended))
                return;

        uint8_t *frame = s->out + s->out_len;
        ssize_t n = read(p->fd, frame + PROTOCOL_HEADER_SIZE, CONN_CHUNK);

        if (n < 0 && errno == EINTR)
                return;
        p->ready = n == CONN_CHUNK;
        if (n > 0) {
                struct protocol_frame header = { .type = type, .id = c->id, .len = (uint32_t)n };

                s->out_len += protocol_put_header(frame, &header) + (size_t)n;
                if (c->ended && p->left >= 0)
                        p->left = n < p->left ? p->left - (int)n : 0;
                else if (c->ended && ioctl(p->fd, FIONREAD, &p->left))
                        p->left = 0;
        }
        if (n == 0 || (n < 0 && errno != EAGAIN) || (c->ended && (n < CONN_CHUNK || !p->left)))
                close_fd(&p->fd);
}

static void give_window(struct conn *c)
{
        struct service *s = c->service;

        if (c->in_done || c->in_consumed < CONN_STDIN_WINDOW / 2)
                return;
        s->out_len += protocol_put_window(s->out + s->out_len, c->id, c->in_consumed);
        c->in_used -= c->in_consumed;
        c->in_consumed = 0;
}

/* Return: false if the client is gone. */
static bool send_out(struct conn *c)
{
        struct service *s = c->service;
        size_t sent = 0;

        while (sent < s->out_len) {
                ssize_t n = send(c->fd, s->out + sent, s->out_len - sent, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno != EAGAIN)
                        return false;
                if (n < 0)
                        return held_add(&c->tx, s->out + sent, s->out_len - sent);
                sent += (size_t)n;
        }
        return true;
}

static void take_command(struct conn *c)
{
        struct service *s = c->service;

        feed_stdin(c);
        give_window(c);
        take_output(c, &c->out, PROTOCOL_STDOUT);
        take_output(c, &c->err, PROTOCOL_STDERR);
        if (c->ended && c->out.fd < 0 && c->err.fd < 0) {
                s->out_len += protocol_put_exit(s->out + s->out_len, c->id, &c->exit);
                finish_exec(c);
        }
}

bool conn_run(struct conn *c)
{
        struct service *s = c->service;
        size_t n;

        if (c->fd < 0)
                return false;
        if (c->worker) {
                if (c->hangup && !c->worker_half_closes)
                        kill(c->worker, SIGTERM);
                return false;
        }
        if (c->tx.bytes) {
                int r = held_write(&c->tx, c->fd, &n);

                if (r < 0 || (!r && c->hangup))
                        conn_close(c);
                if (r <= 0)
                        return false;
        }
        s->out_len = 0;

        bool alive = c->closing || take_input(c);

        if (c->pid)
                take_command(c);
        if (!send_out(c) || !alive || (c->closing && !c->tx.bytes)) {
                conn_close(c);
                return false;
        }
        if (c->tx.bytes || c->worker)
                return false;
        return c->readable || c->out.ready || c->err.ready || c->ended || (c->rx.bytes && !has_room(s));
}

void conn_ended(struct conn *c, int status, const struct rusage *usage)
{
        bool signalled = WIFSIGNALED(status);

        c->ended = true;
        c->exit = (struct protocol_exit){
                .kind = signalled ? PROTOCOL_SIGNALLED : PROTOCOL_EXITED,
                .value = (uint32_t)(signalled ? WTERMSIG(status) : WEXITSTATUS(status)),
                .flags = signalled && WCOREDUMP(status) ? PROTOCOL_EXIT_CORE : 0,
                .utime_us = (uint64_t)usage->ru_utime.tv_sec * 1000000 + (uint64_t)usage->ru_utime.tv_usec,
                .stime_us = (uint64_t)usage->ru_stime.tv_sec * 1000000 + (uint64_t)usage->ru_stime.tv_usec,
                .maxrss_kib = (uint64_t)usage->ru_maxrss,
        };
}

void conn_close(struct conn *c)
{
        if (c->pid && !c->ended)
                kill(-c->pid, SIGKILL);
        finish_exec(c);
        held_free(&c->rx);
        held_free(&c->tx);
        close_fd(&c->fd);
}
