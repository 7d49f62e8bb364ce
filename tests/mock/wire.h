#pragma once
/*
 * The guest's end of the wire, by hand: frames are built, sent and read one by one. For tests of the gateway.
 */
#include "net/frame.h"
#include "net/frame_parse.h"

#define WIRE_FRAME_MAX 70000u

struct wire {
        struct lan lan;
        int fd;
        uint8_t frame[WIRE_FRAME_MAX]; /* the one read last, without the wire's own headers */
        size_t len;
};

/* What a packet of the guest says. */
struct wire_packet {
        struct frame_end src, dst;
        uint8_t proto;
        uint8_t flags; /* TCP */
        uint32_t seq, ack;
        const void *bytes; /* TCP and UDP: payload; others: all behind IP */
        size_t len;
};

/* Return: the length of a whole frame in @ret, from the guest. */
size_t wire_build(const struct lan *lan, const struct wire_packet *p, uint8_t *ret);
void wire_send(struct wire *w, const uint8_t *frame, size_t n);
void wire_send_packet(struct wire *w, const struct wire_packet *p);
/* wire_read() - the next frame into w->frame. Return: false if none is there. */
bool wire_read(struct wire *w);
/* Return: what lies behind the IP header of the frame read last. */
const uint8_t *wire_body(const struct wire *w, uint8_t *ret_proto);
