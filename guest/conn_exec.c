/*
 * Connections' requests on execs, and the agent's own connections to the monitor's log port.
 * Input:  frames (client, hostile).
 * Runs:   the agent's only thread.
 * Limits: those of exec.h; a log takes the place of a connection, and is left aside if there is none.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/conn_priv.h"
#include "guest/exec.h"
#include "guest/vsock.h"

static void reply_fault(struct conn *c, uint32_t id, uint32_t fault, int error)
{
        const char *text =
                fault == PROTOCOL_FAULT_NO_PROCESS ? "no such exec, or it has ended" : strerror(error);

        conn_reply_error(c, id, fault, fault == PROTOCOL_FAULT_NO_PROCESS ? 0 : error, text);
}

/* By its port the monitor tells the agent from the guest's other processes. Return: false if all are taken. */
static bool bind_low(int fd, sa_family_t family)
{
        struct vsock_address own = { .family = VSOCK_FAMILY,
                                     .port = PROTOCOL_LOG_FROM_MAX,
                                     .cid = VSOCK_CID_ANY };

        if (family != VSOCK_FAMILY)
                return true;
        while (own.port && bind(fd, (const struct sockaddr *)&own, sizeof(own)) && errno == EADDRINUSE)
                own.port--;
        return own.port;
}

/* To the monitor. Whether it listens there turns out later; if it does not, nobody misses a log. */
static void open_log(struct conn *c)
{
        struct service *s = c->service;
        struct conn *log = NULL;

        for (unsigned i = 0; i < SERVICE_CONNS && !log; i++) {
                if (s->conns[i].fd < 0)
                        log = &s->conns[i];
        }

        int fd =
                log && s->log ? socket(s->log->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0) : -1;

        if (fd < 0)
                return;
        if (!bind_low(fd, s->log->sa_family) || (connect(fd, s->log, s->log_len) && errno != EINPROGRESS)) {
                close(fd);
                return;
        }
        if (!conn_open_take(log, s, fd))
                return;
        log->is_log = log->connecting = true;
        if (!exec_follow(&log->reader, &c->reader))
                conn_close(log);
}

bool conn_log_connected(struct conn *c)
{
        int error = 0;
        socklen_t len = sizeof(error);
        struct sockaddr_storage peer;
        socklen_t peer_len = sizeof(peer);

        if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) || error || c->hangup) {
                conn_close(c);
                return false;
        }
        if (getpeername(c->fd, (struct sockaddr *)&peer, &peer_len))
                return false; /* not yet */
        c->connecting = false;
        return true;
}

static void on_exec(struct conn *c, uint32_t id, const struct protocol_exec *req)
{
        struct text why;
        int error = 0;
        uint32_t fault = conn_check_state(c, &why);

        if (!fault && req->container) {
                text_set(&why, "the guest has no containers");
                fault = PROTOCOL_FAULT_NO_CONTAINER;
        }
        if (!fault && c->service->frozen) { /* it would stop before its program, and the agent with it */
                text_set(&why, "the guest is frozen: let it go on first");
                fault = PROTOCOL_FAULT_BUSY;
        }
        if (!fault)
                fault = exec_start(&c->reader, id, req, &why, &error);
        if (fault) {
                conn_reply_error(c, id, fault, error, why.s);
                return;
        }
        if (req->flags & (PROTOCOL_EXEC_TELL | PROTOCOL_EXEC_DETACH))
                exec_tell(&c->reader);
        if (req->flags & PROTOCOL_EXEC_LOG)
                open_log(c);
}

static void on_attach(struct conn *c, uint32_t id, const struct protocol_attach *attach)
{
        struct text why;
        uint32_t fault;

        if (c->reader.exec) {
                text_set(&why, "a command runs on this connection already");
                fault = PROTOCOL_FAULT_BUSY;
        } else {
                fault = exec_attach(&c->reader, id, attach, &why);
        }
        if (fault)
                conn_reply_error(c, id, fault, 0, why.s);
        else
                exec_tell(&c->reader);
}

static void on_processes(struct conn *c, uint32_t id)
{
        if (c->list_id) {
                conn_reply_error(c, id, PROTOCOL_FAULT_BUSY, 0, "a list is under way on this connection");
        } else {
                c->list_id = id;
                c->list_next = 0;
        }
}

bool conn_exec_list(struct conn *c)
{
        uint32_t id = c->list_id;

        c->list_next = exec_list(c->service, id, c->list_next);
        if (c->list_next)
                return true;
        c->list_id = 0;
        conn_reply_done(c, id);
        return false;
}

static int on_signal(struct conn *c, uint32_t id, const uint8_t *bytes, uint32_t len)
{
        struct protocol_signal signal;
        int error = 0, r = protocol_parse_signal(bytes, len, &signal);

        if (r)
                return r;

        uint32_t fault = exec_signal(&c->reader, &signal, &error);

        if (fault)
                reply_fault(c, id, fault, error);
        else
                conn_reply_done(c, id);
        return PROTOCOL_OK;
}

static int on_resize(struct conn *c, uint32_t id, const uint8_t *bytes, uint32_t len)
{
        struct protocol_resize size;
        int error = 0, r = protocol_parse_resize(bytes, len, &size);

        if (r)
                return r;

        uint32_t fault = exec_resize(&c->reader, &size, &error);

        if (fault)
                reply_fault(c, id, fault, error);
        else
                conn_reply_done(c, id);
        return PROTOCOL_OK;
}

/* Those that need the guest to have a root, and that conn_request() refuses if it has none. */
static bool on_other(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes,
                     int *ret_malformed)
{
        struct protocol_attach attach;
        uint32_t what;

        if (c->service->welcome.state != PROTOCOL_STATE_OK)
                return false;
        if (frame->type == PROTOCOL_SIGNAL) {
                *ret_malformed = on_signal(c, frame->id, bytes, frame->len);
        } else if (frame->type == PROTOCOL_RESIZE) {
                *ret_malformed = on_resize(c, frame->id, bytes, frame->len);
        } else if (frame->type == PROTOCOL_ATTACH) {
                if (!(*ret_malformed = protocol_parse_attach(bytes, frame->len, &attach)))
                        on_attach(c, frame->id, &attach);
        } else if (frame->type == PROTOCOL_PROCESSES) {
                *ret_malformed = protocol_parse_u32(bytes, frame->len, PROTOCOL_LIST_NR - 1, &what);
                if (!*ret_malformed && what == PROTOCOL_LIST_ALL)
                        return false; /* a child walks through /proc */
                if (!*ret_malformed)
                        on_processes(c, frame->id);
        } else {
                return false;
        }
        return true;
}

bool conn_exec_frame(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes,
                     int *ret_malformed)
{
        struct protocol_exec exec;
        const char *why;
        uint32_t fault;

        if (frame->type == PROTOCOL_EXEC) {
                if (!(*ret_malformed = protocol_parse_exec(bytes, frame->len, &exec)))
                        on_exec(c, frame->id, &exec);
        } else if (frame->type == PROTOCOL_STDIN) {
                fault = exec_stdin(&c->reader, frame, bytes, &why);
                if (fault)
                        conn_refuse(c, fault, why);
        } else {
                return on_other(c, frame, bytes, ret_malformed);
        }
        return true;
}
