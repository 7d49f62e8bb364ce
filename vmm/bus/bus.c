/*
 * Address ranges and who answers for them.
 * Input:  addresses of the guest, hostile.
 * Runs:   vCPU threads; bus_add() before they start.
 * Limits: BUS_RANGES_MAX ranges.
 */
#include "vmm/bus/bus.h"

#include "vmm/base/assert.h"

void bus_add(struct bus *bus, uint64_t base, uint64_t size, const struct bus_ops *ops, void *owner)
{
        unsigned i = bus->nr_ranges;

        ASSERT(i < BUS_RANGES_MAX && size && base + size > base);
        for (; i && bus->ranges[i - 1].base > base; i--)
                bus->ranges[i] = bus->ranges[i - 1];
        bus->ranges[i] = (struct bus_range){ .base = base, .size = size, .ops = ops, .owner = owner };
        bus->nr_ranges++;
        ASSERT(!i || base - bus->ranges[i - 1].base >= bus->ranges[i - 1].size);
        ASSERT(i + 1 == bus->nr_ranges || bus->ranges[i + 1].base - base >= size);
}

static const struct bus_range *find(const struct bus *bus, uint64_t at, unsigned len)
{
        unsigned lo = 0, hi = bus->nr_ranges;

        while (lo < hi) {
                unsigned mid = (lo + hi) / 2;
                const struct bus_range *r = &bus->ranges[mid];

                if (at < r->base)
                        hi = mid;
                else if (at - r->base >= r->size)
                        lo = mid + 1;
                else
                        return len <= r->size - (at - r->base) ? r : NULL;
        }
        return NULL;
}

bool bus_read(const struct bus *bus, uint64_t at, unsigned len, uint64_t *ret)
{
        const struct bus_range *r = find(bus, at, len);

        *ret = r ? r->ops->read(r->owner, at - r->base, len) : UINT64_MAX;
        return r;
}

bool bus_write(const struct bus *bus, uint64_t at, unsigned len, uint64_t value)
{
        const struct bus_range *r = find(bus, at, len);

        if (r)
                r->ops->write(r->owner, at - r->base, len, value);
        return r;
}
