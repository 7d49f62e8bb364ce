#pragma once
/*
 * The walls of vmlet-net, put up before the first byte of the guest is read. What it works with is open by then: it
 * opens no file, starts nothing, and talks to nobody but by sockets of IP.
 */
#include "vmm/base/compiler.h"

/*
 * jail_enter() - give up privileges, the file system and most system calls. A call that is not left ends the process.
 * @folders: in which names of files may be exchanged and sockets removed, each -1 for none
 * Return: 0, or negative when the kernel refuses. Main thread, the only one.
 */
int must_check jail_enter(const int folders[2]);
