#pragma once
/*
 * Unix sockets with a name: those that a process of ours listens on, for its owner alone.
 */
#include <sys/types.h>

#include "vmm/base/compiler.h"
#include "vmm/base/err.h"

/* What a socket's address holds, less "_4294967295" (the ports of vsock) and the zero. */
#define UDS_PATH_MAX 96u

struct uds {
        char path[UDS_PATH_MAX + 1]; /* "": none was made */
        dev_t dev;                   /* of the socket that we made */
        ino_t ino;
};

/*
 * uds_listen() - make the socket at @path, for its owner alone (0600), and listen
 * @what: what it is for, in words of a problem: "vsock"
 * @status: the exit status for @problem
 * @ret_fd: non-blocking
 *
 * A socket there that nobody listens on any more is replaced. One that somebody listens on, anything
 * else of that name, and a path of more than UDS_PATH_MAX bytes are refused.
 *
 * Return: 0, or -1 and *problem.
 */
int must_check uds_listen(const char *what, const char *path, int status, struct problem *problem,
                          struct uds *ret, int *ret_fd);

/* At the end, for a zeroed one too: the name goes, unless somebody else has it by now. */
void uds_unlink(struct uds *uds);

/* Return: a non-blocking socket connected to @path, or negative errno. Never waits. */
int must_check uds_connect(const char *path);
