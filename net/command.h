#pragma once
/*
 * The gateway's control socket. A client sends the text of another policy, ends its side, and reads one line:
 * "ok", or "error " and words. One that sends nothing gets the counters, as a line of JSON. On the loop's thread.
 */
#include "net/gateway.h"
#include "vmm/base/loop.h"

struct command;

/* @listen_fd: taken over, also on failure */
int must_check command_new(struct loop *loop, struct gateway *gateway, int listen_fd, struct command **ret);
void command_free(struct command *c);
DEFINE_CLEANUP(struct command *, command_free)
