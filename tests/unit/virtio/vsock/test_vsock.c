/*
 * vsock, the whole device: connections from both sides, their ends, hostile guests and clients, limits,
 * reset, saving.
 */
#include "virtio/vsock/vsock.h"

#include <sys/resource.h>
#include <time.h>

#include "tests/unit/virtio/vsock/peer.h"

#define PORT 1024u

START_TEST(test_client_connects)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        ck_assert_uint_ge(port, VSOCK_HOST_PORT_MIN);
        ck_assert_uint_eq(le32_get(p.hdr.buf_alloc), VSOCK_CREDIT_MAX);
        peer_write(fd, "to the guest");
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(p.len, 12);
        ck_assert(!memcmp(p.data, "to the guest", 12));
        peer_send_bytes(&p, PORT, port, 12, "to the host", 11);
        peer_read(fd, "to the host");
        ck_assert_uint_eq(mock_stat(&p.m, "connections"), 1);
        ck_assert_uint_eq(mock_stat(&p.m, "bytes_to_guest"), 12);
        ck_assert_uint_eq(mock_stat(&p.m, "bytes_from_guest"), 11);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_guest_refuses)
{
        struct peer p;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_client(&p);
        peer_write(fd, "CONNECT 99\n");
        peer_expect(&p, VSOCK_OP_REQUEST);
        peer_send(&p, 99, le32_get(p.hdr.src_port), VSOCK_OP_RST);
        peer_read_end(fd);
        peer_expect_none(&p);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_guest_connects)
{
        struct peer p;
        int pair[2];

        peer_init(&p, 0);
        peer_start(&p, 8);
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
        p.connect_fd = pair[1];
        peer_send(&p, 5000, 80, VSOCK_OP_REQUEST);
        ck_assert_uint_eq(p.connect_from, 5000);
        ck_assert_uint_eq(p.connect_port, 80);
        peer_expect(&p, VSOCK_OP_RESPONSE);
        ck_assert_uint_eq(le32_get(p.hdr.src_port), 80);
        ck_assert_uint_eq(le32_get(p.hdr.dst_port), 5000);
        peer_send_bytes(&p, 5000, 80, 0, "hello", 5);
        peer_read(pair[0], "hello");
        peer_write(pair[0], "world");
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert(!memcmp(p.data, "world", 5));
        /* Nobody listens there. */
        peer_send(&p, 5001, 81, VSOCK_OP_REQUEST);
        peer_expect(&p, VSOCK_OP_RST);
        ck_assert_uint_eq(le32_get(p.hdr.dst_port), 5001);
        ck_assert_uint_eq(mock_stat(&p.m, "refused"), 1);
        close(pair[0]);
        peer_fini(&p);
}
END_TEST

/* The server was first to write, and closed at once: nothing of it is lost. */
START_TEST(test_server_writes_and_closes)
{
        struct peer p;
        int pair[2];

        peer_init(&p, 0);
        peer_start(&p, 8);
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
        peer_write(pair[0], "banner");
        close(pair[0]);
        p.connect_fd = pair[1];
        peer_send(&p, 5000, 80, VSOCK_OP_REQUEST);
        peer_expect(&p, VSOCK_OP_RESPONSE);
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(p.len, 6);
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        ck_assert_uint_eq(le32_get(p.hdr.flags), VSOCK_SHUTDOWN_BOTH);
        peer_send(&p, 5000, 80, VSOCK_OP_RST);
        peer_expect_none(&p);
        peer_fini(&p);
}
END_TEST

START_TEST(test_client_before_driver)
{
        struct peer p;
        int early, gone;

        peer_init(&p, 50);
        early = peer_client(&p);
        peer_write(early, "CONNECT 1024\n");
        gone = peer_client(&p);
        peer_write(gone, "CONNECT 7\n");
        peer_run(&p, 150); /* longer than the timeout: the guest was not asked yet */
        close(gone);
        peer_run(&p, 20);
        peer_start(&p, 8);
        peer_expect(&p, VSOCK_OP_REQUEST);
        ck_assert_uint_eq(le32_get(p.hdr.dst_port), 1024);
        peer_send(&p, 1024, le32_get(p.hdr.src_port), VSOCK_OP_RESPONSE);
        peer_read(early, "OK ");
        peer_expect_none(&p);
        close(early);
        peer_fini(&p);
}
END_TEST

START_TEST(test_internal_client)
{
        struct peer p;
        int pair[2];
        uint32_t port;

        peer_init(&p, 0);
        peer_start(&p, 8);
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
        ck_assert(!vsock_connect_fd(p.dev, PORT, pair[1]));
        peer_expect(&p, VSOCK_OP_REQUEST);
        port = le32_get(p.hdr.src_port);
        peer_send(&p, PORT, port, VSOCK_OP_RESPONSE);
        peer_send_bytes(&p, PORT, port, 0, "first", 5); /* no OK before it */
        peer_read(pair[0], "first");
        close(pair[0]);
        peer_fini(&p);
}
END_TEST

START_TEST(test_pipelined)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_client(&p);
        peer_write(fd, "CONN");
        peer_run(&p, 5);
        peer_write(fd, "ECT 1024\nand at once");
        peer_expect(&p, VSOCK_OP_REQUEST);
        port = le32_get(p.hdr.src_port);
        peer_expect_none(&p);
        peer_send(&p, PORT, port, VSOCK_OP_RESPONSE);
        ck_assert_msg(peer_has_packet(&p), "what came with the line waits for the loop");
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(p.len, 11);
        ck_assert(!memcmp(p.data, "and at once", 11));
        close(fd);
        peer_fini(&p);
}
END_TEST

/* The client is told nothing yet. */
static void expect_silence(struct peer *p, int fd)
{
        char c;

        peer_run(p, 5);
        ck_assert_int_eq(recv(fd, &c, 1, MSG_DONTWAIT), -1);
}

/* Asks for PORT, with @n bytes behind the line. */
static int ask_early(struct peer *p, unsigned n, uint32_t *ret_port)
{
        char bytes[16 + VSOCK_EARLY_MAX + 1] = "CONNECT 1024\n";
        size_t line = strlen(bytes);
        int fd = peer_client(p);

        ck_assert_uint_le(n, sizeof(bytes) - line);
        memset(bytes + line, 'x', n);
        ck_assert_int_eq(send(fd, bytes, line + n, MSG_NOSIGNAL), (ssize_t)(line + n));
        peer_expect(p, VSOCK_OP_REQUEST);
        *ret_port = le32_get(p->hdr.src_port);
        return fd;
}

START_TEST(test_early)
{
        struct peer p;
        uint32_t port;
        char line[64];
        int fd;

        peer_init_known(&p, 0, PORT, false);
        peer_start(&p, 8);
        fd = ask_early(&p, 7, &port);
        ck_assert_msg(peer_has_packet(&p), "what came with the line waits for the guest");
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(p.len, 7);
        peer_send(&p, PORT, port, VSOCK_OP_RESPONSE);
        expect_silence(&p, fd);
        peer_send_bytes(&p, PORT, port, 7, "answer", 6);
        (void)snprintf(line, sizeof(line), "OK %u\nanswer", port);
        peer_read(fd, line);
        peer_write(fd, "more");
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(p.len, 4);
        ck_assert_uint_eq(mock_stat(&p.m, "bytes_to_guest"), 11);
        close(fd);
        peer_fini(&p);
}
END_TEST

/* Another port than the one that is known, and a client that waits for its line: as ever. */
START_TEST(test_not_early)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init_known(&p, 0, PORT + 1, false);
        peer_start(&p, 8);
        fd = ask_early(&p, 7, &port);
        peer_expect_none(&p);
        peer_send(&p, PORT, port, VSOCK_OP_RESPONSE);
        peer_read(fd, "OK ");
        peer_expect(&p, VSOCK_OP_RW);
        close(fd);
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        peer_send(&p, PORT, port, VSOCK_OP_RST);
        close(peer_open(&p, PORT + 1, &port));
        peer_fini(&p);
}
END_TEST

static void early_and(unsigned beyond)
{
        struct peer p;
        uint32_t port, got = 0;
        int fd;

        peer_init_known(&p, 0, PORT, false);
        peer_start(&p, 8);
        fd = ask_early(&p, VSOCK_EARLY_MAX + beyond, &port);
        while (got < VSOCK_EARLY_MAX) {
                peer_expect(&p, VSOCK_OP_RW);
                got += p.len;
        }
        ck_assert_uint_eq(got, VSOCK_EARLY_MAX);
        peer_expect_none(&p);
        peer_send(&p, PORT, port, VSOCK_OP_RESPONSE);
        if (beyond) {
                peer_expect(&p, VSOCK_OP_RW);
                ck_assert_uint_eq(p.len, beyond);
        }
        peer_expect_none(&p);
        close(fd);
        peer_fini(&p);
}

START_TEST(test_early_limit)
{
        early_and(0);
        early_and(1);
}
END_TEST

/* The guest has nothing to say: the line comes by itself, before the end too. */
START_TEST(test_early_to_the_silent)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init_known(&p, 80, PORT, false);
        peer_start(&p, 8);
        fd = ask_early(&p, 1, &port);
        peer_expect(&p, VSOCK_OP_RW);
        peer_send(&p, PORT, port, VSOCK_OP_RESPONSE);
        peer_run(&p, 40);
        peer_read(fd, "OK ");
        close(fd);
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        peer_send(&p, PORT, port, VSOCK_OP_RST);
        fd = ask_early(&p, 1, &port);
        peer_expect(&p, VSOCK_OP_RW);
        peer_send(&p, PORT, port, VSOCK_OP_RESPONSE);
        peer_send_shutdown(&p, PORT, port, VSOCK_SHUTDOWN_BOTH);
        peer_read(fd, "OK ");
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_early_refused)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init_known(&p, 0, PORT, false);
        peer_start(&p, 8);
        fd = ask_early(&p, 1, &port);
        peer_expect(&p, VSOCK_OP_RW);
        peer_send(&p, PORT, port, VSOCK_OP_RST);
        peer_read_end(fd);
        peer_send(&p, PORT, port, VSOCK_OP_RST); /* of the bytes */
        peer_expect_none(&p);
        close(fd);
        peer_fini(&p);
}
END_TEST

/* The bytes went to the driver of before: they cannot be said again. */
START_TEST(test_early_reset)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init_known(&p, 0, PORT, false);
        peer_start(&p, 8);
        fd = ask_early(&p, 1, &port);
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert(virtio_reset(p.dev));
        peer_read_end(fd);
        close(fd);
        peer_fini(&p);
}
END_TEST

static uint16_t given_back(const struct peer *p)
{
        return mock_used_idx(&p->m.vq[PEER_TX]);
}

START_TEST(test_late_tx)
{
        struct peer p;
        unsigned before;
        uint32_t port;
        uint16_t n;
        int fd;

        peer_init_known(&p, 0, 0, true);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        n = given_back(&p);
        peer_send_bytes(&p, PORT, port, 0, "a", 1);
        peer_read(fd, "a");
        ck_assert_uint_eq(given_back(&p), n);
        /* with the next packet, and its interrupt */
        before = p.m.interrupts[PEER_RX];
        mock_set_used_event(&p.m.vq[PEER_RX], mock_used_idx(&p.m.vq[PEER_RX]));
        peer_write(fd, "b");
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_gt(given_back(&p), n);
        ck_assert_uint_eq(p.m.interrupts[PEER_RX], before + 1);
        /* by itself */
        n = given_back(&p);
        peer_send_bytes(&p, PORT, port, 0, "c", 1);
        ck_assert_uint_eq(given_back(&p), n);
        mock_set_used_event(&p.m.vq[PEER_TX], n);
        before = p.m.interrupts[PEER_TX];
        peer_run(&p, 2 * VSOCK_LATE_NS / 1000000);
        ck_assert_uint_eq(given_back(&p), n + 1);
        ck_assert_uint_eq(p.m.interrupts[PEER_TX], before + 1);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_late_tx_limits)
{
        static uint8_t bytes[VSOCK_LATE_BYTES];
        struct peer p;
        uint32_t port;
        uint16_t n;
        int fd;

        peer_init_known(&p, 0, 0, true);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        peer_run(&p, 2 * VSOCK_LATE_NS / 1000000);
        n = given_back(&p);
        for (unsigned i = 0; i < VSOCK_LATE_MAX; i++)
                peer_send_credit(&p, PORT, port, PEER_CREDIT, 0);
        ck_assert_uint_eq(given_back(&p), n);
        peer_send_credit(&p, PORT, port, PEER_CREDIT, 0);
        ck_assert_uint_eq(given_back(&p), n + VSOCK_LATE_MAX + 1);
        n = given_back(&p);
        peer_send_bytes(&p, PORT, port, 0, bytes, sizeof(bytes));
        ck_assert_uint_eq(given_back(&p), n);
        peer_send_bytes(&p, PORT, port, 0, bytes, 1);
        ck_assert_uint_eq(given_back(&p), n + 2);
        close(fd);
        peer_fini(&p);
}
END_TEST

static const char *const bad_lines[] = {
        "\n",
        "HELLO\n",
        "CONNECT\n",
        "CONNECT \n",
        "CONNECT -1\n",
        "CONNECT 4294967295\n",
        "CONNECT 1 2\n",
        "12345678901234567890123456789012", /* VSOCK_LINE_MAX without an end */
};

START_TEST(test_bad_lines)
{
        struct peer p;

        peer_init(&p, 0);
        peer_start(&p, 8);
        for (unsigned i = 0; i < array_size(bad_lines); i++) {
                int fd = peer_client(&p);

                peer_write(fd, bad_lines[i]);
                peer_run(&p, 5);
                peer_read_end(fd);
                close(fd);
        }
        ck_assert_uint_eq(mock_stat(&p.m, "bad_lines"), array_size(bad_lines));
        peer_expect_none(&p);
        peer_fini(&p);
}
END_TEST

START_TEST(test_client_says_nothing)
{
        struct peer p;
        int fd;

        peer_init(&p, 50);
        peer_start(&p, 8);
        fd = peer_client(&p);
        peer_write(fd, "CONNECT 10");
        peer_run(&p, 150);
        peer_read_end(fd);
        ck_assert_uint_eq(mock_stat(&p.m, "timeouts"), 1);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_guest_never_answers)
{
        struct peer p;
        int fd;

        peer_init(&p, 50);
        peer_start(&p, 8);
        fd = peer_client(&p);
        peer_write(fd, "CONNECT 10\n");
        peer_expect(&p, VSOCK_OP_REQUEST);
        peer_expect(&p, VSOCK_OP_RST);
        peer_read_end(fd);
        ck_assert_uint_eq(mock_stat(&p.m, "timeouts"), 1);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_client_leaves_while_asking)
{
        struct peer p;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_client(&p);
        peer_write(fd, "CONNECT 10\n");
        peer_expect(&p, VSOCK_OP_REQUEST);
        close(fd);
        peer_expect(&p, VSOCK_OP_RST);
        peer_fini(&p);
}
END_TEST

START_TEST(test_half_close_by_client)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        peer_write(fd, "question");
        ck_assert(!shutdown(fd, SHUT_WR));
        peer_expect(&p, VSOCK_OP_RW);
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        ck_assert_uint_eq(le32_get(p.hdr.flags), VSOCK_SHUTDOWN_SEND);
        peer_send_bytes(&p, PORT, port, 8, "answer", 6);
        peer_send_shutdown(&p, PORT, port, VSOCK_SHUTDOWN_BOTH);
        peer_expect(&p, VSOCK_OP_RST);
        peer_read(fd, "answer");
        peer_read_end(fd);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_half_close_by_guest)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        peer_send_bytes(&p, PORT, port, 0, "all", 3);
        peer_send_shutdown(&p, PORT, port, VSOCK_SHUTDOWN_SEND);
        peer_read(fd, "all");
        peer_read_end(fd);
        peer_write(fd, "still for you");
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(p.len, 13);
        close(fd);
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        ck_assert_uint_eq(le32_get(p.hdr.flags), VSOCK_SHUTDOWN_BOTH);
        peer_send(&p, PORT, port, VSOCK_OP_RST);
        peer_expect_none(&p);
        ck_assert_uint_eq(mock_stat(&p.m, "bad_packets"), 0);
        peer_fini(&p);
}
END_TEST

/* Both ended their own direction, one after the other; the client still has its socket. */
START_TEST(test_half_close_by_both)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        peer_send_shutdown(&p, PORT, port, VSOCK_SHUTDOWN_SEND);
        peer_read_end(fd);
        ck_assert(!shutdown(fd, SHUT_WR));
        do
                peer_expect(&p, VSOCK_OP_SHUTDOWN);
        while (le32_get(p.hdr.flags) != VSOCK_SHUTDOWN_BOTH);
        peer_send(&p, PORT, port, VSOCK_OP_RST);
        peer_expect_none(&p);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_guest_is_deaf)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        peer_send_shutdown(&p, PORT, port, VSOCK_SHUTDOWN_RECEIVE);
        ck_assert_int_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
        ck_assert_int_eq(errno, EPIPE);
        peer_send_bytes(&p, PORT, port, 0, "but speaks", 10);
        peer_read(fd, "but speaks");
        /* A second half makes the whole. */
        peer_send_shutdown(&p, PORT, port, VSOCK_SHUTDOWN_SEND);
        peer_expect(&p, VSOCK_OP_RST);
        peer_read_end(fd);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_client_closes)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init(&p, 60);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        close(fd);
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        ck_assert_uint_eq(le32_get(p.hdr.flags), VSOCK_SHUTDOWN_BOTH);
        /* What was under way is taken, and thrown away. */
        peer_send_bytes(&p, PORT, port, 0, "late", 4);
        /* The guest does not end it: a RST does. */
        peer_expect(&p, VSOCK_OP_RST);
        ck_assert_uint_eq(mock_stat(&p.m, "timeouts"), 1);
        peer_send_bytes(&p, PORT, port, 0, "later", 5);
        peer_expect(&p, VSOCK_OP_RST);
        peer_fini(&p);
}
END_TEST

/* Guest closed with bytes of the client unread: the client sees an end, no error. */
START_TEST(test_unread_is_no_error)
{
        struct peer p;
        uint32_t port;
        int fd;

        peer_init(&p, 0);
        peer_start(&p, 8);
        fd = peer_open(&p, PORT, &port);
        peer_send_credit(&p, PORT, port, 0, 0);
        peer_write(fd, "never read");
        peer_run(&p, 5);
        peer_send_bytes(&p, PORT, port, 0, "bye", 3);
        peer_send_shutdown(&p, PORT, port, VSOCK_SHUTDOWN_BOTH);
        peer_read(fd, "bye");
        peer_read_end(fd);
        close(fd);
        peer_fini(&p);
}
END_TEST

START_TEST(test_reset)
{
        struct peer p;
        uint32_t port;
        int open_fd, asking, silent;

        peer_init(&p, 0);
        peer_start(&p, 8);
        open_fd = peer_open(&p, PORT, &port);
        peer_send_bytes(&p, PORT, port, 0, "last", 4);
        asking = peer_client(&p);
        peer_write(asking, "CONNECT 77\n");
        peer_expect(&p, VSOCK_OP_REQUEST);
        silent = peer_client(&p);
        peer_run(&p, 5);
        ck_assert(virtio_reset(p.dev));
        peer_read(open_fd, "last");
        peer_read_end(open_fd);
        peer_start(&p, 8);
        peer_expect(&p, VSOCK_OP_REQUEST);
        ck_assert_uint_eq(le32_get(p.hdr.dst_port), 77);
        peer_write(silent, "CONNECT 78\n");
        peer_expect(&p, VSOCK_OP_REQUEST);
        ck_assert_uint_eq(le32_get(p.hdr.dst_port), 78);
        close(open_fd);
        close(asking);
        close(silent);
        peer_fini(&p);
}
END_TEST

START_TEST(test_save_load)
{
        struct peer a, b;
        uint8_t bytes[2][512];
        struct buf out = buf_of(bytes[0], sizeof(bytes[0])), in = buf_of(bytes[0], sizeof(bytes[0]));
        struct buf again = buf_of(bytes[1], sizeof(bytes[1]));
        struct mock_seg seg = { .len = 4, .writable = true };
        uint32_t first, second, id, len;
        le32_t event = le32_of(99);
        int fd;

        peer_init(&a, 0);
        peer_start(&a, 8);
        fd = peer_open(&a, PORT, &first);
        seg.at = mock_buf(&a.m, 4);
        mock_put(a.mem, seg.at, &event, sizeof(event));
        (void)mock_add(&a.m.vq[PEER_EVENT], &seg, 1);
        virtio_save(a.dev, &out);
        ck_assert(!out.bad);

        /* The other one gets the same memory. */
        peer_init(&b, 0);
        for (uint64_t at = 0; at < PEER_RAM; at += sizeof(a.data)) {
                mock_get(a.mem, at, a.data, sizeof(a.data));
                mock_put(b.mem, at, a.data, sizeof(a.data));
        }
        virtio_load(b.dev, &in);
        ck_assert(!in.bad && in.at == out.at);
        memcpy(b.m.vq, a.m.vq, sizeof(b.m.vq));
        for (unsigned i = 0; i < 3; i++)
                b.m.vq[i].mem = b.mem;
        virtio_save(b.dev, &again);
        ck_assert_uint_eq(again.at, out.at);
        ck_assert(!memcmp(bytes[0], bytes[1], out.at));
        close(fd);

        fd = peer_open(&b, PORT, &second);
        ck_assert_uint_ne(first, second);
        ck_assert(mock_used(&b.m.vq[PEER_EVENT], &id, &len));
        ck_assert_uint_eq(len, 4);
        mock_get(b.mem, seg.at, &event, sizeof(event));
        ck_assert_uint_eq(le32_get(event), 0);
        close(fd);
        peer_fini(&a);
        peer_fini(&b);
}
END_TEST

static const struct {
        const char *what;
        bool known; /* of the connection that is open; else of ports that nobody has */
        uint64_t src, dst;
        unsigned type, op;
        uint32_t len;
        unsigned rst; /* is answered by one */
        unsigned bad; /* counts as a bad packet */
} hostile[] = {
        { "source is the host", true, 2, 2, 1, VSOCK_OP_RW, 0, 0, 1 },
        { "source is another guest", true, 4, 2, 1, VSOCK_OP_RST, 0, 0, 1 },
        { "source has upper bits", true, 3 | 1ull << 32, 2, 1, VSOCK_OP_RW, 0, 0, 1 },
        { "for another guest", true, 3, 4, 1, VSOCK_OP_RW, 0, 0, 1 },
        { "for nobody", true, 3, 0xffffffff, 1, VSOCK_OP_RST, 0, 0, 1 },
        { "type 0", false, 3, 2, 0, VSOCK_OP_REQUEST, 0, 1, 1 },
        { "seqpacket", false, 3, 2, 2, VSOCK_OP_REQUEST, 0, 1, 1 },
        { "a RST of type 2", true, 3, 2, 2, VSOCK_OP_RST, 0, 0, 1 },
        { "op 0", true, 3, 2, 1, 0, 0, 1, 1 },
        { "op 8", true, 3, 2, 1, 8, 0, 1, 1 },
        { "op 65535", false, 3, 2, 1, 65535, 0, 1, 1 },
        { "len beyond the chain", true, 3, 2, 1, VSOCK_OP_RW, 1, 1, 1 },
        { "len 4 GiB", true, 3, 2, 1, VSOCK_OP_RW, 0xffffffff, 1, 1 },
        { "REQUEST where there is one", true, 3, 2, 1, VSOCK_OP_REQUEST, 0, 1, 1 },
        { "RESPONSE where nobody asked", true, 3, 2, 1, VSOCK_OP_RESPONSE, 0, 1, 1 },
        { "RESPONSE of a stranger", false, 3, 2, 1, VSOCK_OP_RESPONSE, 0, 1, 0 },
        { "RW of a stranger", false, 3, 2, 1, VSOCK_OP_RW, 0, 1, 0 },
        { "SHUTDOWN of a stranger", false, 3, 2, 1, VSOCK_OP_SHUTDOWN, 0, 1, 0 },
        { "CREDIT_REQUEST of a stranger", false, 3, 2, 1, VSOCK_OP_CREDIT_REQUEST, 0, 1, 0 },
        { "RST of a stranger", false, 3, 2, 1, VSOCK_OP_RST, 0, 0, 0 },
        { "SHUTDOWN of nothing", true, 3, 2, 1, VSOCK_OP_SHUTDOWN, 0, 0, 0 },
        { "RW of nothing", true, 3, 2, 1, VSOCK_OP_RW, 0, 0, 0 },
};

START_TEST(test_hostile_packets)
{
        for (unsigned i = 0; i < array_size(hostile); i++) {
                struct vsock_hdr hdr;
                struct peer p;
                uint32_t port;
                int fd;

                peer_init(&p, 0);
                peer_start(&p, 8);
                fd = peer_open(&p, PORT, &port);
                hdr = peer_hdr(PORT, hostile[i].known ? port : port + 1, hostile[i].op);
                hdr.src_cid = le64_of(hostile[i].src);
                hdr.dst_cid = le64_of(hostile[i].dst);
                hdr.type = le16_of((uint16_t)hostile[i].type);
                hdr.len = le32_of(hostile[i].len);
                peer_send_hdr(&p, &hdr, NULL, 0);
                if (hostile[i].rst) {
                        ck_assert_msg(peer_has_packet(&p), "%s: no RST", hostile[i].what);
                        peer_expect(&p, VSOCK_OP_RST);
                        ck_assert_uint_eq(le16_get(p.hdr.type), hostile[i].type);
                        ck_assert_uint_eq(le32_get(p.hdr.dst_port), PORT);
                        ck_assert_uint_eq(le32_get(p.hdr.src_port), le32_get(hdr.dst_port));
                }
                ck_assert_msg(!peer_has_packet(&p), "%s: an answer", hostile[i].what);
                ck_assert_msg(mock_stat(&p.m, "bad_packets") == hostile[i].bad, "%s: not counted",
                              hostile[i].what);
                ck_assert_uint_eq(p.dev->guest_errors, 0);
                if (hostile[i].rst && hostile[i].known) {
                        peer_read_end(fd);
                } else {
                        peer_send_bytes(&p, PORT, port, 0, "alive", 5);
                        peer_read(fd, "alive");
                }
                close(fd);
                peer_fini(&p);
        }
}
END_TEST

START_TEST(test_short_chains_break_it)
{
        struct mock_seg s = { .len = sizeof(struct vsock_hdr) - 1 };
        struct peer p;

        peer_init(&p, 0);
        peer_start(&p, 0);
        s.at = p.tx_hdr;
        (void)mock_add(&p.m.vq[PEER_TX], &s, 1);
        ck_assert_int_eq(mock_kick(&p.m, PEER_TX), 0);
        ck_assert_uint_eq(p.dev->guest_errors, 1);
        ck_assert(virtio_status(p.dev) & VIRTIO_STATUS_NEEDS_RESET);

        ck_assert(virtio_reset(p.dev));
        mock_dev_start(&p.m, 0, PEER_QUEUE);
        s = (struct mock_seg){ .at = p.rx_at[0], .len = sizeof(struct vsock_hdr), .writable = true };
        (void)mock_add(&p.m.vq[PEER_RX], &s, 1);
        peer_send(&p, 1, 2, VSOCK_OP_RW); /* wants a RST */
        ck_assert_uint_eq(p.dev->guest_errors, 2);
        ck_assert(virtio_status(p.dev) & VIRTIO_STATUS_NEEDS_RESET);
        peer_fini(&p);
}
END_TEST

/* A guest that takes no packets makes us keep so many RSTs and no more. */
START_TEST(test_rst_limit)
{
        struct peer p;

        peer_init(&p, 0);
        peer_start(&p, 0);
        for (uint32_t i = 0; i < VSOCK_RSTS_MAX; i++)
                peer_send(&p, i, 9, VSOCK_OP_RW);
        ck_assert_uint_eq(mock_stat(&p.m, "rst_lost"), 0);
        peer_send(&p, VSOCK_RSTS_MAX, 9, VSOCK_OP_RW);
        ck_assert_uint_eq(mock_stat(&p.m, "rst_lost"), 1);
        peer_give_rx(&p, 8);
        ck_assert_int_eq(mock_kick(&p.m, PEER_RX), 0);
        for (uint32_t i = 0; i < VSOCK_RSTS_MAX; i++) {
                peer_expect(&p, VSOCK_OP_RST);
                ck_assert_uint_eq(le32_get(p.hdr.dst_port), i);
        }
        peer_expect_none(&p);
        peer_fini(&p);
}
END_TEST

START_TEST(test_connection_limit)
{
        static int fds[VSOCK_CONNS_MAX];
        struct rlimit files;
        struct peer p;
        int over, pair[2];

        ck_assert(!getrlimit(RLIMIT_NOFILE, &files));
        files.rlim_cur = files.rlim_max;
        ck_assert_uint_ge(files.rlim_max, 2 * VSOCK_CONNS_MAX + 64);
        ck_assert(!setrlimit(RLIMIT_NOFILE, &files));
        peer_init(&p, 0);
        peer_start(&p, PEER_QUEUE);
        for (unsigned i = 0; i < VSOCK_CONNS_MAX; i++) {
                ck_assert(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
                fds[i] = pair[0];
                ck_assert(!vsock_connect_fd(p.dev, i, pair[1]));
                ck_assert(peer_take(&p));
                ck_assert_uint_eq(le32_get(p.hdr.buf_alloc),
                                  i < VSOCK_CONNS_FEW ? VSOCK_CREDIT_MAX : VSOCK_CREDIT_MANY);
                peer_send(&p, i, le32_get(p.hdr.src_port), VSOCK_OP_RESPONSE);
        }
        ck_assert(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
        ck_assert_int_lt(vsock_connect_fd(p.dev, 1, dup(pair[1])), 0);
        over = peer_client(&p);
        peer_run(&p, 5);
        peer_read_end(over);
        p.connect_fd = pair[1];
        peer_send(&p, 5000, 80, VSOCK_OP_REQUEST);
        peer_expect(&p, VSOCK_OP_RST);
        ck_assert_int_eq(p.connect_fd, pair[1]); /* was not even asked for */
        ck_assert_uint_eq(mock_stat(&p.m, "refused"), 3);
        /* One goes, one may come. */
        close(fds[0]);
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        peer_send(&p, 0, le32_get(p.hdr.src_port), VSOCK_OP_RST);
        peer_send(&p, 5000, 80, VSOCK_OP_REQUEST);
        peer_expect(&p, VSOCK_OP_RESPONSE);
        for (unsigned i = 1; i < VSOCK_CONNS_MAX; i++)
                close(fds[i]);
        close(over);
        close(pair[0]);
        peer_fini(&p);
}
END_TEST

static uint64_t cpu_ns(void)
{
        struct timespec t;

        ck_assert(!clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t));
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nothing can be done for these sockets: the loop must sleep. */
START_TEST(test_no_spinning)
{
        struct peer p;
        uint32_t port[4];
        int fd[4], early;
        uint64_t before;

        peer_init(&p, 0);
        early = peer_client(&p);
        peer_write(early, "CONNECT 1\nbytes");
        peer_run(&p, 5);
        before = cpu_ns();
        peer_run(&p, 100); /* no driver yet */
        peer_start(&p, 8);
        peer_expect(&p, VSOCK_OP_REQUEST);
        for (unsigned i = 0; i < 4; i++)
                fd[i] = peer_open(&p, PORT + i, &port[i]);
        /* No credit: bytes wait, with the client there or gone. */
        peer_send_credit(&p, PORT, port[0], 0, 0);
        peer_send_credit(&p, PORT + 1, port[1], 0, 0);
        peer_write(fd[0], "x");
        peer_write(fd[1], "x");
        close(fd[1]);
        /* Half-closed. */
        ck_assert(!shutdown(fd[2], SHUT_WR));
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        peer_run(&p, 100);
        /* No buffers of the guest. */
        p.no_refill = true;
        for (unsigned i = 0; i < 8; i++) {
                peer_write(fd[3], "x");
                peer_expect(&p, VSOCK_OP_RW);
        }
        peer_write(fd[3], "x");
        close(fd[3]);
        peer_run(&p, 100);
        ck_assert_uint_lt(cpu_ns() - before, 150000000u);
        /* And they go on when they can. */
        p.no_refill = false;
        peer_give_rx(&p, 8);
        ck_assert_int_eq(mock_kick(&p.m, PEER_RX), 0);
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(le32_get(p.hdr.dst_port), PORT + 3);
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        peer_send_credit(&p, PORT + 1, port[1], PEER_CREDIT, 0);
        peer_expect(&p, VSOCK_OP_RW);
        ck_assert_uint_eq(le32_get(p.hdr.dst_port), PORT + 1);
        peer_expect(&p, VSOCK_OP_SHUTDOWN);
        ck_assert_uint_eq(le32_get(p.hdr.flags), VSOCK_SHUTDOWN_BOTH);
        close(early);
        close(fd[0]);
        close(fd[2]);
        peer_fini(&p);
}
END_TEST

/* No descriptor is left for a client: it waits, the loop does not spin, and its turn comes. */
START_TEST(test_out_of_descriptors)
{
        struct rlimit files, none;
        struct peer p;
        uint64_t before;
        int fd;

        peer_init(&p, 200);
        peer_start(&p, 8);
        fd = peer_client(&p);
        peer_write(fd, "CONNECT 5\n");
        ck_assert(!getrlimit(RLIMIT_NOFILE, &files));
        none = files;
        none.rlim_cur = (rlim_t)fd + 1;
        ck_assert(!setrlimit(RLIMIT_NOFILE, &none));
        before = cpu_ns();
        peer_expect_none(&p);
        ck_assert_uint_lt(cpu_ns() - before, 25000000u);
        ck_assert(!setrlimit(RLIMIT_NOFILE, &files));
        peer_expect(&p, VSOCK_OP_REQUEST);
        close(fd);
        peer_fini(&p);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_client_connects,
                test_guest_refuses,
                test_guest_connects,
                test_server_writes_and_closes,
                test_client_before_driver,
                test_internal_client,
                test_pipelined,
                test_early,
                test_not_early,
                test_early_limit,
                test_early_to_the_silent,
                test_early_refused,
                test_early_reset,
                test_late_tx,
                test_late_tx_limits,
                test_bad_lines,
                test_client_says_nothing,
                test_guest_never_answers,
                test_client_leaves_while_asking,
                test_half_close_by_client,
                test_half_close_by_guest,
                test_half_close_by_both,
                test_guest_is_deaf,
                test_client_closes,
                test_unread_is_no_error,
                test_reset,
                test_save_load,
                test_hostile_packets,
                test_short_chains_break_it,
                test_rst_limit,
                test_connection_limit,
                test_no_spinning,
                test_out_of_descriptors,
        };

        return run_tests("vsock", tests, array_size(tests));
}
