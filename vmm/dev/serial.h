#pragma once
/*
 * A 16550A serial port.
 *
 * Registers are the vCPU threads', input comes from the loop thread; a mutex keeps them apart. Output is
 * handed to the sink without that mutex: only the vCPU that wrote waits for a slow reader.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/buf.h"
#include "vmm/base/cleanup.h"
#include "vmm/bus/bus.h"
#include "vmm/bus/irq.h"

#define SERIAL_PORTS 8u
/* What the receiver holds, as the chip does. */
#define SERIAL_FIFO_BYTES 16u

/* Where output goes; called on vCPU threads, one at a time for one port. Takes all of it. */
struct serial_sink {
        void (*write)(struct serial_sink *sink, const uint8_t *bytes, size_t n);
};

struct serial_config {
        struct serial_sink *sink; /* borrowed; NULL: output is dropped */
        struct irq *irq;          /* borrowed */
        /* Input has room again after serial_feed() took less than it was given. vCPU thread. May be NULL. */
        void (*on_room)(void *owner);
        void *owner;
};

enum { SERIAL_E_STATE = 1 }; /* saved state that cannot be */

struct serial;

int must_check serial_new(const struct serial_config *cfg, struct serial **ret);
void serial_free(struct serial *serial);
DEFINE_CLEANUP(struct serial *, serial_free)

/* For bus_add() with SERIAL_PORTS; the owner is the struct serial. */
extern const struct bus_ops serial_ops;

/*
 * serial_feed() - input for the guest. Return: how many bytes were taken. Loop thread.
 *
 * Nothing is taken while the guest has the receive interrupt off: drivers clear the FIFO when they
 * start, and what was typed or piped in earlier would be lost.
 */
size_t serial_feed(struct serial *serial, const uint8_t *bytes, size_t n);

/* While no vCPU runs. */
void serial_save(struct serial *serial, struct buf *b);
int must_check serial_load(struct serial *serial, struct buf *b);

/*
 * A sink that is a descriptor: waits for a slow reader, drops everything once the reader is gone or
 * serial_out_stop() was called (any thread; a vCPU thread that waits sees it within a moment, or at once
 * with a signal). The process ignores SIGPIPE.
 *
 * syscalls: vcpu: write poll
 */
struct serial_out {
        struct serial_sink sink;
        int fd;            /* borrowed */
        _Atomic bool gone; /* atomic: set once, by whoever sees it */
};

void serial_out_init(struct serial_out *out, int fd);
void serial_out_stop(struct serial_out *out);
