#pragma once
/*
 * A file that grows no further than a limit: FILE and FILE.1, each up to half of it. Once FILE is full,
 * FILE.1 is emptied and the two exchange their names, so that FILE.1 is always the older part and FILE the
 * newer one. Both are opened at the start; later only names in their folder change.
 *
 * For readers. Open FILE, then FILE.1; if both are the same file, it became full in between: begin again.
 * Read FILE.1, then FILE. To follow it: once the name FILE stands for another file than the open one, read
 * the open one to its end, then go on at the beginning of the new FILE. A file that has become shorter than
 * what was read of it was emptied: what lay between is lost.
 *
 * A write is whole or not there. What cannot be written (a full disk) is lost and counted; later writes are
 * tried again. Where the file system cannot exchange names, a full FILE is emptied and FILE.1 stays empty.
 *
 * One thread at a time. A write waits as long as the page cache does: what a guest can cause in any number is
 * not written on the loop.
 */
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/base/compiler.h"
#include "vmm/base/err.h"

struct capfile {
        int folder;                     /* -1: none is open */
        int fds[2];                     /* FILE, FILE.1 */
        uint64_t size_bytes, max_bytes; /* of FILE */
        uint64_t lost_bytes;
        char names[2][NAME_MAX + 1];
};
#define CAPFILE_NONE ((struct capfile){ .folder = -1, .fds = { -1, -1 } })

/* Is there a plain file, or nothing yet? Others (a pipe, a terminal, /dev/null) do not grow. */
bool capfile_is_for(const char *path);

/*
 * capfile_open() - open or make both
 * @f: CAPFILE_NONE
 * @what: in words of a problem: "the console"
 * @limit_bytes: of both together
 * @keep: go on at their end; else they begin empty
 * Return: 0, or -1 with *p filled; capfile_close() is due in either case.
 */
int must_check capfile_open(struct capfile *f, const char *what, const char *path, uint64_t limit_bytes,
                            bool keep, struct problem *p);
void capfile_close(struct capfile *f);

/* @len: together at most half of the limit; what is longer is lost. */
void capfile_write(struct capfile *f, const struct iovec *parts, unsigned nr);
