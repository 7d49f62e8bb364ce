#pragma once
/*
 * What a running VM is asked from outside: signals, and the way to a clean end through the agent. Loop
 * thread.
 */
#include "virtio/core/device.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/loop.h"
#include "vmm/bus/irq.h"

struct control;

struct control_config {
        struct loop *loop;
        struct virtio_dev *vsock; /* NULL: no way to the agent */
        struct irq *button;       /* the power button, for guests without an agent; NULL: none */
        uint64_t grace_ns;
        void (*on_end)(void *ctx); /* asked for the end, and the guest did not go by itself */
        void *ctx;
};

/*
 * control_new() - from now on SIGTERM, SIGINT and (unless it was ignored) SIGHUP ask the guest to power off;
 *                 the second one, or the end of the grace, calls on_end()
 */
int must_check control_new(struct control **ret, const struct control_config *cfg);
void control_free(struct control *control);
DEFINE_CLEANUP(struct control *, control_free)

/* The agent takes requests from now on. */
void control_set_ready(struct control *control);
/* As if a signal had come. */
void control_ask_end(struct control *control);
