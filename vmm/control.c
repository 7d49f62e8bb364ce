/*
 * Signals, and the clean end.
 * Input:  signals of the user.
 * Runs:   loop thread.
 * Limits: one request to the agent; what it answers is not read.
 */
#include "vmm/control.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "guest/protocol.h"
#include "virtio/vsock/vsock.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/num.h"

#define NS_PER_MS 1000000u

struct control {
        struct control_config cfg;
        struct ev signals;
        struct loop_timer grace;
        bool ready;
        bool asked;
        int agent; /* our end of the connection to it; kept open, for its loss would look like a client's */
};

static int on_grace(struct loop_timer *timer)
{
        struct control *c = container_of(timer, struct control, grace);

        log_warn("the guest did not power off in time");
        c->cfg.on_end(c->cfg.ctx);
        return 0;
}

/* Half of it is for the processes of the guest, the other half for its kernel. */
static uint32_t agents_grace_ms(const struct control *c)
{
        return (uint32_t)num_min(c->cfg.grace_ns / NS_PER_MS / 2, PROTOCOL_GRACE_MAX_MS);
}

/* Return: 0 when the agent was asked. */
static int ask_agent(struct control *c)
{
        uint8_t frames[2 * PROTOCOL_SMALL_MAX];
        size_t n = protocol_put_hello(frames, 0);
        int pair[2], r;

        n += protocol_put_shutdown(frames + n, 1, PROTOCOL_POWER_OFF, agents_grace_ms(c));
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return err_new(-errno);
        c->agent = pair[0];
        r = vsock_connect_fd(c->cfg.vsock, PROTOCOL_PORT, pair[1]);
        if (r)
                return r < 0 ? err_trace(r) : err_new(-ECONNREFUSED);
        /* A socket that is empty takes two small frames at once. */
        return send(c->agent, frames, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n ? 0 : err_new(-EIO);
}

/* Return: false when there is nobody to ask. */
static bool ask(struct control *c)
{
        if (c->ready && c->cfg.vsock)
                return ask_agent(c) == 0;
        if (c->cfg.button)
                irq_raise(c->cfg.button);
        return c->cfg.button;
}

void control_ask_end(struct control *c)
{
        if (c->asked || !ask(c)) {
                c->cfg.on_end(c->cfg.ctx);
                return;
        }
        c->asked = true;
        loop_timer_set(c->cfg.loop, &c->grace, c->cfg.grace_ns);
}

static int on_signal(struct ev *ev, uint32_t events)
{
        struct control *c = container_of(ev, struct control, signals);
        struct signalfd_siginfo info;

        (void)events;
        if (read(ev->fd, &info, sizeof(info)) == sizeof(info))
                control_ask_end(c);
        return 0;
}

void control_set_ready(struct control *c)
{
        c->ready = true;
}

/* nohup(1) has SIGHUP ignored, which a signalfd would undo. */
static void add_hangup(sigset_t *set)
{
        struct sigaction action;

        if (sigaction(SIGHUP, NULL, &action) < 0 || action.sa_handler != SIG_IGN)
                (void)sigaddset(set, SIGHUP);
}

int control_new(struct control **ret, const struct control_config *cfg)
{
        cleanup(control_freep) struct control *c = calloc(1, sizeof(*c));
        sigset_t set;
        int r;

        if (!c)
                return err_new(-ENOMEM);
        c->cfg = *cfg;
        c->agent = -1;
        c->grace.call = on_grace;
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        add_hangup(&set);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return err_new(-errno);
        c->signals = (struct ev){ .call = on_signal, .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK) };
        if (c->signals.fd < 0)
                return err_new(-errno);
        r = loop_add(cfg->loop, &c->signals, EPOLLIN);
        if (r < 0)
                return err_trace(r);
        *ret = steal_ptr(&c);
        return 0;
}

void control_free(struct control *c)
{
        if (!c)
                return;
        loop_remove(c->cfg.loop, &c->signals);
        loop_timer_clear(c->cfg.loop, &c->grace);
        fd_closep(&c->signals.fd);
        fd_closep(&c->agent);
        free(c);
}
