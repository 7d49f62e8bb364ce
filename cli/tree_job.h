#pragma once
/*
 * A local tree as a tar stream, packed or unpacked by a child of ours at the other end of a pipe: walking a tree
 * waits for disks.
 */
#include <stdbool.h>
#include <sys/types.h>

#include "vmm/base/err.h"

struct tree_job {
        bool packs; /* else it unpacks */
        const char *path;
        const char *
                top; /* pack: what the top is called in the stream; unpack: the only name that is taken. NULL = any */
        unsigned flags; /* of guest/tree.h */
        pid_t pid;
        int fd;     /* our end of the pipe */
        int report; /* what the child says went wrong */
};

/* tree_job_start() - Return: 0, or -1 with @problem. */
int must_check tree_job_start(struct tree_job *job, struct problem *problem);
/* tree_job_end() - closes the pipe and waits; once. Return: 0, or -1 with what the child said. */
int tree_job_end(struct tree_job *job, struct problem *problem);
