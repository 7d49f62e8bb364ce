/*
 * The guest's network device: told its addresses, it asks nobody.
 */
#pragma once

#include "guest/settings.h"

/*
 * network_up() - the first device, with the addresses of "vmlet.net4=" and "vmlet.net6=", the gateway as route and
 * resolver
 *
 * Without that word, or without a device, nothing happens. What the kernel refuses stays undone: a command that
 * needs it says so better than the agent could.
 */
void network_up(const struct settings *settings);
