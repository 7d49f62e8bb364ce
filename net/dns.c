/*
 * The guest's resolver.
 * Input:  questions of the guest (hostile), answers of the world by way of dns_upstream.c.
 * Runs:   loop thread.
 * Limits: DNS_QUERIES_MAX questions upstream at once, DNS_RATE a second; DNS_STREAMS_MAX TCP connections, one question
 *         at a time on each, of DNS_STREAM_MAX bytes.
 *
 * syscalls: loop: socketpair recvfrom sendto close
 */
#include "net/dns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/bytes.h"
#include "net/dns_priv.h"
#include "vmm/base/err.h"
#include "vmm/base/io.h"

#define RESOLV_CONF_MAX (64u << 10)

static void drop_stream(struct dns_stream *s)
{
        if (s->ev.fd < 0)
                return;
        for (unsigned i = 0; i < DNS_QUERIES_MAX; i++) {
                struct dns_query *q = &s->dns->queries[i];

                if (q->used && q->stream == s) {
                        dns_unask(q);
                        q->used = false;
                }
        }
        loop_remove(s->dns->config.loop, &s->ev);
        fd_closep(&s->ev.fd);
}

static void send_stream(struct dns_stream *s, const uint8_t *bytes, size_t n)
{
        uint8_t message[2 + DNS_UDP_SIZE];

        s->waits = false;
        bytes_put16(message, (uint16_t)n);
        memcpy(message + 2, bytes, n);
        if (n > DNS_UDP_SIZE ||
            send(s->ev.fd, message, n + 2, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)(n + 2) ||
            loop_change(s->dns->config.loop, &s->ev, EPOLLIN) < 0)
                drop_stream(s);
}

static void send_reply(struct dns_query *q, const struct dns_reply *reply)
{
        struct dns *d = q->dns;
        uint8_t bytes[DNS_UDP_SIZE];
        size_t n =
                dns_build_reply(bytes, q->stream ? sizeof(bytes) : q->question.udp_size, &q->question, reply);
        struct frame_head head;
        struct iovec parts[2];

        if (!n)
                return;
        if (q->stream) {
                send_stream(q->stream, bytes, n);
                return;
        }
        frame_udp(&head, d->config.lan, &q->to, &q->from, bytes, n);
        parts[0] = stream_part(head.bytes, head.len);
        parts[1] = stream_part(bytes, n);
        (void)!stream_send(d->config.stream, parts, 2, STREAM_SMALL);
}

static void end_query(struct dns_query *q, const struct dns_reply *reply)
{
        dns_unask(q);
        q->used = false;
        send_reply(q, reply);
}

void dns_on_failure(struct dns_query *q)
{
        q->dns->stats.failed++;
        end_query(q, &(struct dns_reply){ .rcode = DNS_SERVFAIL });
}

void dns_on_answer(struct dns_query *q, const struct dns_answer *answer)
{
        struct address kept[DNS_ADDRESSES_MAX];
        struct dns_reply reply = { .rcode = answer->rcode, .ttl_s = answer->ttl_s, .addresses = kept };

        for (unsigned i = 0; i < answer->nr_addresses; i++)
                if (gate_keep(q->dns->config.gate, &q->decision, q->question.name, &answer->addresses[i],
                              answer->ttl_s))
                        kept[reply.nr_addresses++] = answer->addresses[i];
        if (answer->nr_addresses && !reply.nr_addresses)
                reply.rcode = DNS_REFUSED;
        q->dns->stats.answered++;
        end_query(q, &reply);
}

static bool is_asked_already(const struct dns *d, const struct dns_query *asked)
{
        for (unsigned i = 0; i < DNS_QUERIES_MAX; i++) {
                const struct dns_query *q = &d->queries[i];

                if (q->used && !q->stream && !asked->stream && q->question.id == asked->question.id &&
                    q->from.port == asked->from.port && q->question.type == asked->question.type &&
                    !strcmp(q->question.name, asked->question.name))
                        return true;
        }
        return false;
}

/* @asked: a question that is allowed and goes upstream. Return: false: there is no room for it. */
static bool ask(struct dns *d, const struct dns_query *asked)
{
        struct dns_query *q = d->queries;

        if (is_asked_already(d, asked))
                return true;
        while (q < d->queries + DNS_QUERIES_MAX && q->used)
                q++;
        if (q == d->queries + DNS_QUERIES_MAX || rate_take(&d->rate, 0, loop_now_ns())) {
                d->stats.limited++;
                return false;
        }
        *q = *asked;
        q->used = true;
        q->ev.fd = -1;
        d->stats.asked++;
        dns_ask(q);
        return true;
}

static enum dns_rcode decide(struct dns_query *q)
{
        struct dns *d = q->dns;

        q->decision = gate_question(d->config.gate, q->question.name);
        if (!q->decision.allow)
                return DNS_REFUSED;
        if (q->question.type == DNS_HTTPS || q->question.type == DNS_SVCB)
                return DNS_NOERROR; /* there is none: clients go on with the addresses */
        if (q->question.type != DNS_A && q->question.type != DNS_AAAA)
                return DNS_NOTIMP;
        return ask(d, q) ? DNS_NOERROR : DNS_SERVFAIL;
}

/* @q: where it came from is set. */
static void on_question(struct dns_query *q, const uint8_t *bytes, size_t n)
{
        struct dns_reply reply = { .rcode = DNS_NOERROR };
        int r = dns_parse_question(bytes, n, &q->question);

        q->dns->stats.questions++;
        if (r == DNS_E_DROP) {
                if (q->stream)
                        drop_stream(q->stream);
                return;
        }
        if (r == DNS_E_FORMAT)
                reply.rcode = DNS_FORMERR;
        else if (r == DNS_E_NOTIMP)
                reply.rcode = DNS_NOTIMP;
        else if (r)
                reply.rcode = DNS_NXDOMAIN;
        else
                reply.rcode = decide(q);
        if (r || reply.rcode || (q->question.type != DNS_A && q->question.type != DNS_AAAA))
                send_reply(q, &reply);
}

void dns_input(struct dns *d, const struct frame *f)
{
        struct dns_query q = { .dns = d, .from = { f->src, f->src_port }, .to = { f->dst, f->dst_port } };

        on_question(&q, f->body, f->body_len);
}

static int on_stream(struct ev *ev, uint32_t events)
{
        struct dns_stream *s = container_of(ev, struct dns_stream, ev);
        struct dns_query q = { .dns = s->dns, .stream = s };
        ssize_t n;
        size_t len;

        (void)events;
        if (s->waits) { /* the guest has gone */
                drop_stream(s);
                return 0;
        }
        if (s->len < 2 || s->len < 2u + bytes_get16(s->bytes)) {
                n = recv(ev->fd, s->bytes + s->len, sizeof(s->bytes) - s->len, MSG_DONTWAIT);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n <= 0) {
                        drop_stream(s);
                        return 0;
                }
                s->len += (size_t)n;
        }
        len = s->len < 2 ? 0 : bytes_get16(s->bytes);
        if (len + 2 > sizeof(s->bytes)) {
                drop_stream(s);
                return 0;
        }
        if (s->len < 2 || s->len < 2 + len)
                return 0;
        s->waits = true;
        if (loop_change(s->dns->config.loop, &s->ev, 0) < 0) {
                drop_stream(s);
                return 0;
        }
        /* One question at a time: what came behind it is asked again. */
        s->len = 0;
        on_question(&q, s->bytes + 2, len);
        return 0;
}

int dns_connect(struct dns *d)
{
        struct dns_stream *s = d->streams;
        int ends[2], r;

        while (s < d->streams + DNS_STREAMS_MAX && s->ev.fd >= 0)
                s++;
        if (s == d->streams + DNS_STREAMS_MAX)
                return -ECONNREFUSED;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
                return err_new(-errno);
        *s = (struct dns_stream){ .dns = d, .ev = { .call = on_stream, .fd = ends[0] } };
        r = loop_add(d->config.loop, &s->ev, EPOLLIN);
        if (r < 0) {
                fd_closep(&s->ev.fd);
                fd_closep(&ends[1]);
                return err_trace(r);
        }
        return ends[1];
}

struct dns_stats dns_stats(const struct dns *d)
{
        return d->stats;
}

unsigned dns_read_servers(const char *path, struct frame_end ret[DNS_SERVERS_MAX])
{
        cleanup(freep) char *text = NULL;
        unsigned nr = 0;
        char *rest, *line;

        if (io_read_file(path, RESOLV_CONF_MAX, &text) < 0)
                return 0;
        for (line = strtok_r(text, "\n", &rest); line && nr < DNS_SERVERS_MAX;
             line = strtok_r(NULL, "\n", &rest)) {
                char word[ADDRESS_TEXT_MAX];

                if (sscanf(line, " nameserver %45[0-9a-fA-F.:]", word) == 1 &&
                    address_from_text(word, &ret[nr].address))
                        ret[nr++].port = DNS_PORT;
        }
        return nr;
}

int dns_new(const struct dns_config *config, struct dns **ret)
{
        const struct rate_config limit = { .ops = { .size = DNS_RATE, .refill_ms = RATE_REFILL_MS } };
        struct dns *d = calloc(1, sizeof(*d));

        if (!d)
                return err_new(-ENOMEM);
        d->config = *config;
        rate_init(&d->rate, &limit, loop_now_ns());
        for (unsigned i = 0; i < DNS_STREAMS_MAX; i++)
                d->streams[i] = (struct dns_stream){ .dns = d, .ev = { .fd = -1 } };
        *ret = d;
        return 0;
}

void dns_free(struct dns *d)
{
        if (!d)
                return;
        for (unsigned i = 0; i < DNS_STREAMS_MAX; i++)
                drop_stream(&d->streams[i]);
        for (unsigned i = 0; i < DNS_QUERIES_MAX; i++)
                if (d->queries[i].used)
                        dns_unask(&d->queries[i]);
        free(d);
}
