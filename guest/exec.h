/*
 * Execs: commands that run or ran, apart from the connections that read them.
 *
 * States: running -> ended (its process is reaped; its output is read to the end, its control group emptied)
 * -> finished (its EXIT is known) -> free, as soon as nobody has to be told any more. One that was started
 * with DETACH is kept until somebody has seen its EXIT, the last EXEC_KEPT_MAX of them.
 *
 * An exec with one reader only, the EXEC that started it, has no ring: exec_serve() reads its pipes into the
 * frames that go out. With DETACH or LOG exec_run() reads them into a ring, and each reader has its place in it.
 * Slots: service->due[slot] is set when exec_run(slot) has something to do.
 */
#pragma once

#include <sys/resource.h>

#include "guest/conn.h"
#include "guest/protocol_request.h"

#define EXEC_KEPT_MAX     16u
#define EXEC_READERS_MAX  16u   /* by ATTACH; the one that started it and its log come on top */
#define EXEC_LOG_PATIENCE 5000  /* ms that a log may hold up a command */
#define EXEC_MAIN_WAIT    5000  /* ms that readers of the main command have for its last words */
#define EXEC_MAIN_GRACE   1000u /* ms for others when the main command has ended */

/*
 * exec_start() - start a command that @r reads.
 * Return: 0, or a PROTOCOL_FAULT_ with its words and error number.
 */
uint32_t exec_start(struct exec_reader *r, uint32_t id, const struct protocol_exec *req, struct text *ret_why,
                    int *ret_errno);

/* exec_attach() - let @r read one that was started with DETACH. Return: 0 or a PROTOCOL_FAULT_. */
uint32_t exec_attach(struct exec_reader *r, uint32_t id, const struct protocol_attach *a,
                     struct text *ret_why);

/* exec_follow() - let @log, a connection to the monitor, read what @r reads, from its beginning. */
bool exec_follow(struct exec_reader *log, const struct exec_reader *r);

/* exec_leave() - @r reads no more; if it started a command without DETACH, that is killed. */
void exec_leave(struct exec_reader *r);

/* exec_tell() - put STARTED into service->out. */
void exec_tell(const struct exec_reader *r);

/*
 * exec_serve() - put frames for @r into service->out: at most two chunks and a few small ones. After its EXIT
 * @r->exec is NULL. Return: true if there is more now.
 */
bool exec_serve(struct exec_reader *r);

/* exec_stdin() - bytes for the command. Return: 0, or the PROTOCOL_FAULT_ that ends the connection. */
uint32_t exec_stdin(struct exec_reader *r, const struct protocol_frame *frame, const uint8_t *bytes,
                    const char **ret_why);

/* Requests that name an exec by its number, or 0 for that of @r. Return: 0 or a PROTOCOL_FAULT_. */
uint32_t exec_signal(struct exec_reader *r, const struct protocol_signal *signal, int *ret_errno);
uint32_t exec_resize(struct exec_reader *r, const struct protocol_resize *size, int *ret_errno);

/*
 * exec_list() - put one PROCESS frame with the execs from @from on into service->out.
 * Return: where to go on, 0 = that was all.
 */
uint32_t exec_list(struct service *s, uint32_t id, uint32_t from);

/* exec_of_cgroup() - the number of the exec whose control group has that number, 0 = none. */
uint32_t exec_of_cgroup(uint32_t cgroup);

uint32_t exec_running(void);

/* For the server: what epoll says; a child that ended (Return: was it one of ours?); work; time. */
void exec_event(struct service *s, unsigned slot, unsigned source, uint32_t events);
bool exec_reap(struct service *s, pid_t pid, int status, const struct rusage *usage);
bool exec_run(struct service *s, unsigned slot);
void exec_finish_all(struct service *s); /* nobody is left alive: what has ended is over */
int64_t exec_next_ms(void);              /* when exec_tick() has something to do, 0 = never */
void exec_tick(struct service *s, int64_t now_ms);
