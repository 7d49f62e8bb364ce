/*
 * Relay: one stream from a client to a listener in the guest and one back.
 * Input:  a CONNECT request and the client's bytes (hostile), the listener's bytes (hostile); never looked at.
 * Runs:   a child.
 * Limits: one pipe in each direction: what the slower side has not taken yet is no more than that.
 *
 * Bytes move by splice(2) from socket to pipe to socket. Sockets are watched edge-triggered, so the flags
 * remember what each has to give or take until it says "no more". A stream ends by itself: when one side has
 * sent its end and all of it has been passed on, the other side's socket is shut for writing, and the other
 * stream goes on.
 */
#include "guest/relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "guest/protocol_request.h"

#define PIPE_BYTES (64u << 10)

struct side {
        int fd;
        bool readable, writable;
};

struct flow {
        struct side *from, *to;
        const uint8_t *rest; /* goes before what is in the socket */
        size_t rest_len;
        int pipe[2];
        size_t fill; /* of the pipe */
        bool eof;    /* no more comes */
        bool over;   /* and all of it is passed on */
};

struct relay {
        struct side client, listener;
        struct flow in, out; /* in: to the listener */
        int epoll_fd;
        int64_t end_ms; /* when nothing more is passed on for a client that is gone; 0 = it is there */
};

/* Return: a connected socket, or a negative errno. */
static int connect_to(int family, const void *address, socklen_t len)
{
        struct timeval limit = { .tv_sec = RELAY_CONNECT_S };
        int on = 1, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)); /* of connect(), too */
        if (!connect(fd, address, len)) {
                if (family != AF_UNIX)
                        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                return fd;
        }

        int error = errno == EINPROGRESS || errno == EAGAIN ? ETIMEDOUT : errno;

        close(fd);
        return -error;
}

static int connect_tcp(const char *text, uint32_t port)
{
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };

        if (!*text) {
                v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
                v6.sin6_addr = in6addr_loopback;

                int fd = connect_to(AF_INET, &v4, sizeof(v4));

                if (fd >= 0)
                        return fd;

                int second = connect_to(AF_INET6, &v6, sizeof(v6));

                return second >= 0 ? second : fd;
        }
        if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
                return connect_to(AF_INET, &v4, sizeof(v4));
        if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1)
                return connect_to(AF_INET6, &v6, sizeof(v6));
        return -EINVAL;
}

/* By a descriptor of the socket's file, so that its path may be longer than an address. */
static int connect_path(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/proc/self/fd/" };
        int file = open(path, O_PATH | O_CLOEXEC), r;

        if (file < 0)
                return -errno;

        char *digits = address.sun_path + strlen(address.sun_path);

        if (file >= 10)
                *digits++ = (char)('0' + file / 10); /* a child has hardly any descriptors */
        *digits = (char)('0' + file % 10);
        r = connect_to(AF_UNIX, &address, sizeof(address));
        close(file);
        return r;
}

static int connect_unix(const char *name)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t len = strlen(name);

        if (*name != '@')
                return connect_path(name);
        if (len > sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path + 1, name + 1, len - 1);
        return connect_to(AF_UNIX, &address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}

static void explain(struct child *c, const struct protocol_connect *req, int error)
{
        uint8_t digits[PROTOCOL_METRIC_LINE_MAX];
        size_t len = protocol_put_metric(digits, "port", req->port); /* "port 80\n" */
        const char *address = *req->address ? req->address : "the loopback";

        digits[len - 1] = 0;
        if (req->kind == PROTOCOL_CONNECT_TCP && error == EINVAL)
                child_fail(c, PROTOCOL_FAULT_SYSTEM, error,
                           CHILD_WORDS(address, ": not an IPv4 or IPv6 address"));
        else if (req->kind == PROTOCOL_CONNECT_TCP)
                child_fail(c, PROTOCOL_FAULT_SYSTEM, error,
                           CHILD_WORDS(address, ", ", (const char *)digits, ": ", strerror(error)));
        else
                child_fail(c, PROTOCOL_FAULT_SYSTEM, error, CHILD_WORDS(address, ": ", strerror(error)));
}

/* One piece from the side that gives into the pipe. Return: true if something has changed. */
static bool take_in(struct flow *f)
{
        ssize_t n;

        if (f->rest_len) {
                n = write(f->pipe[1], f->rest, f->rest_len);
                if (n <= 0)
                        return false; /* the pipe is full: it is emptied first */
                f->rest += n;
                f->rest_len -= (size_t)n;
                f->fill += (size_t)n;
                return true;
        }
        if (f->eof || !f->from->readable)
                return false;
        n = splice(f->from->fd, NULL, f->pipe[1], NULL, PIPE_BYTES, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (n > 0) {
                f->fill += (size_t)n;
                return true;
        }
        if (n < 0 && errno == EINTR)
                return true;
        if (n < 0 && errno == EAGAIN) {
                /* with something in the pipe it may be the pipe that is full */
                if (!f->fill)
                        f->from->readable = false;
                return false;
        }
        f->eof = true; /* its end, or it is broken: nothing more comes either way */
        return true;
}

/* One piece from the pipe to the side that takes. Return: true if something has changed. */
static bool hand_over(struct flow *f)
{
        if (!f->fill || !f->to->writable)
                return false;

        ssize_t n = splice(f->pipe[0], NULL, f->to->fd, NULL, f->fill, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);

        if (n > 0) {
                f->fill -= (size_t)n;
                return true;
        }
        if (n < 0 && errno == EINTR)
                return true;
        if (n < 0 && errno == EAGAIN) {
                f->to->writable = false;
                return false;
        }
        f->fill = f->rest_len = 0; /* nobody takes it any more */
        f->eof = true;
        return true;
}

static bool move(struct flow *f)
{
        if (f->over)
                return false;

        bool taken = take_in(f), given = hand_over(f);

        if (f->eof && !f->fill && !f->rest_len) {
                f->over = true;
                shutdown(f->to->fd, SHUT_WR);
        }
        return taken || given;
}

static int64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * A client that has sent its end may still listen; one that is gone does not. A vsock socket tells them apart
 * only when it is written to, and nothing is enough. Once our end was sent, its end is all that matters.
 */
static bool is_gone(const struct relay *r, uint32_t events)
{
        if (r->out.over)
                return events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        return send(r->client.fd, "", 0, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN &&
               errno != EINTR;
}

static void note(struct side *s, uint32_t events)
{
        bool broken = events & (EPOLLHUP | EPOLLERR);

        s->readable = s->readable || broken || (events & (EPOLLIN | EPOLLRDHUP));
        s->writable = s->writable || broken || (events & EPOLLOUT);
}

/* Waits for either socket. Return: false when nobody is left to pass anything on for. */
static bool wait_for_more(struct relay *r)
{
        struct epoll_event events[2];
        int64_t left = r->end_ms ? r->end_ms - now_ms() : -1;

        if (r->end_ms && left <= 0)
                return false;

        int n = epoll_wait(r->epoll_fd, events, 2, (int)left);

        if (n < 0 && errno != EINTR)
                return false;
        for (int i = 0; i < n; i++) {
                bool of_client = events[i].data.u32 == 0;

                note(of_client ? &r->client : &r->listener, events[i].events);
                if (of_client && !r->end_ms && is_gone(r, events[i].events))
                        r->end_ms = now_ms() + RELAY_LINGER_S * 1000;
        }
        return true;
}

static bool watch(const struct relay *r, int fd, uint32_t which)
{
        struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u32 = which };

        return !fcntl(fd, F_SETFL, O_NONBLOCK) && !epoll_ctl(r->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void run(struct relay *r)
{
        while (!r->in.over || !r->out.over) {
                bool moved = move(&r->in), back = move(&r->out);

                if (r->in.over && r->end_ms)
                        return; /* nobody waits for what the listener may still say */
                if (!moved && !back && !wait_for_more(r))
                        return;
        }
}

bool relay_serve(struct child *c, const uint8_t *payload, uint32_t len)
{
        struct protocol_connect req;
        int error = protocol_parse_connect(payload, len, &req);

        if (error)
                return child_malformed(c, protocol_strerror(error));

        int fd = req.kind == PROTOCOL_CONNECT_TCP ? connect_tcp(req.address, req.port)
                                                  : connect_unix(req.address);

        if (fd < 0) {
                explain(c, &req, -fd);
                return false;
        }

        struct relay r = { .client = { c->fd, true, true }, .listener = { fd, true, true } };

        r.in = (struct flow){
                .from = &r.client, .to = &r.listener, .rest = c->rest, .rest_len = c->rest_len
        };
        r.out = (struct flow){ .from = &r.listener, .to = &r.client };
        r.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (pipe2(r.in.pipe, O_CLOEXEC | O_NONBLOCK) || pipe2(r.out.pipe, O_CLOEXEC | O_NONBLOCK) ||
            r.epoll_fd < 0) {
                child_fail(c, PROTOCOL_FAULT_RESOURCES, errno,
                           CHILD_WORDS("no room for one more connection"));
                return false;
        }
        child_done(c);
        if (watch(&r, c->fd, 0) && watch(&r, fd, 1))
                run(&r);
        return false;
}
