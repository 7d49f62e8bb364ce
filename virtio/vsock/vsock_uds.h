#pragma once
/*
 * The names of vsock's Unix sockets, as Firecracker has them: <path> takes the clients of the guest,
 * <path>_<port> are those that the guest may connect to. For the composition, and for a broker; the
 * device itself only ever sees descriptors.
 */
#include <stdint.h>
#include <sys/types.h>

#include "vmm/base/compiler.h"
#include "vmm/base/err.h"

/* What a socket's address holds, less "_4294967295" and the zero. */
#define VSOCK_UDS_PATH_MAX 96u

struct vsock_uds {
        char path[VSOCK_UDS_PATH_MAX + 1];
        dev_t dev; /* of the socket that we made */
        ino_t ino;
};

/*
 * vsock_uds_listen() - make the socket at @path, for its owner alone (0600), and listen
 * @status: the exit status for @problem
 * @ret_fd: non-blocking
 *
 * A socket there that nobody listens on any more is replaced. One that somebody listens on, anything
 * else of that name, and a path of more than VSOCK_UDS_PATH_MAX bytes are refused.
 *
 * Return: 0, or -1 and *problem.
 */
int must_check vsock_uds_listen(const char *path, int status, struct problem *problem, struct vsock_uds *ret,
                                int *ret_fd);

/* vsock_uds_unlink() - at the end: the name goes, unless somebody else has it by now */
void vsock_uds_unlink(const struct vsock_uds *uds);

/*
 * vsock_uds_connect() - what vsock_config.connect needs
 * Return: a non-blocking socket connected to <path>_<port>, or negative errno. Never waits.
 */
int must_check vsock_uds_connect(const char *path, uint32_t port);
