#pragma once
/*
 * The guest's console on a terminal or a pipe: standard input goes to the serial port. A terminal is
 * put into raw mode, and restored on every way out that a process can see. Ctrl-A x ends the VM,
 * Ctrl-A a is a Ctrl-A. Loop thread.
 */
#include "vmm/base/cleanup.h"
#include "vmm/base/loop.h"
#include "vmm/dev/serial.h"

struct console;

/* @serial: borrowed. @on_quit: Ctrl-A x was typed. */
int must_check console_new(struct console **ret, struct loop *loop, struct serial *serial,
                           void (*on_quit)(void *ctx), void *ctx);
void console_free(struct console *console);

/* For serial_config.on_room; any thread. */
void console_has_room(struct console *console);
