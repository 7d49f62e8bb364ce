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

/*
 * A tool that starts a sandbox's main command holds a second lock, of its own alone, for as long as it is at work on
 * it: until it has marked that the command runs, and if it watches it, until it has told the end, and removed what is
 * temporary. So a sandbox that runs, should have a command, and has neither mark nor lock, lost its tool in between:
 * nobody will ever end it. One that has ended and is still attended is not for others to tell of, or to remove.
 *
 * lock_begin() - unmarked and locked from now on. Return: a descriptor, or negative errno.
 * lock_mark() - the command runs.
 */
int must_check lock_begin(const char *folder);
void lock_mark(int fd);
/* lock_is_orphan() - neither marked nor locked; whether it runs, and has a command, is another question. */
bool lock_is_orphan(const char *folder);
bool lock_is_attended(const char *folder);
bool lock_is_waited(const char *folder); /* see below */

/*
 * Those who wait for the end of a temporary sandbox need what it leaves: each holds a share of a third lock.
 *
 * lock_wait() - Return: 0 and a descriptor, LOCK_HELD when it is being removed, or negative errno.
 * lock_wait_unattended() - then, by its descriptor: until the tool that watched the sandbox is done, or gone.
 * lock_shut() - by who is about to remove it, and holds one of the other locks by @fd: does nobody wait for its end?
 *               Then nobody can any more.
 */
int must_check lock_wait(const char *folder, int *ret_fd);
void lock_wait_unattended(int fd);
bool must_check lock_shut(int fd);
