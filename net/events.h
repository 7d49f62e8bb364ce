#pragma once
/*
 * The file of decisions: a line of JSON each, newest last, up to a cap (vmm/capfile.h says how it is kept and read).
 * A guest can cause as many as it likes: beyond so many a second they are only counted.
 */
#include "net/event_line.h"
#include "vmm/base/err.h"
#include "vmm/base/rate.h"
#include "vmm/capfile.h"

#define EVENTS_PER_SECOND 500u /* a line is 200 bytes: nothing that a disk would notice */

struct events {
        struct capfile file; /* may be none */
        struct rate rate;
        uint64_t written, lost;
};

/* events_open() - @path: NULL: they are counted only. Return: 0, or -1 and *p; events_close() is due in either case. */
int must_check events_open(struct events *e, const char *path, uint64_t limit_bytes, struct problem *p);
void events_close(struct events *e);
/* @line->time_ns is set here. */
void events_tell(struct events *e, const struct policy *policy, struct event_line *line);
