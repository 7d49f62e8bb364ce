/*
 * What <linux/vm_sockets.h> says, for a libc that has no Linux headers in its path.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#define VSOCK_FAMILY   40
#define VSOCK_CID_ANY  0xffffffffu
#define VSOCK_CID_HOST 2u

struct vsock_address { /* struct sockaddr_vm */
        sa_family_t family;
        uint16_t reserved;
        uint32_t port, cid;
        uint8_t flags, zero[3];
};

_Static_assert(sizeof(struct vsock_address) == sizeof(struct sockaddr), "as long as the kernel's");

union vsock_any {
        struct sockaddr any;
        struct vsock_address vm;
        char room[128]; /* for the peers of other families */
};
