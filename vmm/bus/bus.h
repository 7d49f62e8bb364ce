#pragma once
/*
 * Address ranges and who answers for them. One bus for MMIO, one for port I/O.
 *
 * Ranges are added before the first vCPU runs; afterwards the table is constant and lookups need no
 * lock. Handlers run on vCPU threads, several at once.
 */
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/compiler.h"

#define BUS_RANGES_MAX 40

struct bus_ops {
        /* @off: within the range; @len: 1, 2, 4 or 8. Values are little endian in the low bytes. */
        uint64_t (*read)(void *owner, uint64_t off, unsigned len);
        void (*write)(void *owner, uint64_t off, unsigned len, uint64_t value);
};

struct bus_range {
        uint64_t base;
        uint64_t size;
        const struct bus_ops *ops;
        void *owner;
};

struct bus {
        unsigned nr_ranges;
        struct bus_range ranges[BUS_RANGES_MAX]; /* sorted by base */
};

/* Ranges that overlap, or one too many, are a bug of ours. */
void bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *owner);

/*
 * Return: false when nobody answers there (a read then gives all ones). An access must lie within one
 * range as a whole.
 */
bool bus_read(const struct bus *bus, uint64_t at, unsigned len, uint64_t *ret);
bool bus_write(const struct bus *bus, uint64_t at, unsigned len, uint64_t value);
