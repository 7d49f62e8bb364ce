#pragma once
/*
 * The entropy device (virtio 1.2, 5.4): one queue of buffers, filled from the host's random pool.
 */
#include "virtio/core/device.h"

/* @mem: borrowed. */
int must_check rng_new(struct gmem *mem, struct virtio_dev **ret);
