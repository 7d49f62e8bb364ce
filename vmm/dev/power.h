#pragma once
/*
 * Three byte-wide ports of the machine: power, reset, and what the guest has to tell. No state. vCPU
 * threads.
 *
 *   +0  sleep control and status as ACPI has them (hardware-reduced): S5 is power-off. Reads 0.
 *   +1  1: reset. Reads 0.
 *   +2  events of enum power_event. Reads 0.
 *
 * Values that mean nothing are ignored.
 */
#include <stdint.h>

#include "vmm/bus/bus.h"

#define POWER_PORTS 3u

#define POWER_SLEEP_S5   5u
#define POWER_SLEEP_EN   0x20u
#define POWER_RESET_BYTE 1u

enum power_event {
        POWER_EVENT_OFF = 0x100,    /* power-off was asked for */
        POWER_EVENT_RESET = 0x101,  /* reset was asked for */
        POWER_EVENT_PANIC = 0x01,   /* the kernel panicked */
        POWER_EVENT_KERNEL = 0x10,  /* the kernel was entered */
        POWER_EVENT_INIT = 0x11,    /* the kernel is about to start init */
        POWER_EVENT_READY = 0x20,   /* the agent takes connections */
        POWER_EVENT_NO_ROOT = 0x21, /* before READY: it could not mount the root image */
};

struct power {
        void (*on_event)(struct power *power, enum power_event event);
};

/* For bus_add(); the owner is the struct power. */
extern const struct bus_ops power_ops;
