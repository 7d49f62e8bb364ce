#pragma once
/*
 * Every counter of a machine under one table of names: as JSON, or as Prometheus' text format. Loop thread,
 * or the main thread before and after it.
 */
#include <stdio.h>

#include "vmm/base/loop.h"
#include "vmm/devices.h"
#include "vmm/kvm/vcpu.h"

enum metrics_format { METRICS_JSON, METRICS_PROMETHEUS };

/* All borrowed. */
struct metrics_source {
        const struct loop *loop;
        const struct devices *devices; /* NULL: none */
        struct vcpu *const *vcpus;
        unsigned nr_vcpus;
};

/*
 * metrics_write() - JSON: one object and a newline,
 *                   {"vcpus":[{"exits":{…},"kvm":{…}},…],"devices":{…},"loop":{…},"log":{…}}.
 *                   Prometheus: version 0.0.4 of its text format.
 *
 * KVM's own counters are left out where the kernel has none, and of vCPUs for which vcpu_open_stats() was not
 * called or failed.
 */
void metrics_write(const struct metrics_source *source, FILE *f, enum metrics_format format);
