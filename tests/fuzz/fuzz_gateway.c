/*
 * The whole gateway: frames of a guest, each behind its length (16 bits), and a world that answers to some ports. Bytes
 * of the input say what the world does in between.
 */
#include "net/gateway.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/bytes.h"
#include "tests/mock/wire.h"
#include "vmm/base/assert.h"

#define PEERS_MAX  64
#define FRAMES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
        struct loop *loop;
        int peers[PEERS_MAX];
        unsigned nr;
};

static int open_pair(void *ctx, enum policy_proto proto, const struct frame_end *to)
{
        struct world *w = ctx;
        int ends[2];

        if (w->nr == PEERS_MAX || to->port % 5 == 4)
                return -ECONNREFUSED;
        ASSERT(!socketpair(AF_UNIX, (proto == POLICY_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0,
                           ends));
        w->peers[w->nr++] = ends[1];
        return ends[0];
}

static void on_end(void *owner, int error)
{
        (void)owner;
        ASSERT(error == 0 || error == -EPROTO);
}

static int on_stop(struct loop_timer *timer)
{
        (void)timer;
        return -ECANCELED;
}

static void turn(struct world *w)
{
        struct loop_timer stop = { .call = on_stop };

        loop_timer_set(w->loop, &stop, 0);
        ASSERT(loop_run(w->loop) == -ECANCELED);
}

/* What the world does: speaks, ends its side, or goes. */
static void act(struct world *w, unsigned what)
{
        static const char bytes[2000] = "x";

        if (!w->nr)
                return;
        switch (what % 4) {
        case 0:
                (void)!send(w->peers[w->nr - 1], bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
                break;
        case 1:
                (void)!shutdown(w->peers[w->nr - 1], SHUT_WR);
                break;
        case 2:
                fd_closep(&w->peers[--w->nr]);
                break;
        default:
                break;
        }
}

static void feed(struct world *w, struct wire *wire, const uint8_t *data, size_t size)
{
        for (unsigned i = 0; i < FRAMES_MAX && size > 3; i++) {
                size_t len = bytes_get16(data + 1);

                if (len > size - 3)
                        len = size - 3;
                if (len > FRAME_MAX)
                        len = FRAME_MAX;
                wire_send(wire, data + 3, len);
                turn(w);
                act(w, data[0]);
                turn(w);
                while (wire_read(wire))
                        ASSERT(wire->len <= FRAME_MAX);
                data += 3 + len;
                size -= 3 + len;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct wire wire;
        struct world w = { 0 };
        const struct host_ops host = { open_pair, &w };
        const struct policy policy = { .mode = POLICY_PUBLIC, .connections = 32 };
        struct gateway_config config = { .policy = &policy, .host = &host, .on_end = on_end, .owner = &w };
        struct problem p = { 0 };
        struct gateway *gateway;
        struct events events;
        int ends[2];

        lan_init(&wire.lan);
        ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends) && !loop_new(&w.loop) &&
               !events_open(&events, NULL, 0, &p));
        wire.fd = ends[1];
        config.loop = w.loop;
        config.fd = ends[0];
        config.lan = wire.lan;
        config.events = &events;
        ASSERT(!gateway_new(&config, &gateway));
        feed(&w, &wire, data, size);
        fd_closep(&wire.fd);
        turn(&w);
        gateway_free(gateway);
        loop_free(w.loop);
        for (unsigned i = 0; i < w.nr; i++)
                fd_closep(&w.peers[i]);
        return 0;
}
