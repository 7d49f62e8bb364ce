#pragma once
/*
 * A FILE request's bytes to or from a descriptor of ours, with a line of progress.
 */
#include "cli/target.h"
#include "guest/protocol_file.h"

struct transfer {
        const struct target *target;
        struct protocol_file req;
        int fd;            /* borrowed: where the bytes go, or (WRITE, UNPACK) come from */
        uint64_t expected; /* bytes, 0 = not known; for the progress */
        const char *what;  /* whose progress is shown; NULL = none is */
        /* All was read: was that really the end? Return: 0, or -1 with @problem. May be NULL. */
        int (*at_end)(void *who, struct problem *problem);
        void *who;
};

/* transfer_run() - Return: 0 and the bytes that went, or -1 with @problem. */
int must_check transfer_run(const struct transfer *t, uint64_t *ret_bytes, struct problem *problem);
