#pragma once
/*
 * Counters: a named number each. The owner's thread adds; whoever dumps them does it from that thread
 * or after it ended.
 */
#include <stdint.h>

struct stat_counter {
        const char *name;
        uint64_t n;
};
