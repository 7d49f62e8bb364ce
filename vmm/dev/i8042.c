/*
 * The keyboard controller's reset line.
 * Input:  port accesses of the guest, hostile.
 * Runs:   vCPU threads.
 * Limits: none.
 */
#include "vmm/dev/i8042.h"

enum { AT_COMMAND = 4 };

#define COMMAND_RESET 0xfeu
/* Output full, so that a probe gives up; input not full, so that a reset is written at once; the rest
 * as after a good self test. */
#define STATUS 0x1du

static uint64_t i8042_read(void *owner, uint64_t off, unsigned len)
{
        (void)owner;
        return off == AT_COMMAND && len == 1 ? STATUS : UINT64_MAX;
}

static void i8042_write(void *owner, uint64_t off, unsigned len, uint64_t value)
{
        struct i8042 *kbd = owner;

        if (off == AT_COMMAND && len == 1 && (value & 0xff) == COMMAND_RESET)
                kbd->on_reset(kbd);
}

const struct bus_ops i8042_ops = { .read = i8042_read, .write = i8042_write };
