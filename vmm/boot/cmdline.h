#pragma once
/*
 * The kernel's command line, built in a bounded buffer. Too much makes it `too_long`, which stays: ask
 * once, at the end.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What Linux/x86 takes (COMMAND_LINE_SIZE), NUL included. */
#define CMDLINE_BYTES 2048u

struct cmdline {
        size_t len; /* without the NUL */
        bool too_long;
        char text[CMDLINE_BYTES];
};

/* Appends, with a space between. An empty string adds nothing. */
void cmdline_add(struct cmdline *c, const char *words);

/* Appends what tells a kernel without ACPI of a virtio-mmio device. */
void cmdline_add_virtio_mmio(struct cmdline *c, uint64_t base, uint64_t size, unsigned gsi);
