/*
 * Parsers of vsock.
 * Input:  packet headers (guest, hostile), first lines (local clients, hostile).
 * Runs:   any thread; pure.
 * Limits: VSOCK_LINE_MAX bytes a line.
 */
#include "virtio/vsock/vsock_parse.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

int vsock_parse_packet(const struct vsock_hdr *hdr, uint64_t payload, uint64_t guest_cid,
                       struct vsock_packet *ret)
{
        uint16_t op = le16_get(hdr->op);
        uint16_t type = le16_get(hdr->type);
        uint32_t len = le32_get(hdr->len);
        bool good = type == VSOCK_TYPE_STREAM && op != VSOCK_OP_INVALID && op <= VSOCK_OP_MAX;

        if (le64_get(hdr->src_cid) != guest_cid || le64_get(hdr->dst_cid) != VSOCK_CID_HOST)
                return VSOCK_E_IGNORE;
        if (op == VSOCK_OP_RW && len > payload)
                good = false;
        /* Two who answer each other's RST would never end. */
        if (!good && op == VSOCK_OP_RST)
                return VSOCK_E_IGNORE;
        ret->guest_port = le32_get(hdr->src_port);
        ret->host_port = le32_get(hdr->dst_port);
        ret->type = type;
        if (!good)
                return VSOCK_E_REFUSE;
        ret->op = (enum vsock_op)op;
        ret->len = op == VSOCK_OP_RW ? len : 0;
        ret->flags = op == VSOCK_OP_SHUTDOWN ? le32_get(hdr->flags) & VSOCK_SHUTDOWN_BOTH : 0;
        ret->buf_alloc = le32_get(hdr->buf_alloc);
        ret->fwd_cnt = le32_get(hdr->fwd_cnt);
        return 0;
}

static size_t skip_blanks(const char *line, size_t n, size_t i)
{
        while (i < n && (line[i] == ' ' || line[i] == '\t' || line[i] == '\r'))
                i++;
        return i;
}

int vsock_parse_line(const char *line, size_t n, uint32_t *ret_port)
{
        static const char word[] = "connect";
        size_t i = skip_blanks(line, n, 0), from;
        uint64_t port = 0;

        if (n > VSOCK_LINE_MAX || n - i < sizeof(word) || strncasecmp(line + i, word, sizeof(word) - 1) != 0)
                return VSOCK_E_LINE;
        i += sizeof(word) - 1;
        from = skip_blanks(line, n, i);
        if (from == i)
                return VSOCK_E_LINE;
        for (i = from; i < n && line[i] >= '0' && line[i] <= '9'; i++) {
                port = 10 * port + (uint64_t)(line[i] - '0');
                if (port > VSOCK_PORT_MAX)
                        return VSOCK_E_LINE;
        }
        if (i == from)
                return VSOCK_E_LINE;
        i = skip_blanks(line, n, i);
        if (i + 1 != n || line[i] != '\n')
                return VSOCK_E_LINE;
        *ret_port = (uint32_t)port;
        return 0;
}
