/*
 * vsock's parsers: a packet header and the payload's length behind it, or a client's first line.
 * The first byte says which.
 */
#include <string.h>

#include "virtio/vsock/vsock_parse.h"
#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void packet(const uint8_t *data, size_t size)
{
        struct vsock_hdr hdr;
        struct vsock_packet p;
        uint64_t payload = 0;
        int r;

        if (size < sizeof(hdr))
                return;
        memcpy(&hdr, data, sizeof(hdr));
        memcpy(&payload, data + sizeof(hdr), size - sizeof(hdr) < 8 ? size - sizeof(hdr) : 8);
        r = vsock_parse_packet(&hdr, payload, 3, &p);
        ASSERT(!r || r == VSOCK_E_IGNORE || r == VSOCK_E_REFUSE);
        if (r == VSOCK_E_IGNORE)
                return;
        ASSERT(p.guest_port == le32_get(hdr.src_port) && p.host_port == le32_get(hdr.dst_port));
        ASSERT(le64_get(hdr.src_cid) == 3 && le64_get(hdr.dst_cid) == VSOCK_CID_HOST);
        if (r)
                return;
        ASSERT(p.op > VSOCK_OP_INVALID && p.op <= VSOCK_OP_MAX && p.type == VSOCK_TYPE_STREAM);
        ASSERT(p.len <= payload && (!p.len || p.op == VSOCK_OP_RW));
        ASSERT(p.flags <= VSOCK_SHUTDOWN_BOTH && (!p.flags || p.op == VSOCK_OP_SHUTDOWN));
}

static void line(const uint8_t *data, size_t size)
{
        char copy[64];
        uint32_t port = 0;

        if (size > sizeof(copy))
                return;
        memcpy(copy, data, size);
        if (vsock_parse_line(copy, size, &port))
                return;
        ASSERT(size <= VSOCK_LINE_MAX && copy[size - 1] == '\n' && port <= VSOCK_PORT_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size && data[0] & 1)
                line(data + 1, size - 1);
        else if (size)
                packet(data + 1, size - 1);
        return 0;
}
