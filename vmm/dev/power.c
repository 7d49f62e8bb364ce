/*
 * Power, reset and event ports.
 * Input:  port writes of the guest, hostile.
 * Runs:   vCPU threads.
 * Limits: none.
 */
#include "vmm/dev/power.h"

enum { AT_SLEEP, AT_RESET, AT_EVENT };

#define SLEEP_TYPE(value) ((value) >> 2 & 7)

static uint64_t power_read(void *owner, uint64_t off, unsigned len)
{
        (void)owner;
        (void)off;
        (void)len;
        return 0;
}

static void report(struct power *power, uint8_t event)
{
        switch (event) {
        case POWER_EVENT_PANIC:
        case POWER_EVENT_KERNEL:
        case POWER_EVENT_INIT:
        case POWER_EVENT_READY:
        case POWER_EVENT_NO_ROOT:
                power->on_event(power, event);
                break;
        default:
                break;
        }
}

static void power_write(void *owner, uint64_t off, unsigned len, uint64_t value)
{
        struct power *power = owner;
        uint8_t v = (uint8_t)value;

        if (len != 1)
                return;
        if (off == AT_SLEEP && v & POWER_SLEEP_EN && SLEEP_TYPE(v) == POWER_SLEEP_S5)
                power->on_event(power, POWER_EVENT_OFF);
        if (off == AT_RESET && v == POWER_RESET_BYTE)
                power->on_event(power, POWER_EVENT_RESET);
        if (off == AT_EVENT)
                report(power, v);
}

const struct bus_ops power_ops = { .read = power_read, .write = power_write };
