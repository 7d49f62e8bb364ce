/*
 * What the files of a connection share.
 */
#pragma once

#include "guest/child.h"
#include "guest/conn.h"

/* conn_reply_error() - add an ERROR to what is sent at the end of this round. */
void conn_reply_error(struct conn *c, uint32_t id, uint32_t fault, int error, const char *text);

/* conn_reply_done() - add a DONE without a payload. */
void conn_reply_done(struct conn *c, uint32_t id);

/* conn_refuse() - the same, of the connection itself, which ends with it. */
void conn_refuse(struct conn *c, uint32_t fault, const char *text);

/* conn_check_state() - Return: 0, or why nothing can be started now, before it is even looked at. */
uint32_t conn_check_state(const struct conn *c, struct text *ret_why);

/* How a request runs in a child. */
struct conn_job {
        child_fn *run;
        bool has_input;   /* bytes behind the request are its own */
        bool half_closes; /* it looks after the ends of the client's streams itself */
};

/*
 * conn_worker_start() - run the request in a child, which also gets the input behind it if that is its own
 * (service->behind says what is left), and sends what waits in service->out.
 */
void conn_worker_start(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes,
                       const struct conn_job *job);

/*
 * conn_request() - answer a request that is not about a command.
 * Return: false if it is none of those; *@ret_error is a PROTOCOL_E_ if it is malformed.
 */
bool conn_request(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes, int *ret_error);

/*
 * conn_exec_frame() - the requests on execs, and their STDIN.
 * Return: false if it is none of those; @ret_malformed is set to why it is malformed.
 */
bool conn_exec_frame(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes,
                     int *ret_malformed);

/* conn_exec_list() - the next frame of a list. Return: true if another follows. */
bool conn_exec_list(struct conn *c);

/* conn_log_connected() - Return: false if the monitor has not answered yet, or does not listen: it is closed. */
bool conn_log_connected(struct conn *c);
