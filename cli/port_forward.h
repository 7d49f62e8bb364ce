#pragma once
/*
 * Ports of a sandbox that stay open as long as it runs: what `vmlet run -p` asks for.
 */
#include "sandbox/sandbox.h"

/*
 * port_forward_start() - a process in the background that listens, and ends with the sandbox
 * @words: as vmlet port-forward takes them
 *
 * It keeps none of the caller's descriptors but run_fd, so it holds no lock.
 *
 * Return: 0 once it listens, or -1 with @problem and nothing is left.
 */
int must_check port_forward_start(const struct sandbox *s, const char *name, const char *const *words,
                                  size_t nr, struct problem *problem);
