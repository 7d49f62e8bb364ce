/*
 * Worker children of connections: what runs in one, and the socket's way to it and back.
 * Input:  frames (client, hostile), passed on.
 * Runs:   the agent's only thread.
 * Limits: one a connection; a child that does not end keeps its connection's place.
 */
#include "guest/conn_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>

void conn_reply_error(struct conn *c, uint32_t id, uint32_t fault, int error, const char *text)
{
        struct service *s = c->service;

        s->out_len += protocol_put_error(s->out + s->out_len, id, fault, (uint32_t)error, text);
}

void conn_reply_done(struct conn *c, uint32_t id)
{
        struct service *s = c->service;
        struct protocol_frame done = { .type = PROTOCOL_DONE, .id = id };

        s->out_len += protocol_put_header(s->out + s->out_len, &done);
}

uint32_t conn_check_state(const struct conn *c, struct text *ret_why)
{
        const struct service *s = c->service;

        if (c->reader.exec) {
                text_set(ret_why, "a command runs on this connection already");
                return PROTOCOL_FAULT_BUSY;
        }
        if (s->stopping) {
                text_set(ret_why, "the guest shuts down");
                return PROTOCOL_FAULT_STOPPING;
        }
        if (s->welcome.state != PROTOCOL_STATE_OK) {
                text_set(ret_why, s->welcome.message);
                return PROTOCOL_FAULT_NO_ROOT;
        }
        return 0;
}

/* The worker's socket is watched for its end only: each piece of its input would wake the agent up. */
static void watch_socket(struct conn *c, uint32_t events)
{
        struct epoll_event event = { .events = events | EPOLLET, .data.u64 = conn_tag(c->reader.slot, 0) };

        epoll_ctl(c->service->epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

void conn_worker_start(struct conn *c, const struct protocol_frame *frame, const uint8_t *bytes,
                       const struct conn_job *job)
{
        struct service *s = c->service;
        struct child_plan plan = { .run = job->run,
                                   .fd = c->fd,
                                   .frame = frame,
                                   .payload = bytes,
                                   .rest_len = job->has_input ? s->behind : 0,
                                   .unsent = s->out,
                                   .unsent_len = s->out_len };
        struct text why;
        uint32_t fault = conn_check_state(c, &why);
        pid_t pid = fault ? 0 : child_start(&plan);

        if (pid < 0) {
                fault = PROTOCOL_FAULT_RESOURCES;
                text_set(&why, "the guest cannot start a process: ", strerror(-pid));
        }
        if (fault) {
                conn_reply_error(c, frame->id, fault, pid < 0 ? -pid : 0, why.s);
                return;
        }
        c->worker = pid;
        c->worker_half_closes = job->half_closes;
        s->behind -= plan.rest_len;
        s->out_len = 0;
        watch_socket(c, EPOLLRDHUP);
}

void conn_worker_ended(struct conn *c, int status)
{
        c->worker = 0;
        if (status || c->hangup) {
                conn_close(c);
                return;
        }
        fcntl(c->fd, F_SETFL, O_NONBLOCK);
        watch_socket(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
        c->readable = true;
}
