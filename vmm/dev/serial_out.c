/*
 * Serial output into a descriptor.
 * Input:  bytes of the guest; a reader that may be slow or go away.
 * Runs:   vCPU threads; serial_out_stop() on any.
 * Limits: none: the vCPU that writes waits.
 *
 * syscalls: vcpu: write poll
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

#include "vmm/base/compiler.h"
#include "vmm/dev/serial.h"

/* How long a stop may go unseen. */
#define WAIT_MS 100

static void out_write(struct serial_sink *sink, const uint8_t *bytes, size_t n)
{
        struct serial_out *out = container_of(sink, struct serial_out, sink);

        while (n && !atomic_load_explicit(&out->gone, memory_order_relaxed)) {
                ssize_t done = write(out->fd, bytes, n);

                if (done >= 0) {
                        bytes += done;
                        n -= (size_t)done;
                } else if (errno == EAGAIN) {
                        struct pollfd p = { .fd = out->fd, .events = POLLOUT };

                        (void)!poll(&p, 1, WAIT_MS);
                } else if (errno != EINTR) {
                        serial_out_stop(out);
                }
        }
}

void serial_out_init(struct serial_out *out, int fd)
{
        out->sink.write = out_write;
        out->fd = fd;
        atomic_init(&out->gone, false);
}

void serial_out_stop(struct serial_out *out)
{
        atomic_store_explicit(&out->gone, true, memory_order_relaxed);
}
