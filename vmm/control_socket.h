#pragma once
/*
 * The control socket (--control): lines in, answers out, for programs of the VM's owner. docs/control.md is
 * what it promises. Loop thread.
 */
#include "vmm/base/cleanup.h"
#include "vmm/base/loop.h"
#include "vmm/control.h"

struct control_socket;

/* @listen_fd: taken, also on failure; non-blocking. @control: borrowed, as is @loop. */
int must_check control_socket_new(struct control_socket **ret, struct loop *loop, struct control *control,
                                  int listen_fd);
void control_socket_free(struct control_socket *s);
DEFINE_CLEANUP(struct control_socket *, control_socket_free)
