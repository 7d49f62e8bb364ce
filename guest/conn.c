/*
 * Connections: frames in, requests done, frames out.
 * Input:  frames (client, hostile).
 * Runs:   the agent's only thread.
 * Limits: one frame and one round's answers held, each a constant.
 */
#include "guest/conn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/conn_priv.h"
#include "guest/exec.h"

bool conn_open_take(struct conn *c, struct service *service, int fd)
{
        unsigned slot = EXECS_MAX + (unsigned)(c - service->conns);
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                     .data.u64 = conn_tag(slot, 0) };

        *c = (struct conn){ .service = service, .fd = fd, .reader = { .service = service, .slot = slot } };
        if (!epoll_ctl(service->epoll_fd, EPOLL_CTL_ADD, fd, &event))
                return true;
        close(fd);
        c->fd = -1;
        return false;
}

void conn_event(struct conn *c, uint32_t events)
{
        c->readable = c->readable || (events & ~(uint32_t)EPOLLOUT);
        c->hangup = c->hangup || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

/* Room for one more small frame behind the chunks of this round? */
static bool has_room(const struct service *s)
{
        return s->out_len + PROTOCOL_SMALL_MAX <=
               CONN_OUT_SIZE - 2 * (PROTOCOL_HEADER_SIZE + CONN_CHUNK) - 2 * PROTOCOL_SMALL_MAX;
}

void conn_refuse(struct conn *c, uint32_t fault, const char *text)
{
        conn_reply_error(c, 0, fault, 0, text);
        c->closing = true;
}

static void on_hello(struct conn *c, const struct protocol_hello *hello)
{
        struct service *s = c->service;

        if (c->greeted) {
                conn_refuse(c, PROTOCOL_FAULT_MALFORMED, "HELLO twice");
        } else if (hello->version_min > PROTOCOL_VERSION || hello->version_max < PROTOCOL_VERSION) {
                conn_refuse(c, PROTOCOL_FAULT_VERSION, "the agent speaks version 1 of the protocol only");
        } else {
                c->greeted = true;
                s->out_len += protocol_put_welcome(s->out + s->out_len, &s->welcome);
        }
}

static void on_shutdown(struct conn *c, uint32_t id, const struct protocol_shutdown *shutdown)
{
        struct service *s = c->service;

        if (!s->stopping) {
                s->shutdown = *shutdown;
                s->stopping = true; /* the server sees it when this round is over */
        }
        conn_reply_done(c, id);
}

static void on_frame(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes)
{
        struct service *s = c->service;
        struct protocol_hello hello;
        struct protocol_shutdown shutdown;
        int r = PROTOCOL_OK;

        if (!c->greeted && frame->type != PROTOCOL_HELLO) {
                conn_refuse(c, PROTOCOL_FAULT_MALFORMED, "the first frame must be HELLO");
        } else if (frame->type == PROTOCOL_HELLO) {
                if (!(r = protocol_parse_hello(bytes, frame->len, &hello)))
                        on_hello(c, &hello);
        } else if (frame->type == PROTOCOL_SHUTDOWN) {
                if (!(r = protocol_parse_shutdown(bytes, frame->len, &shutdown)))
                        on_shutdown(c, frame->id, &shutdown);
        } else if (frame->type == PROTOCOL_PING) {
                s->out_len += protocol_put_u32(s->out + s->out_len, PROTOCOL_DONE, frame->id, exec_running());
        } else if (!conn_exec_frame(c, frame, bytes, &r) && !conn_request(c, frame, bytes, &r)) {
                conn_reply_error(c, frame->id, PROTOCOL_FAULT_UNSUPPORTED, 0, "this agent does not have it");
        }
        if (r)
                conn_refuse(c, PROTOCOL_FAULT_MALFORMED, protocol_strerror(r));
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
                        conn_refuse(c, PROTOCOL_FAULT_MALFORMED, protocol_strerror(r));
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
                if (c->is_log) /* the monitor has nothing to say, but that it is gone */
                        return receive(c, c->service->in, CONN_IN_SIZE) >= 0;
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

/* What it has to say besides answers. Return: true if there is more at once. */
static bool serve(struct conn *c)
{
        bool more = false;

        if (c->list_id)
                more = conn_exec_list(c);
        if (c->reader.exec) {
                more = exec_serve(&c->reader) || more;
                if (!c->reader.exec && c->is_log)
                        c->closing = true;
        }
        return more;
}

bool conn_run(struct conn *c)
{
        struct service *s = c->service;
        size_t n;

        if (c->fd < 0)
                return false;
        if (c->worker) {
                if (c->hangup && !c->worker_half_closes) {
                        kill(c->worker, SIGTERM);
                        kill(c->worker, SIGCONT); /* who is its user by now may have stopped it */
                }
                return false;
        }
        if (c->connecting && !conn_log_connected(c))
                return false;
        if (c->tx.bytes) {
                int r = held_write(&c->tx, c->fd, &n);

                if (r < 0 || (!r && c->hangup))
                        conn_close(c);
                if (r <= 0)
                        return false;
        }
        s->out_len = 0;

        bool alive = c->closing || take_input(c);
        bool more = !c->worker && serve(c);

        if (!send_out(c) || !alive || (c->closing && !c->tx.bytes)) {
                conn_close(c);
                return false;
        }
        if (c->tx.bytes || c->worker)
                return false;
        return more || c->readable || (c->rx.bytes && !has_room(s));
}

void conn_close(struct conn *c)
{
        exec_leave(&c->reader);
        held_free(&c->rx);
        held_free(&c->tx);
        close(c->fd);
        c->fd = -1;
        c->list_id = 0;
}
