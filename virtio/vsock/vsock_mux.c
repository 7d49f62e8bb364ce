/*
 * The table of vsock connections.
 * Input:  ports (guest, hostile).
 * Runs:   loop thread.
 * Limits: VSOCK_CONNS_MAX connections, VSOCK_RSTS_MAX RSTs that wait.
 */
#include "virtio/vsock/vsock_mux.h"

#include <stdlib.h>
#include <unistd.h>

#include "vmm/base/assert.h"

void vsock_mux_init(struct vsock_mux *mux, struct loop *loop)
{
        mux->loop = loop;
        mux->next_port = VSOCK_HOST_PORT_MIN;
        TAILQ_INIT(&mux->ready);
        TAILQ_INIT(&mux->touched);
}

void vsock_mux_fini(struct vsock_mux *mux)
{
        while (mux->nr_conns)
                vsock_mux_remove(mux, mux->conns[mux->nr_conns - 1]);
        mux->nr_rsts = 0;
}

struct vsock_conn *vsock_mux_add(struct vsock_mux *mux, int fd_taken, enum vsock_state state)
{
        struct vsock_conn *c = mux->nr_conns < VSOCK_CONNS_MAX ? calloc(1, sizeof(*c)) : NULL;

        if (!c) {
                close(fd_taken);
                return NULL;
        }
        vsock_conn_init(c, fd_taken, state);
        if (mux->nr_conns >= VSOCK_CONNS_FEW)
                c->buf_alloc = VSOCK_CREDIT_MANY;
        c->slot = mux->nr_conns;
        mux->conns[mux->nr_conns++] = c;
        return c;
}

void vsock_mux_remove(struct vsock_mux *mux, struct vsock_conn *c)
{
        struct vsock_conn *last = mux->conns[--mux->nr_conns];

        ASSERT(mux->conns[c->slot] == c);
        mux->conns[c->slot] = last;
        last->slot = c->slot;
        vsock_mux_unqueue(mux, c);
        vsock_mux_unbind(mux, c);
        if (c->touched)
                TAILQ_REMOVE(&mux->touched, c, next_touched);
        vsock_conn_fini(c, mux->loop);
        free(c);
}

/* The guest can make all fall into one bucket: then a packet costs a walk over VSOCK_CONNS_MAX at most. */
static unsigned hash(uint32_t guest_port, uint32_t host_port)
{
        uint32_t h = (guest_port * 0x9e3779b1u) ^ (host_port * 0x85ebca6bu);

        return (h ^ h >> 15) % VSOCK_HASH_BUCKETS;
}

void vsock_mux_bind(struct vsock_mux *mux, struct vsock_conn *c, uint32_t guest_port, uint32_t host_port)
{
        ASSERT(!c->bound && !vsock_mux_find(mux, guest_port, host_port));
        c->guest_port = guest_port;
        c->host_port = host_port;
        c->bound = true;
        LIST_INSERT_HEAD(&mux->hash[hash(guest_port, host_port)], c, same_hash);
}

void vsock_mux_unbind(struct vsock_mux *mux, struct vsock_conn *c)
{
        (void)mux;
        if (c->bound)
                LIST_REMOVE(c, same_hash);
        c->bound = false;
}

struct vsock_conn *vsock_mux_find(struct vsock_mux *mux, uint32_t guest_port, uint32_t host_port)
{
        struct vsock_conn *c = LIST_FIRST(&mux->hash[hash(guest_port, host_port)]);

        while (c && (c->guest_port != guest_port || c->host_port != host_port))
                c = LIST_NEXT(c, same_hash);
        return c;
}

/* Ends: there are more ports than connections. */
uint32_t vsock_mux_new_port(struct vsock_mux *mux, uint32_t guest_port)
{
        uint32_t port;

        do {
                port = mux->next_port;
                mux->next_port = port < VSOCK_HOST_PORT_MAX ? port + 1 : VSOCK_HOST_PORT_MIN;
        } while (vsock_mux_find(mux, guest_port, port));
        return port;
}

void vsock_mux_unqueue(struct vsock_mux *mux, struct vsock_conn *c)
{
        if (c->queued)
                TAILQ_REMOVE(&mux->ready, c, next_ready);
        c->queued = false;
}

void vsock_mux_queue(struct vsock_mux *mux, struct vsock_conn *c)
{
        if (!vsock_conn_is_ready(c)) {
                vsock_mux_unqueue(mux, c);
                return;
        }
        if (c->queued)
                return;
        c->queued = true;
        TAILQ_INSERT_TAIL(&mux->ready, c, next_ready);
}

struct vsock_conn *vsock_mux_next(struct vsock_mux *mux)
{
        return TAILQ_FIRST(&mux->ready);
}

void vsock_mux_touch(struct vsock_mux *mux, struct vsock_conn *c)
{
        if (!c->touched)
                TAILQ_INSERT_TAIL(&mux->touched, c, next_touched);
        c->touched = true;
}

struct vsock_conn *vsock_mux_take_touched(struct vsock_mux *mux)
{
        struct vsock_conn *c = TAILQ_FIRST(&mux->touched);

        if (!c)
                return NULL;
        TAILQ_REMOVE(&mux->touched, c, next_touched);
        c->touched = false;
        return c;
}

bool vsock_mux_put_rst(struct vsock_mux *mux, uint32_t guest_port, uint32_t host_port, uint16_t type)
{
        if (mux->nr_rsts == VSOCK_RSTS_MAX)
                return false;
        mux->rsts[(mux->rst_at + mux->nr_rsts++) % VSOCK_RSTS_MAX] = (struct vsock_rst){
                .guest_port = guest_port,
                .host_port = host_port,
                .type = type,
        };
        return true;
}

const struct vsock_rst *vsock_mux_rst(const struct vsock_mux *mux)
{
        return mux->nr_rsts ? &mux->rsts[mux->rst_at] : NULL;
}

void vsock_mux_drop_rst(struct vsock_mux *mux)
{
        ASSERT(mux->nr_rsts);
        mux->rst_at = (mux->rst_at + 1) % VSOCK_RSTS_MAX;
        mux->nr_rsts--;
}
