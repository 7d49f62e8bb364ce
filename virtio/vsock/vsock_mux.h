#pragma once
/*
 * The table of connections: who they are (by the guest's and the host's port), who waits for a buffer of
 * the guest, and which RSTs go to ports that have no connection any more.
 *
 * Those who wait take turns: a connection that was served goes to the end of the line. Thread: loop.
 */
#include "virtio/vsock/vsock_conn.h"

/* More than any guest of ours needs; each costs a descriptor and at worst its credit in memory. */
#define VSOCK_CONNS_MAX 1024u
/* So many get VSOCK_CREDIT_MAX, later ones VSOCK_CREDIT_MANY: 46 MiB in all at worst. */
#define VSOCK_CONNS_FEW 64u
/* As many as there can be connections to end; those beyond are forgotten, and the guest's timeout finds out. */
#define VSOCK_RSTS_MAX 1024u

/* Ports that we give to clients: above those that services have. */
#define VSOCK_HOST_PORT_MIN 0x40000000u
#define VSOCK_HOST_PORT_MAX 0x7fffffffu

#define VSOCK_HASH_BUCKETS 256u

struct vsock_rst {
        uint32_t guest_port;
        uint32_t host_port;
        uint16_t type;
};

struct vsock_mux {
        struct loop *loop;
        unsigned nr_conns;
        unsigned nr_rsts;
        unsigned rst_at;
        uint32_t next_port;
        TAILQ_HEAD(, vsock_conn) ready;
        TAILQ_HEAD(, vsock_conn) touched;
        LIST_HEAD(, vsock_conn) hash[VSOCK_HASH_BUCKETS];
        struct vsock_conn *conns[VSOCK_CONNS_MAX];
        struct vsock_rst rsts[VSOCK_RSTS_MAX];
};

/* *mux is zero. @loop: borrowed. */
void vsock_mux_init(struct vsock_mux *mux, struct loop *loop);
void vsock_mux_fini(struct vsock_mux *mux);

/*
 * vsock_mux_add() - a new connection, that no packet finds yet
 * @fd_taken: closed when there is none
 * Return: NULL when there are VSOCK_CONNS_MAX, or no memory.
 */
struct vsock_conn *vsock_mux_add(struct vsock_mux *mux, int fd_taken, enum vsock_state state);
/* vsock_mux_remove() - closes and frees it */
void vsock_mux_remove(struct vsock_mux *mux, struct vsock_conn *c);

/* vsock_mux_bind() - give it its ports; nobody may have them */
void vsock_mux_bind(struct vsock_mux *mux, struct vsock_conn *c, uint32_t guest_port, uint32_t host_port);
void vsock_mux_unbind(struct vsock_mux *mux, struct vsock_conn *c);
struct vsock_conn *vsock_mux_find(struct vsock_mux *mux, uint32_t guest_port, uint32_t host_port);
/* A host port that is free beside @guest_port. */
uint32_t vsock_mux_new_port(struct vsock_mux *mux, uint32_t guest_port);

/*
 * vsock_mux_queue() - to the end of the line, if it is not in it and wants anything; out of it, if it wants nothing
 *                     any more (the guest may take its credit back)
 * vsock_mux_next() looks at the first: it wants something.
 */
void vsock_mux_queue(struct vsock_mux *mux, struct vsock_conn *c);
void vsock_mux_unqueue(struct vsock_mux *mux, struct vsock_conn *c);
struct vsock_conn *vsock_mux_next(struct vsock_mux *mux);

/* vsock_mux_touch() - something happened to it; vsock_mux_take_touched() gives each once, then NULL */
void vsock_mux_touch(struct vsock_mux *mux, struct vsock_conn *c);
struct vsock_conn *vsock_mux_take_touched(struct vsock_mux *mux);

/* Return: false when there are too many; it is forgotten then. */
bool vsock_mux_put_rst(struct vsock_mux *mux, uint32_t guest_port, uint32_t host_port, uint16_t type);
/* The oldest, or NULL; it stays until vsock_mux_drop_rst(). */
const struct vsock_rst *vsock_mux_rst(const struct vsock_mux *mux);
void vsock_mux_drop_rst(struct vsock_mux *mux);
