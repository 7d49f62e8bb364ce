#pragma once
/*
 * The lock that says that a sandbox runs.
 *
 * It is a lock of an open file description on the sandbox's file `running`: who starts it takes it and the
 * monitor inherits it, so that it is held for as long as the monitor lives, however that ends. Removing
 * takes it too. Asking does not: a question never stands in the way of a start.
 */
#include <stdbool.h>

#include "vmm/base/compiler.h"

#define LOCK_HELD 1 /* somebody else has it */

/* lock_take() - of the sandbox in @folder. Return: 0 and a descriptor, LOCK_HELD, or negative errno. */
int must_check lock_take(const char *folder, int *ret_fd);
bool lock_is_held(const char *folder);
