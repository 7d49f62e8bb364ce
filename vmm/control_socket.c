/*
 * The control socket: a line in, an answer out.
 * Input:  requests of local clients, hostile; read by control_parse().
 * Runs:   loop thread.
 * Limits: CLIENTS_MAX clients, each with one line and one answer in memory; an answer that is not read within
 *         PATIENCE_NS, or an event for which the socket has no room, ends the connection. One client more takes
 *         the place of whoever has been silent longest, of those who neither subscribed nor wait for an answer.
 *
 * syscalls: loop: accept4 recvfrom sendto close
 */
#include "vmm/control_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/control_parse.h"

#define CLIENTS_MAX       16u
#define ACCEPTS_PER_ROUND 16u
#define PATIENCE_NS       5000000000ull
#define NS_PER_MS         1000000ull
#define NS_PER_S          1000000000ull
#define EVENT_MAX_BYTES   128u

struct client {
        struct control_socket *socket;
        struct ev ev; /* fd -1: nobody */
        bool subscribed;
        size_t in_len;
        char in[CONTROL_LINE_MAX];
        char *out; /* owned: an answer that the socket did not take yet; NULL: none */
        size_t out_at, out_len;
        uint64_t deadline_ns; /* for it */
        uint64_t heard_ns;    /* when it last said something, or came */
};

struct control_socket {
        struct loop *loop;
        struct control *control;
        struct ev listen;
        struct loop_timer tick; /* set while an answer waits, or accept() failed */
        struct control_listener listener;
        struct client clients[CLIENTS_MAX];
};

static void drop(struct client *c)
{
        loop_remove(c->socket->loop, &c->ev);
        fd_closep(&c->ev.fd);
        free(c->out);
        *c = (struct client){ .socket = c->socket, .ev = { .fd = -1 } };
}

/* Return: bytes that the socket took, or negative. */
static ssize_t send_some(const struct client *c, const char *bytes, size_t n)
{
        ssize_t done = send(c->ev.fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (done < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -1;
        return done;
}

/* What a client waits for: to be read, or to read. Of one that hung up the loop always tells. */
static void watch(struct client *c)
{
        uint32_t events = c->out ? EPOLLOUT : c->subscribed ? 0 : EPOLLIN;

        if (loop_change(c->socket->loop, &c->ev, events) < 0)
                drop(c);
}

/* Sends an answer, and keeps what the socket does not take. @bytes: taken. */
static void send_answer(struct client *c, char *bytes, size_t n)
{
        ssize_t done = send_some(c, bytes, n);

        if (done < 0 || (size_t)done == n) {
                free(bytes);
                if (done < 0)
                        drop(c);
                return;
        }
        c->out = bytes;
        c->out_at = (size_t)done;
        c->out_len = n;
        c->deadline_ns = loop_now_ns() + PATIENCE_NS;
        if (!c->socket->tick.at_ns)
                loop_timer_set(c->socket->loop, &c->socket->tick, PATIENCE_NS);
        watch(c);
}

static void answer(struct client *c, const char *body, size_t len)
{
        char *text;
        int head = asprintf(&text, "OK %zu\n%.*s", len, (int)len, body);

        if (head < 0)
                drop(c);
        else
                send_answer(c, text, (size_t)head);
}

static void refuse(struct client *c, const char *words)
{
        char *text;
        int n = asprintf(&text, "ERR %s\n", words);

        if (n < 0)
                drop(c);
        else
                send_answer(c, text, (size_t)n);
}

static uint64_t clock_ns(clockid_t clock)
{
        struct timespec t;

        (void)clock_gettime(clock, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void write_status(const struct control *control, FILE *f)
{
        (void)fprintf(f,
                      "{\"vmm\":\"" VMLET_VERSION "\",\"state\":\"%s\",\"ready\":%s,\"uptime_ns\":%" PRIu64
                      ",\"cpu_ns\":%" PRIu64 "}\n",
                      control_state_names[control_state(control)],
                      control_is_ready(control) ? "true" : "false", control_uptime_ns(control),
                      clock_ns(CLOCK_PROCESS_CPUTIME_ID));
}

static void write_balloon(struct control *control, FILE *f)
{
        struct balloon_state s;

        if (control_balloon_state(control, &s))
                return;
        (void)fprintf(f,
                      "{\"target_bytes\":%" PRIu64 ",\"actual_bytes\":%" PRIu64
                      ",\"deflate_on_oom\":%s,\"stats\":{",
                      s.target_bytes, s.actual_bytes, s.deflate_on_oom ? "true" : "false");
        for (unsigned i = 0, n = 0; i < BALLOON_NR_STATS; i++)
                if (s.stats.known >> i & 1)
                        (void)fprintf(f, "%s\"%s\":%" PRIu64, n++ ? "," : "", balloon_stat_names[i],
                                      s.stats.values[i]);
        (void)fputs("}}\n", f);
}

static void answer_report(struct client *c, const struct control_request *req)
{
        struct control *control = c->socket->control;
        cleanup(freep) char *text = NULL;
        size_t len = 0;
        FILE *f = open_memstream(&text, &len);

        if (!f) {
                refuse(c, "out of memory");
                return;
        }
        if (req->word == CONTROL_METRICS)
                control_write_metrics(control, f, req->prometheus ? METRICS_PROMETHEUS : METRICS_JSON);
        else if (req->word == CONTROL_BALLOON)
                write_balloon(control, f);
        else
                write_status(control, f);
        if (fclose(f))
                refuse(c, "out of memory");
        else
                answer(c, text, len);
}

static void answer_result(struct client *c, int r)
{
        if (r == -EBUSY)
                refuse(c, "not in this state: see status");
        else if (r < 0)
                refuse(c, "the host failed: see the monitor's log");
        else
                answer(c, "", 0);
}

/* Who is on the way out is not ended by a second request, unless that wants it sooner. */
static void stop(struct client *c, const struct control_request *req)
{
        struct control *control = c->socket->control;

        answer(c, "", 0);
        if (req->word == CONTROL_KILL)
                control_stop(control, 0);
        else if (req->has_grace)
                control_stop(control, req->grace_ms * NS_PER_MS);
        else if (control_state(control) != CONTROL_ENDING)
                control_ask_end(control);
}

static void balloon(struct client *c, const struct control_request *req)
{
        struct control *control = c->socket->control;
        struct balloon_state state;
        int r = req->has_target ? control_balloon_set(control, req->target_bytes)
                                : control_balloon_state(control, &state);

        if (r == -EINVAL)
                refuse(c, "the guest has no more memory than that");
        else if (r == -ENODEV)
                refuse(c, "there is no balloon");
        else if (req->has_target)
                answer_result(c, r);
        else
                answer_report(c, req);
}

static void rate(struct client *c, const struct control_request *req)
{
        const struct rate_config rate = {
                .bandwidth = { .size = req->bandwidth, .refill_ms = RATE_REFILL_MS },
                .ops = { .size = req->iops, .refill_ms = RATE_REFILL_MS },
        };

        if (control_disk_rate(c->socket->control, req->disk, &rate))
                refuse(c, "there is no such disk");
        else
                answer(c, "", 0);
}

static void serve(struct client *c, const struct control_request *req)
{
        switch (req->word) {
        case CONTROL_STATUS:
        case CONTROL_METRICS:
                answer_report(c, req);
                break;
        case CONTROL_PAUSE:
                answer_result(c, control_pause(c->socket->control));
                break;
        case CONTROL_RESUME:
                answer_result(c, control_resume(c->socket->control));
                break;
        case CONTROL_STOP:
        case CONTROL_KILL:
                stop(c, req);
                break;
        case CONTROL_BALLOON:
                balloon(c, req);
                break;
        case CONTROL_RATE:
                rate(c, req);
                break;
        case CONTROL_SUBSCRIBE:
                c->subscribed = true;
                answer_report(c, req);
                if (c->ev.fd >= 0)
                        watch(c);
                break;
        }
}

/* Serves what is there, one answer after the other. */
static void serve_lines(struct client *c)
{
        struct control_request req;
        size_t used;

        while (c->ev.fd >= 0 && !c->out && !c->subscribed) {
                int r = control_parse(c->in, c->in_len, &used, &req);

                if (r == CONTROL_E_MORE)
                        return;
                if (r == CONTROL_E_LONG) {
                        refuse(c, "the line is too long");
                        drop(c);
                        return;
                }
                c->in_len -= used;
                memmove(c->in, c->in + used, c->in_len);
                if (r)
                        refuse(c, r == CONTROL_E_WORD ? "unsupported" : "bad argument");
                else
                        serve(c, &req);
        }
}

static void read_lines(struct client *c)
{
        ssize_t n = recv(c->ev.fd, c->in + c->in_len, sizeof(c->in) - c->in_len, MSG_DONTWAIT);

        if (n > 0) {
                c->heard_ns = loop_now_ns();
                c->in_len += (size_t)n;
                serve_lines(c);
        } else if (!n || (errno != EAGAIN && errno != EINTR)) {
                drop(c);
        }
}

static void write_rest(struct client *c)
{
        ssize_t done = send_some(c, c->out + c->out_at, c->out_len - c->out_at);

        if (done < 0) {
                drop(c);
                return;
        }
        c->out_at += (size_t)done;
        if (c->out_at < c->out_len)
                return;
        free(c->out);
        c->out = NULL;
        watch(c);
        serve_lines(c);
}

static int on_client(struct ev *ev, uint32_t events)
{
        struct client *c = container_of(ev, struct client, ev);

        if (c->out && events & EPOLLOUT)
                write_rest(c);
        else if (events & EPOLLIN && !c->subscribed)
                read_lines(c);
        else
                drop(c);
        return 0;
}

static void on_event(struct control_listener *listener, enum control_event event)
{
        struct control_socket *s = container_of(listener, struct control_socket, listener);
        char line[EVENT_MAX_BYTES];
        int n = snprintf(line, sizeof(line), "{\"event\":\"%s\",\"time_ns\":%" PRIu64 "}\n",
                         control_event_names[event], clock_ns(CLOCK_REALTIME));

        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
                struct client *c = &s->clients[i];

                if (c->ev.fd >= 0 && c->subscribed && (c->out || send_some(c, line, (size_t)n) != n))
                        drop(c);
        }
}

/* For one more: a free place, or that of whoever has been silent longest. Return: NULL if there is none. */
static struct client *find_place(struct control_socket *s)
{
        struct client *silent = NULL;

        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
                struct client *c = &s->clients[i];

                if (c->ev.fd < 0)
                        return c;
                if (!c->subscribed && !c->out && (!silent || c->heard_ns < silent->heard_ns))
                        silent = c;
        }
        if (silent)
                drop(silent);
        return silent;
}

static void add_client(struct control_socket *s, int fd_taken)
{
        static const char crowded[] = "ERR too many clients\n";
        struct client *c = find_place(s);

        if (!c) {
                (void)!send(fd_taken, crowded, sizeof(crowded) - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
                fd_closep(&fd_taken);
                return;
        }
        c->ev = (struct ev){ .call = on_client, .fd = fd_taken };
        c->heard_ns = loop_now_ns();
        if (loop_add(s->loop, &c->ev, EPOLLIN) < 0)
                drop(c);
}

static int on_listen(struct ev *ev, uint32_t events)
{
        struct control_socket *s = container_of(ev, struct control_socket, listen);

        (void)events;
        for (unsigned n = 0; n < ACCEPTS_PER_ROUND; n++) {
                int fd = accept4(ev->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0) {
                        add_client(s, fd);
                } else if (errno == EAGAIN) {
                        break;
                } else if (errno != EINTR && errno != ECONNABORTED) {
                        /* No descriptors or memory: later. The loop would come back at once. */
                        loop_remove(s->loop, ev);
                        loop_timer_set(s->loop, &s->tick, NS_PER_S);
                        break;
                }
        }
        return 0;
}

static int on_tick(struct loop_timer *timer)
{
        struct control_socket *s = container_of(timer, struct control_socket, tick);
        uint64_t now = loop_now_ns(), next = UINT64_MAX;

        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
                struct client *c = &s->clients[i];

                if (c->out && c->deadline_ns <= now)
                        drop(c);
                else if (c->out && c->deadline_ns < next)
                        next = c->deadline_ns;
        }
        if (!s->listen.armed && loop_add(s->loop, &s->listen, EPOLLIN) < 0)
                next = now + NS_PER_S;
        if (next != UINT64_MAX)
                loop_timer_set(s->loop, timer, next - now);
        return 0;
}

int control_socket_new(struct control_socket **ret, struct loop *loop, struct control *control, int listen_fd)
{
        struct control_socket *s = calloc(1, sizeof(*s));
        int r;

        if (!s) {
                fd_closep(&listen_fd);
                return err_new(-ENOMEM);
        }
        s->loop = loop;
        s->control = control;
        s->tick.call = on_tick;
        s->listener.call = on_event;
        s->listen = (struct ev){ .call = on_listen, .fd = listen_fd };
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
                s->clients[i] = (struct client){ .socket = s, .ev = { .fd = -1 } };
        control_listen(control, &s->listener);
        r = loop_add(loop, &s->listen, EPOLLIN);
        if (r < 0) {
                control_socket_free(s);
                return err_trace(r);
        }
        *ret = s;
        return 0;
}

void control_socket_free(struct control_socket *s)
{
        if (!s)
                return;
        control_unlisten(s->control, &s->listener);
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
                drop(&s->clients[i]);
        loop_timer_clear(s->loop, &s->tick);
        loop_remove(s->loop, &s->listen);
        fd_closep(&s->listen.fd);
        free(s);
}
