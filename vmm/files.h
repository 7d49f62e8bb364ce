#pragma once
/*
 * Everything of the host that a VM needs, opened: after files_open() no path is opened any more but
 * those of guest-initiated vsock connections, and of a disk that takes another's place. Main thread.
 */
#include <stdint.h>

#include "vmm/base/uds.h"
#include "vmm/capfile.h"
#include "vmm/config.h"

struct files_disk {
        int fd; /* locked: shared if read-only, else alone */
        uint64_t size_bytes;
        uint32_t block_bytes; /* what I/O must be aligned to */
};

struct files_net {
        int fds[CONFIG_QUEUES_MAX]; /* one a pair of queues; -1: none */
        unsigned mtu;
};

struct files {
        int kvm;
        int kernel;
        int initrd;     /* -1: none */
        bool has_agent; /* the initrd is ours */
        struct files_disk disks[CONFIG_DISKS_MAX];
        struct files_net nets[CONFIG_NETS_MAX];
        int vsock; /* listening; -1: none */
        struct uds vsock_uds;
        int control; /* listening; -1: none */
        struct uds control_uds;
        int serial; /* output of the console; -1: off, or a plain file. STDOUT_FILENO stays the caller's */
        struct capfile console; /* that plain file */
        struct capfile output;
        int timeline, stats; /* -1: none */
};

/*
 * files_open() - open and check all of it
 * Return: 0, or -1 with *p filled; then nothing stays behind, and files_close() need not be called.
 */
int must_check files_open(struct files *f, const struct vm_config *c, struct problem *p);
/*
 * files_open_disk() - open, lock and check one disk
 * @held: the disk's file so far, which may be the same one, of another size by now; -1: none
 * Return: 0, or -1 with *p filled; ret->fd may be open then, and is the caller's either way.
 */
int must_check files_open_disk(struct files_disk *ret, const struct config_disk *d, int held,
                               struct problem *p);
/* Closes what is still here (a descriptor that was taken over was set to -1) and removes the socket. */
void files_close(struct files *f);

/*
 * files_open_net() - the other side of a network: a tap device with our settings, or a connected socket
 * Return: 0, or -1 with *p filled; ret->fds are the caller's either way.
 */
int must_check files_open_net(struct files_net *ret, const struct config_net *n, struct problem *p);
/* files_claim_fds() - descriptors that were handed in are open, and no child's. Return: 0, or -1 with *p filled */
int must_check files_claim_fds(const struct vm_config *c, struct problem *p);
