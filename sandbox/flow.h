#pragma once
/*
 * Bytes between a link and a descriptor of ours, on the loop: terminals, pipes, files, sockets. Nothing waits for a
 * slow one, and flags of a descriptor that others share (a shell's terminal) are left alone.
 *
 *   outlet: bytes of an event to a descriptor. It borrows them: pause the link until it is done.
 *   inlet:  says when a descriptor can be read, while that is wanted.
 */
#include "vmm/base/loop.h"

struct outlet {
        struct loop *loop;
        void (*on_done)(struct outlet *o,
                        int error); /* what was left over is written; negative errno: it cannot be */
        struct ev ev;
        int fd, own_fd; /* own_fd: the same file, opened again so that it does not block; -1 = none */
        bool ready, is_socket, is_file;
        const uint8_t *bytes;
        size_t len;
};

void outlet_init(struct outlet *o, struct loop *loop, int fd, void (*on_done)(struct outlet *o, int error));
void outlet_fini(struct outlet *o); /* borrows fd: it stays open */
/* outlet_write() - Return: 1 all is written, 0 on_done() will come, or a negative errno. */
int must_check outlet_write(struct outlet *o, const uint8_t *bytes, size_t len);

struct inlet {
        struct loop *loop;
        int (*on_ready)(
                struct inlet *i); /* as a loop's callback: read once; then inlet_want() what comes next */
        struct ev ev;
        struct loop_timer at_once; /* a file is always ready, and epoll does not take it */
        bool wanted, is_file;
};

void inlet_init(struct inlet *i, struct loop *loop, int fd, int (*on_ready)(struct inlet *i));
void inlet_fini(struct inlet *i);
int must_check inlet_want(struct inlet *i, bool wanted);
