#pragma once
/*
 * One stream between a port of the guest and a Unix socket of the host.
 *
 *   state     what it is                                          leaves for
 *   LINE      a client is to say "CONNECT <port>"                 REQUEST
 *   REQUEST   a client waits for the guest's answer               OPEN (RESPONSE)
 *   OPEN      bytes flow; either side may end its direction       CLOSING, DRAIN
 *   CLOSING   the client ended both; the guest's RST is awaited   -
 *   DRAIN     the guest is gone; its last bytes go to the client  -
 *
 * Every state but DRAIN also ends by a RST of the guest, a mistake of the guest, or a timeout of those
 * that vsock_conn_is_timed() names. What the guest sent before its end still reaches the client: that is
 * what DRAIN is for.
 *
 * Credit (virtio 1.2, 5.10.6.3). Towards the client bytes go straight from guest memory into the socket.
 * What it does not take is kept in a ring, which the guest cannot overrun as its size is the credit it
 * was given; the ring exists only while it holds something. Towards the guest we read from the socket
 * straight into its buffers, never more than the credit it gave.
 *
 * Nobody is told: the caller asks afterwards what the connection owes to the guest and watches the
 * socket for it. Where it sets peer_buf_alloc before the request, so much of what the client has sent follows
 * that at once (early_port in vsock.h). Thread: loop.
 */
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "virtio/core/chain.h"
#include "virtio/vsock/vsock_parse.h"
#include "vmm/base/loop.h"

/* The credit of a connection, and of one that comes when there are many: it bounds what we keep for it. */
#define VSOCK_CREDIT_MAX  (256u * 1024)
#define VSOCK_CREDIT_MANY (32u * 1024)

/* Guest buffers that one read of the socket may fill. Linux gives 4 KiB ones. */
#define VSOCK_BURST_MAX 16u

enum vsock_state { VSOCK_LINE, VSOCK_REQUEST, VSOCK_OPEN, VSOCK_CLOSING, VSOCK_DRAIN };

/* Packets for the guest that wait for a buffer of it. */
enum {
        VSOCK_OWES_REQUEST = 1u << 0,
        VSOCK_OWES_RESPONSE = 1u << 1,
        VSOCK_OWES_CREDIT_UPDATE = 1u << 2,
        VSOCK_OWES_CREDIT_REQUEST = 1u << 3,
        VSOCK_OWES_SHUTDOWN = 1u << 4,
};

/* What comes of a connection after something happened to it. */
enum vsock_verdict {
        VSOCK_KEEP,
        VSOCK_END,   /* over, and the guest knows or never knew */
        VSOCK_RESET, /* over, and the guest is to get a RST */
};

struct vsock_conn {
        struct ev ev; /* ev.fd is ours */
        void *owner;
        enum vsock_state state;
        uint32_t guest_port;
        uint32_t host_port;
        uint32_t watched;  /* events asked of the loop */
        uint8_t owes;      /* VSOCK_OWES_* */
        uint8_t burst;     /* guest buffers for the next read */
        bool quiet;        /* the client gets no "OK <port>" */
        bool owes_ok;      /* it gets that line with the guest's first word */
        bool requested;    /* REQUEST was put before the guest */
        bool asked_credit; /* since the guest last spoke */
        bool readable;     /* the socket has bytes, or its end, that we did not read yet */
        bool eof;          /* nothing more comes from the client */
        bool deaf;         /* the client takes nothing more */
        bool hup;          /* the socket is over in both directions */
        bool guest_sent;   /* the guest sends nothing more */
        bool guest_deaf;   /* the guest takes nothing more */
        /* Guest to client; counts wrap as the wire's do. */
        uint32_t buf_alloc;
        uint32_t rx_cnt;   /* taken from the guest */
        uint32_t fwd_cnt;  /* of these, passed on */
        uint32_t fwd_told; /* as the guest knows it */
        uint32_t ring_at;
        uint32_t ring_len;
        uint8_t *ring; /* buf_alloc bytes, a power of two, or NULL */
        /* Client to guest */
        uint32_t peer_buf_alloc;
        uint32_t peer_fwd_cnt;
        uint32_t tx_cnt;
        uint64_t deadline_ns; /* 0: none */
        unsigned slot;        /* the rest is the table's */
        bool bound;
        bool queued;
        bool touched;
        LIST_ENTRY(vsock_conn) same_hash;
        TAILQ_ENTRY(vsock_conn) next_ready;
        TAILQ_ENTRY(vsock_conn) next_touched;
        unsigned line_len;
        char line[VSOCK_LINE_MAX];
};

/* @fd_taken: a non-blocking stream socket. The rest of *c is zero. */
void vsock_conn_init(struct vsock_conn *c, int fd_taken, enum vsock_state state);
void vsock_conn_fini(struct vsock_conn *c, struct loop *loop);

/*
 * vsock_conn_read_line() - in LINE: read what there is
 * Return: 0 and the port; VSOCK_E_LINE: no such line will come; VSOCK_E_MORE: it may.
 */
enum { VSOCK_E_MORE = 4 };
int must_check vsock_conn_read_line(struct vsock_conn *c, uint32_t *ret_port);

/* @chain: the packet, header included. */
enum vsock_verdict vsock_conn_on_packet(struct vsock_conn *c, const struct vsock_packet *p,
                                        const struct vq_chain *chain);
/* vsock_conn_say_ok() - the line that owes_ok puts off */
void vsock_conn_say_ok(struct vsock_conn *c);
/* Not in LINE. @events: as of epoll. */
enum vsock_verdict vsock_conn_on_socket(struct vsock_conn *c, uint32_t events);

/* vsock_conn_detach() - the guest's part is over. Return: true when bytes are left for the client (DRAIN). */
bool vsock_conn_detach(struct vsock_conn *c);

/* Does it want a buffer of the guest? For bytes, then, or for a packet that it owes? */
bool vsock_conn_is_ready(const struct vsock_conn *c);
bool vsock_conn_has_bytes(const struct vsock_conn *c);
/* How many bytes the guest lets us send. */
uint32_t vsock_conn_credit(const struct vsock_conn *c);

/*
 * vsock_conn_read() - from the socket into guest buffers of @room bytes, at most the credit
 * Return: bytes; 0: none now, or the end.
 */
uint32_t vsock_conn_read(struct vsock_conn *c, const struct gbuf *bufs, unsigned n, uint32_t room);
/* vsock_conn_describe() - a packet of @op and @len bytes as the guest is to see it; it counts as told */
void vsock_conn_describe(struct vsock_conn *c, enum vsock_op op, uint32_t len, struct vsock_packet *ret);
/* vsock_conn_next() - takes the next packet that it owes; it must owe one */
void vsock_conn_next(struct vsock_conn *c, struct vsock_packet *ret);

/* Waits for somebody who may never act. */
bool vsock_conn_is_timed(const struct vsock_conn *c);
/* vsock_conn_watch() - tell the loop what it now waits for; never for what it could not deal with */
int must_check vsock_conn_watch(struct vsock_conn *c, struct loop *loop);
