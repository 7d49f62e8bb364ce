#pragma once
/*
 * Connecting to the Unix socket of a monitor.
 */
#include "vmm/base/err.h"

/*
 * dial_connect() - connect without waiting; paths may be as long as any
 * Return: a descriptor (CLOEXEC, not blocking) or negative errno.
 */
int must_check dial_connect(const char *path);

/* dial_explain() - what is wrong, for people, who call it @name */
void dial_explain(const char *path, const char *name, int error, struct problem *ret);
