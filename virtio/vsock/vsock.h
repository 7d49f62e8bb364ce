#pragma once
/*
 * The socket device (virtio 1.2, 5.10), streams only. On the host side one Unix stream socket stands for
 * the guest: a client sends "CONNECT <port>\n" and, once the guest has accepted, gets
 * "OK <its own port>\n"; it is closed when the guest refuses. The guest's own connections to CID 2 go
 * where `connect` of the configuration leads, for Firecracker's convention to "<socket>_<port>".
 *
 * A client that comes before the guest's driver waits for it. Connections do not survive a snapshot: the
 * restored guest is told by a TRANSPORT_RESET event. Thread: loop.
 *
 * Each connection is a descriptor: the process needs a limit of VSOCK_CONNS_MAX and some.
 */
#include "virtio/core/device.h"
#include "vmm/base/loop.h"

#define VSOCK_GUEST_CID_DEFAULT 3u
/* How long a client may take for its first line, the guest to answer a request or to end a connection. */
#define VSOCK_TIMEOUT_MS_DEFAULT 10000u
/* A small part of what Linux has for a socket (256 KiB), and all of a short request. */
#define VSOCK_EARLY_MAX 4096u
/*
 * late_tx: for so long, in so many buffers and bytes. All of it is far less than what a guest has under way when it is
 * busy, and enough for a request or two.
 */
#define VSOCK_LATE_NS    10000000ull
#define VSOCK_LATE_MAX   16u
#define VSOCK_LATE_BYTES (32u << 10)

struct vsock_config {
        struct loop *loop; /* borrowed, as is mem */
        struct gmem *mem;
        uint64_t guest_cid;  /* VSOCK_CID_MIN .. VSOCK_CID_MAX; 0: the default */
        uint32_t timeout_ms; /* 0: the default */
        int listen_fd;       /* taken, non-blocking; -1: nobody connects from outside */
        /*
         * The guest connects from its @guest_port to @port of the host; NULL: always refused.
         * Return: a connected non-blocking stream socket, that is taken, or negative. Must not wait.
         */
        int (*connect)(void *ctx, uint32_t guest_port, uint32_t port);
        void *connect_ctx;
        /*
         * A port of the guest that is known to take VSOCK_EARLY_MAX bytes with a request; 0: none. What a client sent
         * behind its line then goes there with the request, and its OK comes with what the guest says first: one
         * round trip less. The guest's credit (virtio 1.2, 5.10.6.3) is not told by then, hence only where it is known.
         */
        uint32_t early_port;
        /* The driver does not wait for its tx buffers: they may come back late, with the next packet for it. */
        bool late_tx;
};

/* Takes listen_fd, also when it fails. */
int must_check vsock_new(const struct vsock_config *config, struct virtio_dev **ret);

/*
 * vsock_connect_fd() - as if a client had connected and sent "CONNECT @guest_port"; no OK is written
 * @fd_taken: a stream socket; closed when the guest refuses
 * Return: 0, or negative (too many connections; it is closed).
 */
int must_check vsock_connect_fd(struct virtio_dev *dev, uint32_t guest_port, int fd_taken);
