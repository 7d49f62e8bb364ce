#pragma once
/*
 * The keyboard controller, for the one thing it still does: its reset line. Takes any command and has
 * a buffer that never empties, at which drivers conclude that no controller is there. No state. vCPU
 * threads.
 */
#include "vmm/bus/bus.h"

#define I8042_PORTS 5u /* 0x60 to 0x64 */

struct i8042 {
        void (*on_reset)(struct i8042 *kbd); /* the guest wants a reset */
};

/* For bus_add(); the owner is the struct i8042. */
extern const struct bus_ops i8042_ops;
