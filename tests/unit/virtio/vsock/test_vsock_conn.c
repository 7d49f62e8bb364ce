/*
 * vsock connections: bytes and credit in both directions, slow peers, many at once.
 */
#include "virtio/vsock/vsock_conn.h"

#include "tests/unit/virtio/vsock/peer.h"
#include "vmm/base/num.h"

#define PORT 1024u

#define MANY       100u
#define MANY_BYTES (96u << 10) /* each way */

/* The guest gave credit for N bytes: N come, and not one more. */
START_TEST(test_credit_of_guest)
{
        enum { CREDIT = 10000, MORE = 5000 };
        static uint8_t sent[CREDIT + MORE], got[CREDIT + MORE];
        struct peer p;
        uint32_t port, n = 0;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, PEER_QUEUE);
        fd = peer_open(&p, PORT, &port);
        peer_send_credit(&p, PORT, port, CREDIT, 0);
        peer_pattern(sent, sizeof(sent), 1);
        ck_assert_int_eq(send(fd, sent, sizeof(sent), 0), sizeof(sent));
        while (n < CREDIT) {
                peer_expect(&p, VSOCK_OP_RW);
                ck_assert_uint_le(p.len, CREDIT - n);
                memcpy(got + n, p.data, p.len);
                n += p.len;
        }
        peer_expect(&p, VSOCK_OP_CREDIT_REQUEST);
        peer_expect_none(&p);
        /* The same again: nothing changed, and it is not asked for a second time. */
        peer_send_credit(&p, PORT, port, CREDIT, 0);
        peer_expect_none(&p);
        peer_send_credit(&p, PORT, port, CREDIT, 1);
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(p.len, 1);
        got[n++] = p.data[0];
        peer_expect(&p, VSOCK_OP_CREDIT_REQUEST);
        peer_send_credit(&p, PORT, port, CREDIT, n);
        while (n < sizeof(got)) {
                peer_expect(&p, VSOCK_OP_RW);
                memcpy(got + n, p.data, p.len);
                n += p.len;
        }
        ck_assert(!memcmp(sent, got, sizeof(sent)));
        close(fd);
        peer_fini(&p);
}
END_TEST

/* A guest that says it took more than it was sent, or shrinks its buffer, gets nothing. */
START_TEST(test_credit_lies)
{
        static const struct {
                uint32_t buf_alloc, fwd_cnt;
        } lies[] = { { 100, 101 }, { 100, 0x80000000u }, { 0, 0 }, { 9, 0 }, { 10, 0 } };

        for (unsigned i = 0; i < array_size(lies); i++) {
                struct peer p;
                uint32_t port;
                int fd;

                peer_init(&p, 0);
                peer_start(&p, 8);
                fd = peer_open(&p, PORT, &port);
                peer_write(fd, "0123456789");
                peer_expect(&p, VSOCK_OP_RW);
                peer_send_credit(&p, PORT, port, lies[i].buf_alloc, lies[i].fwd_cnt);
                peer_write(fd, "more");
                peer_expect_none(&p);
                peer_send_credit(&p, PORT, port, 20, 10);
                peer_expect(&p, VSOCK_OP_RW);
                close(fd);
                peer_fini(&p);
        }
}
END_TEST

/* Bytes wait for a buffer when the guest takes its credit back: they wait for credit then. */
START_TEST(test_credit_withdrawn)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 1);
        fd = peer_open(&p, PORT, &port);
        p.no_refill = true;
        peer_write(fd, "first");
        peer_expect(&p, VSOCK_OP_RW);
        peer_write(fd, "second");
        peer_run(&p, 5);
        peer_send_credit(&p, PORT, port, 5, 0);
        peer_give_rx(&p, 2);
        ck_assert_int_eq(mock_kick(&p.m, PEER_RX), 0);
        peer_expect_none(&p);
        peer_send_credit(&p, PORT, port, 100, 5);
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(p.len, 6);
        close(fd);
        peer_fini(&p);
}
END_TEST

/* Takes what the device says about its side of the stream. */
static void drain_credit(struct peer *p, uint32_t *fwd_cnt)
{
        while (peer_take(p)) {
                ck_assert_uint_eq(le16_get(p->hdr.op), VSOCK_OP_CREDIT_UPDATE);
                *fwd_cnt = le32_get(p->hdr.fwd_cnt);
        }
}

/* Sends until no credit is left. Return: bytes. */
static uint32_t fill_client(struct peer *p, uint32_t port, const uint8_t *bytes, uint32_t *fwd_cnt)
{
        uint32_t n = 0;

        for (;;) {
                uint32_t part = (uint32_t)num_min(VSOCK_CREDIT_MAX - (n - *fwd_cnt), 60000);

                if (!part) {
                        peer_send(p, PORT, port, VSOCK_OP_CREDIT_REQUEST);
                        peer_expect(p, VSOCK_OP_CREDIT_UPDATE);
                        ck_assert_uint_eq(le32_get(p->hdr.buf_alloc), VSOCK_CREDIT_MAX);
                        *fwd_cnt = le32_get(p->hdr.fwd_cnt);
                        if (n - *fwd_cnt == VSOCK_CREDIT_MAX)
                                return n;
                        continue;
                }
                peer_send_bytes(p, PORT, port, 0, bytes + n, part);
                n += part;
                drain_credit(p, fwd_cnt);
        }
}

/* A client that does not read: N bytes of credit are kept for it, and arrive; N + 1 ends the connection. */
static void slow_client(bool one_more)
{
        static uint8_t sent[2u << 20], got[2u << 20];
        struct peer p;
        uint32_t port, n, fwd_cnt = 0;
        size_t have = 0;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        peer_pattern(sent, sizeof(sent), 2);
        n = fill_client(&p, port, sent, &fwd_cnt);
        ck_assert_uint_lt(n, sizeof(sent));
        if (one_more) {
                peer_send_bytes(&p, PORT, port, 0, "!", 1);
                peer_expect(&p, VSOCK_OP_RST);
                ck_assert_uint_eq(mock_stat(&p.m, "bad_packets"), 1);
        }
        ck_assert(!fcntl(fd, F_SETFL, O_NONBLOCK));
        while (have < n) {
                ssize_t r = recv(fd, got + have, sizeof(got) - have, 0);

                if (r > 0)
                        have += (size_t)r;
                else
                        ck_assert(r < 0 && errno == EAGAIN);
                peer_run(&p, 1);
                drain_credit(&p, &fwd_cnt);
        }
        ck_assert_uint_eq(have, n);
        ck_assert(!memcmp(sent, got, n));
        if (one_more) {
                peer_run(&p, 5);
                peer_read_end(fd);
        } else {
                ck_assert_uint_ge(fwd_cnt, n - VSOCK_CREDIT_MAX / 4);
                peer_send_bytes(&p, PORT, port, 0, "on", 2);
                peer_read(fd, "on");
        }
        close(fd);
        peer_fini(&p);
}

START_TEST(test_slow_client)
{
        slow_client(false);
}
END_TEST

START_TEST(test_beyond_credit)
{
        slow_client(true);
}
END_TEST

/* The guest wrote, closed, and answered nothing any more: its last bytes still arrive. */
START_TEST(test_guest_closes_on_slow_client)
{
        static uint8_t sent[2u << 20], got[2u << 20];
        struct peer p;
        uint32_t port, n, fwd_cnt = 0;
        size_t have = 0;
        int fd;

        peer_init(&p, 30);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        peer_pattern(sent, sizeof(sent), 3);
        n = fill_client(&p, port, sent, &fwd_cnt);
        peer_send_shutdown(&p, PORT, port, VSOCK_SHUTDOWN_BOTH);
        peer_expect(&p, VSOCK_OP_RST);
        /* The ports are free again at once. */
        peer_send_bytes(&p, PORT, port, 0, "x", 1);
        peer_expect(&p, VSOCK_OP_RST);
        peer_run(&p, 100);
        ck_assert(!fcntl(fd, F_SETFL, O_NONBLOCK));
        for (ssize_t r = 1; r;) {
                r = recv(fd, got + have, sizeof(got) - have, 0);
                ck_assert(r >= 0 || errno == EAGAIN);
                have += r > 0 ? (size_t)r : 0;
                peer_run(&p, 1);
        }
        ck_assert_uint_eq(have, n);
        ck_assert(!memcmp(sent, got, n));
        ck_assert_uint_eq(mock_stat(&p.m, "timeouts"), 0);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_client_gone_with_bytes_kept)
{
        static uint8_t sent[2u << 20];
        struct peer p;
        uint32_t port, fwd_cnt = 0;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        (void)fill_client(&p, port, sent, &fwd_cnt);
        close(fd);
        peer_expect(&p, VSOCK_OP_CREDIT_UPDATE);
        do
                peer_expect(&p, VSOCK_OP_SHUTDOWN);
        while (le32_get(p.hdr.flags) != VSOCK_SHUTDOWN_BOTH);
        /* The whole credit is back: nobody keeps anything. */
        ck_assert_uint_eq(le32_get(p.hdr.fwd_cnt), fwd_cnt + VSOCK_CREDIT_MAX);
        peer_send(&p, PORT, port, VSOCK_OP_RST);
        peer_fini(&p);
}
END_TEST

struct stream {
        int fd;
        uint32_t port;
        uint32_t out, out_fwd; /* guest to client: sent, passed on */
        uint32_t in;           /* client to guest: received */
        uint32_t client_in, client_out;
};

static void take_packets(struct peer *p, struct stream *s, const uint8_t *bytes)
{
        while (peer_take(p)) {
                unsigned i = le32_get(p->hdr.dst_port) - PORT;

                ck_assert_uint_lt(i, MANY);
                ck_assert_uint_eq(le32_get(p->hdr.src_port), s[i].port);
                s[i].out_fwd = le32_get(p->hdr.fwd_cnt);
                if (le16_get(p->hdr.op) != VSOCK_OP_RW)
                        continue;
                ck_assert_uint_le(p->len, MANY_BYTES - s[i].in);
                ck_assert(!memcmp(p->data, bytes + i + s[i].in, p->len));
                s[i].in += p->len;
        }
}

static void client_step(struct stream *s, const uint8_t *bytes)
{
        uint8_t got[8192];
        ssize_t r = recv(s->fd, got, sizeof(got), MSG_DONTWAIT);

        if (r > 0) {
                ck_assert(!memcmp(got, bytes + s->client_in, (size_t)r));
                s->client_in += (uint32_t)r;
        }
        r = send(s->fd, bytes + s->client_out, num_min(MANY_BYTES - s->client_out, 20000), MSG_DONTWAIT);
        if (r > 0)
                s->client_out += (uint32_t)r;
}

static void guest_step(struct peer *p, struct stream *s, unsigned i, const uint8_t *bytes)
{
        uint32_t credit = i < VSOCK_CONNS_FEW ? VSOCK_CREDIT_MAX : VSOCK_CREDIT_MANY;
        uint32_t n = (uint32_t)num_min(MANY_BYTES - s->out, 15000);

        n = (uint32_t)num_min(n, credit - (s->out - s->out_fwd));
        if (n)
                peer_send_bytes(p, PORT + i, s->port, s->in, bytes + s->out, n);
        else
                peer_send_credit(p, PORT + i, s->port, PEER_CREDIT, s->in);
        s->out += n;
}

/* A hundred at once, both ways, each with bytes of its own: none is lost, swapped or left behind. */
START_TEST(test_many)
{
        static struct stream s[MANY];
        static uint8_t bytes[MANY_BYTES + MANY];
        unsigned rounds = 0, done;
        struct peer p;

        peer_pattern(bytes, sizeof(bytes), 4);
        peer_init(&p, 0);
        peer_start(&p, PEER_QUEUE);
        for (unsigned i = 0; i < MANY; i++)
                s[i].fd = peer_open(&p, PORT + i, &s[i].port);
        do {
                ck_assert_uint_lt(rounds++, 1000);
                done = 0;
                for (unsigned i = 0; i < MANY; i++) {
                        client_step(&s[i], bytes + i);
                        guest_step(&p, &s[i], i, bytes + i);
                        take_packets(&p, s, bytes);
                        done += s[i].in == MANY_BYTES && s[i].client_in == MANY_BYTES;
                }
                peer_run(&p, 1);
                take_packets(&p, s, bytes);
        } while (done < MANY);
        ck_assert_uint_eq(mock_stat(&p.m, "bytes_to_guest"), MANY * MANY_BYTES);
        ck_assert_uint_eq(mock_stat(&p.m, "bytes_from_guest"), MANY * MANY_BYTES);
        for (unsigned i = 0; i < MANY; i++)
                close(s[i].fd);
        peer_fini(&p);
}
END_TEST

/* One that always has bytes, and others that say a word: they do not wait for its end. */
START_TEST(test_turns)
{
        static uint8_t bytes[200000];
        struct peer p;
        uint32_t port[5], before = 0;
        unsigned words = 0;
        int fd[5];

        peer_init(&p, 0);
        peer_start(&p, 8);
        for (unsigned i = 0; i < 5; i++)
                fd[i] = peer_open(&p, PORT + i, &port[i]);
        ck_assert_int_gt(send(fd[0], bytes, sizeof(bytes), MSG_DONTWAIT), 100000);
        for (unsigned i = 1; i < 5; i++)
                peer_write(fd[i], "word");
        while (words < 4) {
                peer_expect(&p, VSOCK_OP_RW);
                if (le32_get(p.hdr.dst_port) == PORT)
                        before += p.len;
                else
                        words++;
        }
        ck_assert_uint_le(before, 3 * VSOCK_BURST_MAX * PEER_RX_BYTES);
        for (unsigned i = 0; i < 5; i++)
                close(fd[i]);
        peer_fini(&p);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_credit_of_guest,
                test_credit_lies,
                test_credit_withdrawn,
                test_slow_client,
                test_beyond_credit,
                test_guest_closes_on_slow_client,
                test_client_gone_with_bytes_kept,
                test_many,
                test_turns,
        };

        return run_tests("vsock_conn", tests, array_size(tests));
}
