#pragma once
/*
 * Is there a KVM here that a guest gets through its boot on? Some hosts have none, some do not permit
 * it, and some offer one that interprets the guest instruction by instruction. A tiny guest, timed
 * beside the same work on the host, tells them apart. Main thread.
 */
#include <stdio.h>

enum probe_verdict {
        PROBE_USABLE,
        PROBE_MISSING,
        PROBE_DENIED,
        PROBE_BROKEN,   /* it is there and permitted, but no guest runs */
        PROBE_EMULATED, /* a guest runs, too slowly to be on the processor */
};

struct probe {
        enum probe_verdict verdict;
        double guest_ns; /* for the tiny guest's work; 0: not run, or not to its end */
        double host_ns;  /* for the same work on the host */
        char why[256];
};

void probe_run(struct probe *probe);

void probe_write_words(const struct probe *p, FILE *f);
void probe_write_json(const struct probe *p, FILE *f);
