/*
 * FILE: what a client asks of the guest's files and trees. Runs in a worker child (child.h).
 */
#pragma once

#include "guest/child.h"

/* file_serve() - a child_fn for the payload of a FILE frame. */
bool file_serve(struct child *c, const uint8_t *payload, uint32_t len);

/* file_has_input() - do STDIN frames belong to this request? */
bool file_has_input(const uint8_t *payload, uint32_t len);
