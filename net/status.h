#pragma once
/* How vmlet-net ends; the numbers mean what they do of the monitor (vmm/status.h). */

enum net_status {
        NET_OK = 0,      /* the other end of the wire has closed, or a signal asked for it */
        NET_E_HOST = 1,  /* the host refused something: a port, a socket, memory */
        NET_E_USAGE = 2, /* an option or its value */
        NET_E_INPUT = 3, /* the policy's file, or a socket's path, cannot be used */
        NET_E_WIRE = 5   /* the other end broke the framing */
};
