/*
 * CONNECT: a client's connection becomes one to something that listens inside the guest.
 */
#pragma once

#include "guest/child.h"

#define RELAY_CONNECT_S 10u /* longer nobody waits for an answer to a connection */
#define RELAY_LINGER_S  10u /* what a client left behind may take that long to be taken by a slow listener */

/*
 * relay_serve() - connect, then pass bytes both ways until both streams have ended, or the client is gone.
 * Return: false, for the connection cannot be used again; ERROR was sent if nothing was connected.
 */
bool relay_serve(struct child *c, const uint8_t *payload, uint32_t len);
