#pragma once
/*
 * Limits of a sandbox's process, held by cgroup v2 where this user may.
 */
#include <stdbool.h>
#include <stdint.h>

/* limits_parse_cpus() - "2", "1.5", "0.25": thousandths of a processor, 10 to 255000. Pure. */
bool limits_parse_cpus(const char *text, uint64_t *ret_milli);
