/*
 * What the files of a connection share.
 */
#pragma once

#include "guest/conn.h"

/* conn_reply_error() - add an ERROR to what is sent at the end of this round. */
void conn_reply_error(struct conn *c, uint32_t id, uint32_t fault, int error, const char *text);

/* conn_check_state() - Return: 0, or why nothing can be started now, before it is even looked at. */
uint32_t conn_check_state(const struct conn *c, struct text *ret_why);

/*
 * conn_worker_start() - run the request in a child, which also gets the input behind it if that is its own
 * (service->behind says what is left), and sends what waits in service->out.
 */
void conn_worker_start(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes);
