#pragma once
/*
 * The control socket of a sandbox's monitor: a line there, an answer back (docs/control.md).
 *
 * The monitor may be older or newer than we are, and may be hostile once its guest broke out of it: what it
 * says is bounded in size and time.
 */
#include <stddef.h>
#include <sys/types.h>

#include "sandbox/sandbox.h"

#define MONITOR_ANSWER_MAX (256u << 10) /* all counters have some KiB */
#define MONITOR_LINE_MAX   512u         /* of an answer's first line */

enum monitor_reply {
        MONITOR_OK,
        MONITOR_MORE, /* a good beginning */
        MONITOR_REFUSED,
        MONITOR_BAD, /* no answer of a control socket */
};

/*
 * monitor_parse() - an answer, from its first byte on. Pure (monitor_parse.c).
 * @ret, @ret_len: of MONITOR_OK its bytes, of MONITOR_REFUSED the words; views
 */
enum monitor_reply monitor_parse(const char *bytes, size_t n, const char **ret, size_t *ret_len);

/* monitor_connect() - Return: a socket, or negative errno: -ENOENT and -ECONNREFUSED if nobody is there. */
int must_check monitor_connect(const struct sandbox *s);

/* monitor_pid() - of the process that listens behind it. Return: 0 if the kernel does not tell. */
pid_t monitor_pid(int fd);

/*
 * monitor_ask() - one request on a new connection
 * @line: without its newline
 * @ret: NULL, or the answer, to be freed
 * Return: 0, or -1 with @p; -ENOTSUP with @p when the monitor does not know the word.
 */
int must_check monitor_ask(const struct sandbox *s, const char *line, char **ret, struct problem *p);

/*
 * monitor_status() - what `status` tells; a monitor that works does so at once, whatever its guest does
 * Return: 0 and *ret, to be freed; or -1 with @p, -EAGAIN when it is there and did not answer in time.
 */
int must_check monitor_status(const struct sandbox *s, char **ret, struct problem *p);

/* monitor_line() - the next line of a connection that subscribed. Return: its length, 0 = end, or negative errno. */
ssize_t must_check monitor_line(int fd, char *line, size_t size);
