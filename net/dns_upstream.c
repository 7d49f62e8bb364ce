/*
 * Queries of the gateway to the host's resolvers.
 * Input:  answers of the world (hostile).
 * Runs:   loop thread.
 * Limits: TRIES_MAX tries of TRY_NS each, READS_MAX datagrams a round.
 *
 * syscalls: loop: getrandom recvfrom sendto close
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "net/bytes.h"
#include "net/dns_priv.h"

#define TRIES_MAX 4u
#define TRY_NS    2000000000ull
#define READS_MAX 16u
#define QUERY_MAX 512u

static void try_again(struct dns_query *q);

static void close_socket(struct dns_query *q)
{
        if (q->ev.fd >= 0)
                loop_remove(q->dns->config.loop, &q->ev);
        fd_closep(&q->ev.fd);
        free(q->answer);
        q->answer = NULL;
        q->len = 0;
}

void dns_unask(struct dns_query *q)
{
        close_socket(q);
        loop_timer_clear(q->dns->config.loop, &q->timer);
}

/* Return: whether it was the answer, or at least an end of this try. */
static bool take_answer(struct dns_query *q, const uint8_t *bytes, size_t n)
{
        struct dns_answer answer;
        int r = dns_parse_answer(bytes, n, q->id, q->question.name, q->question.type, &answer);

        if (r == DNS_E_OTHER && !q->tcp)
                return false; /* from a liar, or late: ours may still come */
        if (!r && answer.truncated && !q->tcp) {
                q->tcp = true;
                q->tries--;
                try_again(q);
                return true;
        }
        if (r || answer.truncated || answer.rcode == DNS_SERVFAIL || answer.rcode == DNS_REFUSED) {
                try_again(q);
                return true;
        }
        dns_on_answer(q, &answer);
        return true;
}

static int on_datagram(struct ev *ev, uint32_t events)
{
        struct dns_query *q = container_of(ev, struct dns_query, ev);
        struct dns *d = q->dns;

        (void)events;
        for (unsigned i = 0; i < READS_MAX; i++) {
                ssize_t n = recv(ev->fd, d->bytes, sizeof(d->bytes), MSG_DONTWAIT);

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n < 0) {
                        try_again(q);
                        return 0;
                }
                if (take_answer(q, d->bytes, (size_t)n))
                        return 0;
        }
        return 0;
}

static bool send_query(struct dns_query *q)
{
        uint8_t bytes[2 + QUERY_MAX];
        size_t n = dns_build_query(bytes + 2, QUERY_MAX, q->id, q->question.name, q->question.type);
        size_t skip = q->tcp ? 0 : 2;

        bytes_put16(bytes, (uint16_t)n);
        return n && send(q->ev.fd, bytes + skip, n + 2 - skip, MSG_DONTWAIT | MSG_NOSIGNAL) ==
                            (ssize_t)(n + 2 - skip);
}

/* A connection that stands or comes: the query first, then the answer, behind its length. */
static int on_stream(struct ev *ev, uint32_t events)
{
        struct dns_query *q = container_of(ev, struct dns_query, ev);
        ssize_t n;

        if (!q->answer) {
                q->answer = malloc(2 + DNS_MESSAGE_MAX);
                if (!q->answer || events & (EPOLLERR | EPOLLHUP) || !send_query(q) ||
                    loop_change(q->dns->config.loop, ev, EPOLLIN) < 0)
                        try_again(q);
                return 0;
        }
        n = recv(ev->fd, q->answer + q->len, 2 + DNS_MESSAGE_MAX - q->len, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                try_again(q);
                return 0;
        }
        q->len += (size_t)n;
        if (q->len >= 2 && q->len >= 2u + bytes_get16(q->answer))
                (void)take_answer(q, q->answer + 2, bytes_get16(q->answer));
        return 0;
}

static int on_timeout(struct loop_timer *timer)
{
        try_again(container_of(timer, struct dns_query, timer));
        return 0;
}

static bool start(struct dns_query *q)
{
        struct dns *d = q->dns;
        const struct frame_end *to = &d->config.servers[q->tries % d->config.nr_servers];
        int fd = d->config.host->open(d->config.host->ctx, q->tcp ? POLICY_TCP : POLICY_UDP, to);

        q->ev = (struct ev){ .call = q->tcp ? on_stream : on_datagram, .fd = fd };
        return fd >= 0 && getrandom(&q->id, sizeof(q->id), GRND_NONBLOCK) == sizeof(q->id) &&
               loop_add(d->config.loop, &q->ev, q->tcp ? EPOLLOUT : EPOLLIN) == 0 &&
               (q->tcp || send_query(q));
}

static void try_again(struct dns_query *q)
{
        struct dns *d = q->dns;

        close_socket(q);
        loop_timer_clear(d->config.loop, &q->timer);
        while (d->config.nr_servers && q->tries < TRIES_MAX) {
                bool good = start(q);

                q->tries++;
                if (good) {
                        loop_timer_set(d->config.loop, &q->timer, TRY_NS);
                        return;
                }
                close_socket(q);
        }
        dns_on_failure(q);
}

void dns_ask(struct dns_query *q)
{
        uint64_t wait = TRY_NS;

        if (!q->dns->config.nr_servers || !start(q)) {
                close_socket(q);
                wait = 0; /* what fails, fails later: the caller is not done with it */
        }
        q->tries = 1;
        q->timer.call = on_timeout;
        loop_timer_set(q->dns->config.loop, &q->timer, wait);
}
