/*
 * One vsock connection.
 * Input:  packets and bytes (guest, hostile), bytes and timing (local client, hostile).
 * Runs:   loop thread.
 * Limits: VSOCK_CREDIT_MAX bytes kept for a slow client, VSOCK_LINE_MAX bytes of its first line.
 *
 * syscalls: loop: recvfrom sendto sendmsg shutdown close
 */
#include "virtio/vsock/vsock_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "vmm/base/assert.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"
#include "vmm/mem/gio.h"

void vsock_conn_init(struct vsock_conn *c, int fd_taken, enum vsock_state state)
{
        c->ev.fd = fd_taken;
        c->state = state;
        c->burst = 1;
        c->buf_alloc = VSOCK_CREDIT_MAX;
}

/*
 * A client that wrote more than the guest read would get ECONNRESET for its next read when we close with
 * its bytes unread, although the guest ended in good order. There are no more of them than the socket's
 * buffer holds.
 */
static void discard_unread(int fd)
{
        char waste[4096];

        if (shutdown(fd, SHUT_RD) < 0)
                return;
        while (recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0)
                ;
}

void vsock_conn_fini(struct vsock_conn *c, struct loop *loop)
{
        loop_remove(loop, &c->ev);
        if (c->ev.fd >= 0 && c->guest_sent)
                discard_unread(c->ev.fd);
        fd_closep(&c->ev.fd);
        free(c->ring);
        c->ring = NULL;
}

/* Bytes after the line are the guest's: they stay in the socket. */
int vsock_conn_read_line(struct vsock_conn *c, uint32_t *ret_port)
{
        char *at = c->line + c->line_len;
        size_t room = sizeof(c->line) - c->line_len;
        ssize_t n = recv(c->ev.fd, at, room, MSG_PEEK | MSG_DONTWAIT);
        char *end;

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return VSOCK_E_MORE;
        if (n <= 0)
                return VSOCK_E_LINE;
        end = memchr(at, '\n', (size_t)n);
        c->readable = end && end - at + 1 < n; /* once it is open, without waiting for the loop to say so */
        if (end)
                n = end - at + 1;
        if (recv(c->ev.fd, at, (size_t)n, MSG_DONTWAIT) != n)
                return VSOCK_E_LINE;
        c->line_len += (unsigned)n;
        if (!end)
                return c->line_len < sizeof(c->line) ? VSOCK_E_MORE : VSOCK_E_LINE;
        return vsock_parse_line(c->line, c->line_len, ret_port);
}

/* The guest learns what we passed on by any packet; a quarter of its credit is worth one of its own. */
static void passed_on(struct vsock_conn *c, uint32_t n)
{
        c->fwd_cnt += n;
        if (c->fwd_cnt - c->fwd_told >= c->buf_alloc / 4)
                c->owes |= VSOCK_OWES_CREDIT_UPDATE;
}

static void free_ring(struct vsock_conn *c)
{
        free(c->ring);
        c->ring = NULL;
        c->ring_at = c->ring_len = 0;
}

static void become_deaf(struct vsock_conn *c)
{
        passed_on(c, c->ring_len);
        free_ring(c);
        c->deaf = true;
}

static void check_over(struct vsock_conn *c)
{
        if (c->hup && c->eof && !c->deaf)
                become_deaf(c);
        if (c->state == VSOCK_OPEN && c->eof && c->deaf) {
                c->state = VSOCK_CLOSING;
                c->owes |= VSOCK_OWES_SHUTDOWN;
        }
}

static void end_input(struct vsock_conn *c, bool failed)
{
        c->readable = false;
        c->eof = true;
        c->hup |= failed;
        c->owes |= VSOCK_OWES_SHUTDOWN;
        check_over(c);
}

/* The client does not read any more. What it wrote before may still be on its way. */
static void end_output(struct vsock_conn *c)
{
        become_deaf(c);
        c->owes |= VSOCK_OWES_SHUTDOWN;
        check_over(c);
}

/* What a send that took @r says. Return: bytes taken. */
static uint32_t sent(struct vsock_conn *c, ssize_t r)
{
        if (r < 0 && r != -EAGAIN && r != -EINTR)
                end_output(c);
        return r > 0 ? (uint32_t)r : 0;
}

/* @n fits: the guest's credit was checked. */
static bool ring_put(struct vsock_conn *c, const struct vq_chain *chain, uint64_t at, uint32_t n)
{
        uint32_t tail, first;

        if (!c->ring)
                c->ring = malloc(c->buf_alloc);
        if (!c->ring)
                return false;
        ASSERT(n <= c->buf_alloc - c->ring_len);
        tail = (c->ring_at + c->ring_len) & (c->buf_alloc - 1);
        first = (uint32_t)num_min(n, c->buf_alloc - tail);
        if (chain_read(chain, at, c->ring + tail, first) || chain_read(chain, at + first, c->ring, n - first))
                return false;
        c->ring_len += n;
        return true;
}

static void ring_send(struct vsock_conn *c)
{
        uint32_t first = (uint32_t)num_min(c->ring_len, c->buf_alloc - c->ring_at);
        struct iovec iov[2] = {
                { .iov_base = c->ring + c->ring_at, .iov_len = first },
                { .iov_base = c->ring, .iov_len = c->ring_len - first },
        };
        struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
        ssize_t r = sendmsg(c->ev.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
        uint32_t n = sent(c, r < 0 ? -errno : r);

        if (!n)
                return;
        c->ring_at = (c->ring_at + n) & (c->buf_alloc - 1);
        c->ring_len -= n;
        passed_on(c, n);
        if (c->ring_len)
                return;
        free_ring(c);
        if (c->guest_sent)
                (void)!shutdown(c->ev.fd, SHUT_WR); /* fails when the client is gone: its event tells */
}

static enum vsock_verdict on_bytes(struct vsock_conn *c, const struct vsock_packet *p,
                                   const struct vq_chain *chain)
{
        struct gbuf bufs[VQ_SEGS_MAX];
        uint64_t at = sizeof(struct vsock_hdr);
        uint32_t n = 0;

        if (c->guest_sent || p->len > c->buf_alloc - (c->rx_cnt - c->fwd_cnt))
                return VSOCK_RESET;
        c->rx_cnt += p->len;
        if (!c->deaf && !c->ring_len && p->len) {
                unsigned nr = chain_bufs_readable(chain, at, p->len, bufs);

                n = sent(c, gio_send(c->ev.fd, bufs, nr));
        }
        if (c->deaf) {
                passed_on(c, p->len);
                return VSOCK_KEEP;
        }
        passed_on(c, n);
        if (n < p->len && !ring_put(c, chain, at + n, p->len - n))
                return VSOCK_RESET;
        return VSOCK_KEEP;
}

void vsock_conn_say_ok(struct vsock_conn *c)
{
        char ok[32];
        int n = snprintf(ok, sizeof(ok), "OK %u\n", c->host_port);

        c->owes_ok = false;
        /* Nothing was sent before it, so it fits; a client that is gone shows itself by its event. */
        if (send(c->ev.fd, ok, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
                end_output(c);
}

static enum vsock_verdict on_response(struct vsock_conn *c)
{
        if (c->state != VSOCK_REQUEST || !c->requested)
                return VSOCK_RESET;
        c->state = VSOCK_OPEN;
        /* Whoever went on without the line need not be woken for it alone. */
        c->owes_ok = c->tx_cnt;
        if (!c->quiet && !c->owes_ok)
                vsock_conn_say_ok(c);
        return VSOCK_KEEP;
}

static enum vsock_verdict on_shutdown(struct vsock_conn *c, uint32_t flags)
{
        bool deaf_now = flags & VSOCK_SHUTDOWN_RECEIVE && !c->guest_deaf;
        bool sent_now = flags & VSOCK_SHUTDOWN_SEND && !c->guest_sent;

        c->guest_deaf |= deaf_now;
        c->guest_sent |= sent_now;
        if (c->guest_deaf && c->guest_sent)
                return VSOCK_RESET; /* 5.10.6.5: the answer that ends a clean disconnect */
        if (deaf_now) {
                (void)!shutdown(c->ev.fd, SHUT_RD);
                c->readable = false;
                c->eof = true;
        }
        if (sent_now && !c->ring_len)
                (void)!shutdown(c->ev.fd, SHUT_WR);
        check_over(c);
        return VSOCK_KEEP;
}

enum vsock_verdict vsock_conn_on_packet(struct vsock_conn *c, const struct vsock_packet *p,
                                        const struct vq_chain *chain)
{
        c->peer_buf_alloc = p->buf_alloc;
        c->peer_fwd_cnt = p->fwd_cnt;
        c->asked_credit = false;
        if (c->owes_ok)
                vsock_conn_say_ok(c);
        if (p->op == VSOCK_OP_RST)
                return VSOCK_END;
        if (c->state == VSOCK_REQUEST)
                return p->op == VSOCK_OP_RESPONSE ? on_response(c) : VSOCK_RESET;
        switch (p->op) {
        case VSOCK_OP_RW:
                return on_bytes(c, p, chain);
        case VSOCK_OP_SHUTDOWN:
                return on_shutdown(c, p->flags);
        case VSOCK_OP_CREDIT_REQUEST:
                c->owes |= VSOCK_OWES_CREDIT_UPDATE;
                return VSOCK_KEEP;
        case VSOCK_OP_CREDIT_UPDATE:
                return VSOCK_KEEP;
        case VSOCK_OP_INVALID:
        case VSOCK_OP_REQUEST:
        case VSOCK_OP_RESPONSE:
        case VSOCK_OP_RST:
                break;
        }
        return VSOCK_RESET;
}

enum vsock_verdict vsock_conn_on_socket(struct vsock_conn *c, uint32_t events)
{
        bool over = events & (EPOLLHUP | EPOLLERR);

        if (c->state == VSOCK_REQUEST)
                return !over ? VSOCK_KEEP : c->requested ? VSOCK_RESET : VSOCK_END;
        if (c->ring_len && (over || events & EPOLLOUT))
                ring_send(c);
        c->hup |= over;
        if (c->state == VSOCK_DRAIN)
                return c->ring_len && !over ? VSOCK_KEEP : VSOCK_END;
        if (!c->eof && (over || events & EPOLLIN))
                c->readable = true;
        check_over(c);
        return VSOCK_KEEP;
}

bool vsock_conn_detach(struct vsock_conn *c)
{
        bool left = c->ring_len && !c->deaf;

        c->state = VSOCK_DRAIN;
        c->owes = 0;
        c->guest_sent = true;
        c->readable = false;
        return left;
}

uint32_t vsock_conn_credit(const struct vsock_conn *c)
{
        uint32_t used = c->tx_cnt - c->peer_fwd_cnt;

        return used < c->peer_buf_alloc ? c->peer_buf_alloc - used : 0;
}

/* What it owes goes first: nothing of it may wait for the end of a stream, and a SHUTDOWN that says that
 * the client sends no more is owed only once its last byte was read. Credit travels with the bytes. */
bool vsock_conn_has_bytes(const struct vsock_conn *c)
{
        bool asked = c->state == VSOCK_REQUEST && c->requested;

        return (c->state == VSOCK_OPEN || asked) && c->readable && vsock_conn_credit(c) &&
               !(c->owes & ~VSOCK_OWES_CREDIT_UPDATE);
}

bool vsock_conn_is_ready(const struct vsock_conn *c)
{
        return c->state != VSOCK_DRAIN && (c->owes || vsock_conn_has_bytes(c));
}

uint32_t vsock_conn_read(struct vsock_conn *c, const struct gbuf *bufs, unsigned n, uint32_t room)
{
        ssize_t r = gio_read(c->ev.fd, bufs, n);

        if (r == -EAGAIN || r == -EINTR) {
                c->readable = false;
                return 0;
        }
        if (r <= 0) {
                end_input(c, r < 0);
                return 0;
        }
        c->tx_cnt += (uint32_t)r;
        /* Less than asked for: it is empty now, and the loop tells when that changes. */
        c->readable = (uint32_t)r == room;
        c->burst = (uint8_t)(c->readable ? num_min(2u * c->burst, VSOCK_BURST_MAX) : 1);
        if (c->state == VSOCK_OPEN && c->readable && !vsock_conn_credit(c) && !c->asked_credit) {
                c->asked_credit = true;
                c->owes |= VSOCK_OWES_CREDIT_REQUEST;
        }
        return (uint32_t)r;
}

void vsock_conn_describe(struct vsock_conn *c, enum vsock_op op, uint32_t len, struct vsock_packet *ret)
{
        uint32_t flags = (c->deaf ? VSOCK_SHUTDOWN_RECEIVE : 0) | (c->eof ? VSOCK_SHUTDOWN_SEND : 0);

        *ret = (struct vsock_packet){
                .guest_port = c->guest_port,
                .host_port = c->host_port,
                .len = len,
                .flags = op == VSOCK_OP_SHUTDOWN ? flags : 0,
                .buf_alloc = c->buf_alloc,
                .fwd_cnt = c->fwd_cnt,
                .type = VSOCK_TYPE_STREAM,
                .op = op,
        };
        c->fwd_told = c->fwd_cnt;
        c->owes &= (uint8_t)~VSOCK_OWES_CREDIT_UPDATE;
}

void vsock_conn_next(struct vsock_conn *c, struct vsock_packet *ret)
{
        static const enum vsock_op op_of[] = { VSOCK_OP_REQUEST, VSOCK_OP_RESPONSE, VSOCK_OP_CREDIT_UPDATE,
                                               VSOCK_OP_CREDIT_REQUEST, VSOCK_OP_SHUTDOWN };
        unsigned i = 0;

        ASSERT(c->owes && c->owes < 1u << array_size(op_of));
        while (!(c->owes >> i & 1))
                i++;
        c->owes &= (uint8_t) ~(1u << i);
        c->requested |= op_of[i] == VSOCK_OP_REQUEST;
        vsock_conn_describe(c, op_of[i], 0, ret);
}

bool vsock_conn_is_timed(const struct vsock_conn *c)
{
        return c->state == VSOCK_LINE || c->state == VSOCK_CLOSING ||
               (c->state == VSOCK_REQUEST && c->requested);
}

/* A hang-up is always told, so a socket that hung up is watched only for what makes progress. */
static bool events_of(const struct vsock_conn *c, uint32_t *ret)
{
        *ret = 0;
        switch (c->state) {
        case VSOCK_LINE:
                *ret = EPOLLIN;
                return true;
        case VSOCK_REQUEST:
                return true;
        case VSOCK_OPEN:
                if (!c->eof && !c->readable && vsock_conn_credit(c))
                        *ret |= EPOLLIN;
                if (c->ring_len)
                        *ret |= EPOLLOUT;
                return *ret || !c->hup;
        case VSOCK_DRAIN:
                *ret = EPOLLOUT;
                return true;
        case VSOCK_CLOSING:
                return false;
        }
        return false;
}

int vsock_conn_watch(struct vsock_conn *c, struct loop *loop)
{
        uint32_t events;

        if (!events_of(c, &events)) {
                loop_remove(loop, &c->ev);
                return 0;
        }
        if (c->ev.armed && events == c->watched)
                return 0;
        c->watched = events;
        return c->ev.armed ? loop_change(loop, &c->ev, events) : loop_add(loop, &c->ev, events);
}
