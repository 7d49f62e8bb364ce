#pragma once
/*
 * DHCP for guests that ask; our own agent does not. Nothing is kept: there is one guest and one address.
 */
#include "net/frame_parse.h"
#include "net/stream.h"

/* dhcp_input() - a datagram of the guest to port 67 */
void dhcp_input(struct stream *stream, const struct lan *lan, const struct frame *f);
