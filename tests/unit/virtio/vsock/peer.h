#pragma once
/*
 * The guest's side of vsock for tests: a driver with rx buffers of one size, packets out, packets in.
 * It has one device with a real loop and, when asked, a listening socket.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "tests/mock/driver.h"
#include "tests/unit/run.h"
#include "virtio/vsock/vsock.h"
#include "virtio/vsock/vsock_conn.h"
#include "virtio/vsock/vsock_mux.h"

#define PEER_RAM      (4u << 20)
#define PEER_CID      3u
#define PEER_QUEUE    64u
#define PEER_RX_BYTES 4096u
#define PEER_PAYLOAD  (PEER_RX_BYTES - (uint32_t)sizeof(struct vsock_hdr))
#define PEER_TX_BYTES (64u << 10)
#define PEER_CREDIT   (256u << 10)
#define PEER_WAIT_MS  5000u

enum { PEER_RX, PEER_TX, PEER_EVENT };

struct peer {
        struct loop *loop;
        struct gmem *mem;
        struct virtio_dev *dev;
        struct mock_dev m;
        struct sockaddr_un address; /* of the listening socket: abstract */
        socklen_t address_len;
        uint64_t rx_at[PEER_QUEUE]; /* by descriptor */
        uint64_t tx_hdr, tx_data;
        bool no_refill; /* keep the rx buffers that come back */
        /* The last packet that came. */
        struct vsock_hdr hdr;
        uint8_t data[PEER_RX_BYTES];
        uint32_t len;
        /* The answer to the guest's own connections, who asked, and for whom. */
        int connect_fd;
        uint32_t connect_from, connect_port;
};

static inline int peer_connect(void *ctx, uint32_t guest_port, uint32_t port)
{
        struct peer *p = ctx;

        p->connect_from = guest_port;
        p->connect_port = port;
        return p->connect_fd < 0 ? -ECONNREFUSED : steal_fd(&p->connect_fd);
}

static inline void peer_give_rx(struct peer *p, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                unsigned head = p->m.vq[PEER_RX].next_desc;
                struct mock_seg s = { .at = p->rx_at[head], .len = PEER_RX_BYTES, .writable = true };

                (void)mock_add(&p->m.vq[PEER_RX], &s, 1);
        }
}

/* As the driver of our own kernel is served: what its clients send at once goes to early_port with the request. */
static inline void peer_init_known(struct peer *p, uint32_t timeout_ms, uint32_t early_port, bool late_tx)
{
        struct vsock_config cfg = { .guest_cid = PEER_CID,
                                    .timeout_ms = timeout_ms,
                                    .early_port = early_port,
                                    .late_tx = late_tx,
                                    .connect = peer_connect };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        *p = (struct peer){ .connect_fd = -1, .address = { .sun_family = AF_UNIX } };
        ck_assert_int_ge(fd, 0);
        ck_assert(!bind(fd, (struct sockaddr *)&p->address, sizeof(sa_family_t)) && !listen(fd, 128));
        p->address_len = sizeof(p->address);
        ck_assert(!getsockname(fd, (struct sockaddr *)&p->address, &p->address_len));
        ck_assert(!loop_new(&p->loop));
        p->mem = mock_ram(PEER_RAM);
        cfg.loop = p->loop;
        cfg.mem = p->mem;
        cfg.listen_fd = fd;
        cfg.connect_ctx = p;
        ck_assert(!vsock_new(&cfg, &p->dev));
        mock_dev_init(&p->m, p->dev, p->mem);
        for (unsigned i = 0; i < PEER_QUEUE; i++)
                p->rx_at[i] = mock_buf(&p->m, PEER_RX_BYTES);
        p->tx_hdr = mock_buf(&p->m, sizeof(struct vsock_hdr));
        p->tx_data = mock_buf(&p->m, PEER_TX_BYTES);
}

static inline void peer_init(struct peer *p, uint32_t timeout_ms)
{
        peer_init_known(p, timeout_ms, 0, false);
}

static inline void peer_start(struct peer *p, unsigned nr_rx)
{
        mock_dev_start(&p->m, 0, PEER_QUEUE);
        peer_give_rx(p, nr_rx);
        ck_assert_int_eq(mock_kick(&p->m, PEER_RX), 0);
}

static inline void peer_fini(struct peer *p)
{
        virtio_free(p->dev);
        loop_free(p->loop);
        gmem_free(p->mem);
        fd_closep(&p->connect_fd);
}

static inline bool peer_never(void *arg)
{
        (void)arg;
        return false;
}

static inline void peer_run(struct peer *p, unsigned ms)
{
        (void)mock_run_until(p->loop, peer_never, NULL, ms);
}

static inline bool peer_has_packet(void *arg)
{
        struct peer *p = arg;

        return mock_used_idx(&p->m.vq[PEER_RX]) != p->m.vq[PEER_RX].used_seen;
}

/* Takes the next packet that is there. */
static inline bool peer_take(struct peer *p)
{
        uint32_t id, len;

        if (!mock_used(&p->m.vq[PEER_RX], &id, &len))
                return false;
        ck_assert_uint_ge(len, sizeof(p->hdr));
        ck_assert_uint_le(len, PEER_RX_BYTES);
        mock_get(p->mem, p->rx_at[id], &p->hdr, sizeof(p->hdr));
        p->len = len - (uint32_t)sizeof(p->hdr);
        mock_get(p->mem, p->rx_at[id] + sizeof(p->hdr), p->data, p->len);
        ck_assert_uint_eq(le32_get(p->hdr.len), p->len);
        ck_assert_uint_eq(le64_get(p->hdr.src_cid), VSOCK_CID_HOST);
        ck_assert_uint_eq(le64_get(p->hdr.dst_cid), PEER_CID);
        if (!p->no_refill) {
                peer_give_rx(p, 1);
                ck_assert_int_eq(mock_kick(&p->m, PEER_RX), 0);
        }
        return true;
}

/* Waits for a packet, which must be an @op. */
static inline void peer_expect(struct peer *p, enum vsock_op op)
{
        ck_assert_msg(mock_run_until(p->loop, peer_has_packet, p, PEER_WAIT_MS), "no packet; %u was to come",
                      op);
        ck_assert(peer_take(p));
        ck_assert_uint_eq(le16_get(p->hdr.op), op);
}

/* Nothing comes for a while. */
static inline void peer_expect_none(struct peer *p)
{
        peer_run(p, 30);
        ck_assert_msg(!peer_has_packet(p), "a packet came");
}

static inline struct vsock_hdr peer_hdr(uint32_t guest_port, uint32_t host_port, unsigned op)
{
        return (struct vsock_hdr){
                .src_cid = le64_of(PEER_CID),
                .dst_cid = le64_of(VSOCK_CID_HOST),
                .src_port = le32_of(guest_port),
                .dst_port = le32_of(host_port),
                .type = le16_of(VSOCK_TYPE_STREAM),
                .op = le16_of((uint16_t)op),
                .buf_alloc = le32_of(PEER_CREDIT),
        };
}

static inline void peer_send_hdr(struct peer *p, const struct vsock_hdr *hdr, const void *data, uint32_t n)
{
        struct mock_seg segs[2] = {
                { .at = p->tx_hdr, .len = sizeof(*hdr) },
                { .at = p->tx_data, .len = n },
        };

        ck_assert_uint_le(n, PEER_TX_BYTES);
        mock_put(p->mem, p->tx_hdr, hdr, sizeof(*hdr));
        if (n)
                mock_put(p->mem, p->tx_data, data, n);
        (void)mock_add(&p->m.vq[PEER_TX], segs, n ? 2 : 1);
        ck_assert_int_eq(mock_kick(&p->m, PEER_TX), 0);
        while (mock_used(&p->m.vq[PEER_TX], NULL, NULL))
                ;
}

static inline void peer_send(struct peer *p, uint32_t guest_port, uint32_t host_port, unsigned op)
{
        struct vsock_hdr hdr = peer_hdr(guest_port, host_port, op);

        peer_send_hdr(p, &hdr, NULL, 0);
}

static inline void peer_send_shutdown(struct peer *p, uint32_t guest_port, uint32_t host_port, uint32_t flags)
{
        struct vsock_hdr hdr = peer_hdr(guest_port, host_port, VSOCK_OP_SHUTDOWN);

        hdr.flags = le32_of(flags);
        peer_send_hdr(p, &hdr, NULL, 0);
}

/* @fwd_cnt: how many bytes the guest has taken so far. */
static inline void peer_send_bytes(struct peer *p, uint32_t guest_port, uint32_t host_port, uint32_t fwd_cnt,
                                   const void *data, uint32_t n)
{
        struct vsock_hdr hdr = peer_hdr(guest_port, host_port, VSOCK_OP_RW);

        hdr.len = le32_of(n);
        hdr.fwd_cnt = le32_of(fwd_cnt);
        peer_send_hdr(p, &hdr, data, n);
}

static inline void peer_send_credit(struct peer *p, uint32_t guest_port, uint32_t host_port,
                                    uint32_t buf_alloc, uint32_t fwd_cnt)
{
        struct vsock_hdr hdr = peer_hdr(guest_port, host_port, VSOCK_OP_CREDIT_UPDATE);

        hdr.buf_alloc = le32_of(buf_alloc);
        hdr.fwd_cnt = le32_of(fwd_cnt);
        peer_send_hdr(p, &hdr, NULL, 0);
}

/* A client of the listening socket, which blocks no longer than PEER_WAIT_MS. */
static inline int peer_client(struct peer *p)
{
        struct timeval limit = { .tv_sec = PEER_WAIT_MS / 1000 };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        ck_assert_int_ge(fd, 0);
        ck_assert(!setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
        ck_assert(!connect(fd, (struct sockaddr *)&p->address, p->address_len));
        return fd;
}

static inline void peer_write(int fd, const char *text)
{
        ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* What the client gets must be @text. */
static inline void peer_read(int fd, const char *text)
{
        char got[256] = "";
        size_t n = strlen(text);

        ck_assert_int_eq(recv(fd, got, n, MSG_WAITALL), (ssize_t)n);
        ck_assert_str_eq(got, text);
}

/* The client is told that nothing more comes. */
static inline void peer_read_end(int fd)
{
        char c;

        ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
}

/* A client asks for @guest_port and gets it. Return: its socket. */
static inline int peer_open(struct peer *p, uint32_t guest_port, uint32_t *ret_host_port)
{
        int fd = peer_client(p);
        char line[64];

        (void)snprintf(line, sizeof(line), "CONNECT %u\n", guest_port);
        peer_write(fd, line);
        peer_expect(p, VSOCK_OP_REQUEST);
        ck_assert_uint_eq(le32_get(p->hdr.dst_port), guest_port);
        *ret_host_port = le32_get(p->hdr.src_port);
        peer_send(p, guest_port, *ret_host_port, VSOCK_OP_RESPONSE);
        (void)snprintf(line, sizeof(line), "OK %u\n", *ret_host_port);
        peer_read(fd, line);
        return fd;
}

static inline void peer_pattern(uint8_t *dst, size_t n, unsigned seed)
{
        uint32_t x = seed * 2654435761u + 1;

        for (size_t i = 0; i < n; i++) {
                x = x * 1664525u + 1013904223u;
                dst[i] = (uint8_t)(x >> 24);
        }
}
