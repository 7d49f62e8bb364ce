/*
 * The guest's end of the wire, by hand.
 */
#include "tests/mock/wire.h"

#include <string.h>
#include <sys/socket.h>

#include "net/bytes.h"
#include "net/frame.h"
#include "net/stream.h"
#include "vmm/base/assert.h"

static void turn(uint8_t *frame)
{
        uint8_t mac[6];

        memcpy(mac, frame, 6);
        memcpy(frame, frame + 6, 6);
        memcpy(frame + 6, mac, 6);
}

size_t wire_build(const struct lan *lan, const struct wire_packet *p, uint8_t *ret)
{
        size_t header = p->proto == FRAME_PROTO_TCP ? 20 : p->proto == FRAME_PROTO_UDP ? 8 : 0;
        struct frame_head head;
        uint8_t *at;

        frame_ip(&head, lan, &p->src.address, &p->dst.address, p->proto, header + p->len);
        memcpy(ret, head.bytes, head.len);
        turn(ret);
        at = ret + head.len;
        memset(at, 0, header);
        if (header) {
                bytes_put16(at, p->src.port);
                bytes_put16(at + 2, p->dst.port);
        }
        if (p->proto == FRAME_PROTO_UDP)
                bytes_put16(at + 4, (uint16_t)(8 + p->len));
        if (p->proto == FRAME_PROTO_TCP) {
                bytes_put32(at + 4, p->seq);
                bytes_put32(at + 8, p->ack);
                at[12] = 20 / 4 << 4;
                at[13] = p->flags;
                bytes_put16(at + 14, 65535);
        }
        if (p->len)
                memcpy(at + header, p->bytes, p->len);
        return head.len + header + p->len;
}

void wire_send(struct wire *w, const uint8_t *frame, size_t n)
{
        uint8_t all[4 + STREAM_VNET_LEN + WIRE_FRAME_MAX] = { 0 };
        size_t len = 4 + STREAM_VNET_LEN + n;

        bytes_put32(all, (uint32_t)(STREAM_VNET_LEN + n));
        memcpy(all + 4 + STREAM_VNET_LEN, frame, n);
        ASSERT(send(w->fd, all, len, 0) == (ssize_t)len);
}

void wire_send_packet(struct wire *w, const struct wire_packet *p)
{
        uint8_t frame[WIRE_FRAME_MAX];
        size_t n = wire_build(&w->lan, p, frame);

        wire_send(w, frame, n);
}

static bool read_all(int fd, void *to, size_t n)
{
        return recv(fd, to, n, MSG_DONTWAIT | MSG_PEEK) == (ssize_t)n &&
               recv(fd, to, n, MSG_WAITALL) == (ssize_t)n;
}

bool wire_read(struct wire *w)
{
        uint8_t head[4 + STREAM_VNET_LEN];

        if (!read_all(w->fd, head, sizeof(head)))
                return false;
        w->len = bytes_get32(head) - STREAM_VNET_LEN;
        ASSERT(w->len <= sizeof(w->frame));
        return recv(w->fd, w->frame, w->len, MSG_WAITALL) == (ssize_t)w->len;
}

const uint8_t *wire_body(const struct wire *w, uint8_t *ret_proto)
{
        bool is_ip4 = bytes_get16(w->frame + 12) == 0x0800;

        *ret_proto = w->frame[14 + (is_ip4 ? 9 : 6)];
        return w->frame + 14 + (is_ip4 ? 20 : 40);
}
