/*
 * Requests about the guest as a whole: what it uses, its clock, its processes, its disks.
 */
#pragma once

#include "guest/child.h"
#include "guest/protocol_request.h"

/* What the server knows and the kernel does not. */
struct machine_facts {
        uint32_t execs; /* that run */
        bool frozen;
};

/* machine_report() - a whole REPORT frame; @out has PROTOCOL_SMALL_MAX bytes. Return: its size. */
size_t machine_report(uint8_t *out, uint32_t id, const struct machine_facts *facts);

/* machine_set_clock() - Return: 0 or a negative errno. */
int machine_set_clock(uint64_t ns);

/*
 * machine_freeze() - begin to stop all processes of users, or let them go on.
 * Return: 0 or a negative errno.
 */
int machine_freeze(bool yes);

/* Requests that run in a child. SYNC; FREEZE, once machine_freeze() has begun it; PROCESSES of all. */
bool machine_sync(struct child *c, const uint8_t *payload, uint32_t len);
bool machine_wait_frozen(struct child *c, const uint8_t *payload, uint32_t len);
bool machine_processes(struct child *c, const uint8_t *payload, uint32_t len);
