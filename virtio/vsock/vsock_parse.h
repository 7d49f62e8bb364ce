#pragma once
/*
 * What others write and vsock believes: the packet header of the guest (virtio 1.2, 5.10.6) and the one
 * line that a client of the Unix socket begins with. Pure: bytes in, checked values out.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/compiler.h"
#include "vmm/base/endian.h"

#define VSOCK_CID_HOST 2u
#define VSOCK_CID_MIN  3u
/* The last one is a wildcard, for CIDs and ports alike. */
#define VSOCK_CID_MAX  0xfffffffeu
#define VSOCK_PORT_MAX 0xfffffffeu

#define VSOCK_TYPE_STREAM 1u

/* 5.10.6. The 64-bit fields are aligned, the whole is not: hence packed. */
struct vsock_hdr {
        le64_t src_cid;
        le64_t dst_cid;
        le32_t src_port;
        le32_t dst_port;
        le32_t len;
        le16_t type;
        le16_t op;
        le32_t flags;
        le32_t buf_alloc;
        le32_t fwd_cnt;
} __attribute__((packed, aligned(4)));
static_assert(sizeof(struct vsock_hdr) == 44, "virtio 1.2, 5.10.6");
static_assert(offsetof(struct vsock_hdr, fwd_cnt) == 40, "virtio 1.2, 5.10.6");

enum vsock_op {
        VSOCK_OP_INVALID = 0,
        VSOCK_OP_REQUEST = 1,
        VSOCK_OP_RESPONSE = 2,
        VSOCK_OP_RST = 3,
        VSOCK_OP_SHUTDOWN = 4,
        VSOCK_OP_RW = 5,
        VSOCK_OP_CREDIT_UPDATE = 6,
        VSOCK_OP_CREDIT_REQUEST = 7,
};
#define VSOCK_OP_MAX 7u

/* Of VSOCK_OP_SHUTDOWN: the sender will not receive, will not send any more. Other bits mean nothing. */
#define VSOCK_SHUTDOWN_RECEIVE 1u
#define VSOCK_SHUTDOWN_SEND    2u
#define VSOCK_SHUTDOWN_BOTH    3u

/* A packet of the guest for the host. */
struct vsock_packet {
        uint32_t guest_port;
        uint32_t host_port;
        uint32_t len;   /* of the payload; 0 unless op is RW */
        uint32_t flags; /* of SHUTDOWN; else 0 */
        uint32_t buf_alloc;
        uint32_t fwd_cnt;
        uint16_t type;
        enum vsock_op op;
};

enum {
        VSOCK_E_IGNORE = 1, /* not between this guest and the host, or a bad RST: no answer */
        VSOCK_E_REFUSE = 2, /* wants a RST; only ports and type of *ret are written */
};

/*
 * vsock_parse_packet() - check a header
 * @payload: bytes that follow it in the chain
 * Return: 0 or VSOCK_E_*.
 */
int must_check vsock_parse_packet(const struct vsock_hdr *hdr, uint64_t payload, uint64_t guest_cid,
                                  struct vsock_packet *ret);

/* "CONNECT 4294967294\r\n", and room for blanks. */
#define VSOCK_LINE_MAX 32u

enum { VSOCK_E_LINE = 3 };

/*
 * vsock_parse_line() - "CONNECT <port>\n"; letters in either case, blanks around the words
 * @line, @n: including the newline
 * Return: 0 or VSOCK_E_LINE.
 */
int must_check vsock_parse_line(const char *line, size_t n, uint32_t *ret_port);
