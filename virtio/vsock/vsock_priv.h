#pragma once
/*
 * What the files of virtio/vsock share, and nobody else sees. Thread: loop.
 */
#include "virtio/vsock/vsock.h"
#include "virtio/vsock/vsock_mux.h"

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_NR_QUEUES };

enum vsock_stat {
        VSOCK_STAT_CONNECTIONS,
        VSOCK_STAT_REFUSED,
        VSOCK_STAT_TIMEOUTS,
        VSOCK_STAT_BAD_LINES,
        VSOCK_STAT_BAD_PACKETS,
        VSOCK_STAT_RST,
        VSOCK_STAT_RST_LOST,
        VSOCK_STAT_TO_GUEST,
        VSOCK_STAT_FROM_GUEST,
        VSOCK_NR_STATS
};

struct vsock {
        struct virtio_dev dev;
        struct loop *loop;
        le64_t guest_cid; /* config space */
        uint32_t timeout_ms;
        uint32_t early_port;
        bool late_tx;
        int (*connect)(void *ctx, uint32_t guest_port, uint32_t port);
        void *connect_ctx;
        struct ev listen;        /* listen.fd is ours */
        bool listen_paused;      /* until the next tick: accept() failed */
        struct loop_timer tick;  /* deadlines */
        struct loop_timer again; /* the rx queue has more to do */
        struct loop_timer late;  /* the guest gets its tx buffers back */
        uint32_t late_bytes;     /* in these */
        bool reset_event;        /* owed to the guest */
        struct stat_counter stats[VSOCK_NR_STATS];
        struct vq_chain tx;
        struct vq_chain rx[VSOCK_BURST_MAX];
        uint32_t room[VSOCK_BURST_MAX]; /* for payload, in each of rx */
        struct vsock_mux mux;
};

/* vsock_settle() - brings everything in line with what became of @c, which may be gone afterwards */
void vsock_settle(struct vsock *v, struct vsock_conn *c, enum vsock_verdict verdict);
/*
 * vsock_wake_rx() - whatever waits for buffers of the guest gets its chance; the end of whatever the loop called
 *                   us for, since it tells the loop as well what it waits for
 * Return: 0 or negative.
 */
int must_check vsock_wake_rx(struct vsock *v);

/* vsock_rx.c: kick() of the rx queue, as in virtio_class */
int must_check vsock_rx_fill(struct vsock *v);

/* vsock_host.c: the host's side: clients, their sockets, time */
int must_check vsock_host_start(struct vsock *v);
void vsock_host_stop(struct vsock *v);
/* Takes @fd; NULL when there is no room. */
struct vsock_conn *vsock_host_add(struct vsock *v, int fd_taken, enum vsock_state state);
/* vsock_host_request() - ask the guest; @c may be gone afterwards */
void vsock_host_request(struct vsock *v, struct vsock_conn *c, uint32_t guest_port);
/* Look at the deadlines within a part of the timeout. */
void vsock_host_set_tick(struct vsock *v);
