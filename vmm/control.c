/*
 * The door to a running machine: signals, pause, the clean end.
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
#include "virtio/blk/blk.h"
#include "virtio/net/net.h"
#include "virtio/vsock/vsock.h"
#include "vmm/base/err.h"
#include "vmm/base/log.h"
#include "vmm/base/num.h"
#include "vmm/config.h"
#include "vmm/status.h"

#define NS_PER_MS 1000000u
/* After the guest's SIGKILL: its disks are written back. sandbox/life.c counts on it. */
#define LAST_NS 5000000000ull

const char *const control_state_names[CONTROL_NR_STATES] = { "starting", "running", "paused", "ending" };
const char *const control_event_names[CONTROL_NR_EVENTS] = { "ready", "paused", "resumed", "stopping" };

struct control {
        struct control_config cfg;
        struct ev signals;
        struct loop_timer grace;
        struct loop_timer lifetime;
        enum control_state state;
        enum control_cause cause;
        uint64_t started_ns;
        struct control_listener *listeners;
        bool ready;
        bool has_stats; /* the counters of KVM are open, where there are any */
        int agent; /* our end of the connection to it; kept open, for its loss would look like a client's */
};

static void tell(struct control *c, enum control_event event)
{
        for (struct control_listener *l = c->listeners; l; l = l->next)
                l->call(l, event);
}

static int on_grace(struct loop_timer *timer)
{
        struct control *c = container_of(timer, struct control, grace);

        log_warn("the guest did not power off in time");
        c->cfg.on_end(c->cfg.ctx);
        return 0;
}

/* The grace is for the guest's processes; our own deadline comes after it. */
static void set_deadline(struct control *c, uint64_t grace_ns)
{
        uint64_t after_ns = UINT64_MAX;

        (void)num_add(grace_ns, LAST_NS, &after_ns);
        loop_timer_set(c->cfg.loop, &c->grace, after_ns);
}

/* Return: 0 when the agent was asked. */
static int ask_agent(struct control *c, uint64_t grace_ns)
{
        uint8_t frames[2 * PROTOCOL_SMALL_MAX];
        size_t n = protocol_put_hello(frames, 0);
        int pair[2], r;

        if (c->agent >= 0)
                return 0; /* it was, by control_press() */
        n += protocol_put_shutdown(frames + n, 1, PROTOCOL_POWER_OFF,
                                   (uint32_t)num_min(grace_ns / NS_PER_MS, PROTOCOL_GRACE_MAX_MS));
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
                return err_new(-errno);
        c->agent = pair[0];
        r = vsock_connect_fd(c->cfg.vsock, PROTOCOL_PORT, pair[1]);
        /* A socket that is empty takes two small frames at once. */
        if (!r && send(c->agent, frames, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n)
                return 0;
        fd_closep(&c->agent);
        return r < 0 ? err_trace(r) : err_new(-ECONNREFUSED);
}

/* Return: false when there is nobody to ask. */
static bool ask(struct control *c, uint64_t grace_ns)
{
        if (!grace_ns)
                return false;
        if (c->ready && c->cfg.vsock)
                return ask_agent(c, grace_ns) == 0;
        if (c->cfg.button)
                irq_raise(c->cfg.button);
        return c->cfg.button;
}

static void pause_vcpus(struct control *c)
{
        for (unsigned i = 0; i < c->cfg.nr_vcpus; i++)
                vcpu_pause(c->cfg.vcpus[i]);
        for (unsigned i = 0; i < c->cfg.nr_vcpus; i++)
                vcpu_wait_paused(c->cfg.vcpus[i]);
}

static void resume_vcpus(struct control *c)
{
        for (unsigned i = 0; i < c->cfg.nr_vcpus; i++)
                vcpu_resume(c->cfg.vcpus[i]);
}

int control_pause(struct control *c)
{
        if (c->state == CONTROL_PAUSED)
                return 0;
        if (c->state != CONTROL_RUNNING)
                return err_new(-EBUSY);
        pause_vcpus(c);
        if (c->cfg.devices)
                devices_pause(c->cfg.devices);
        c->state = CONTROL_PAUSED;
        if (c->cfg.on_paused)
                c->cfg.on_paused(c->cfg.ctx, true);
        tell(c, CONTROL_IS_PAUSED);
        return 0;
}

int control_resume(struct control *c)
{
        if (c->state == CONTROL_STARTING)
                return err_new(-EBUSY);
        if (c->state != CONTROL_PAUSED)
                return 0;
        c->state = CONTROL_RUNNING;
        if (c->cfg.devices)
                devices_resume(c->cfg.devices);
        resume_vcpus(c);
        if (c->cfg.on_paused)
                c->cfg.on_paused(c->cfg.ctx, false);
        tell(c, CONTROL_IS_RESUMED);
        return 0;
}

static void end(struct control *c, uint64_t grace_ns, enum control_cause cause)
{
        bool first = c->state != CONTROL_ENDING;

        (void)!control_resume(
                c); /* a paused guest cannot power off; one that has not started has nothing to */
        if (c->cause == CONTROL_BY_NOBODY)
                c->cause = cause;
        c->state = CONTROL_ENDING;
        if (first)
                tell(c, CONTROL_IS_STOPPING);
        if (first && ask(c, grace_ns))
                set_deadline(c, grace_ns);
        else
                c->cfg.on_end(c->cfg.ctx);
}

int control_press(struct control *c)
{
        if (c->state != CONTROL_RUNNING && c->state != CONTROL_PAUSED)
                return err_new(-EBUSY);
        return ask(c, c->cfg.grace_ns ? c->cfg.grace_ns : 1) ? 0 : err_new(-EOPNOTSUPP);
}

void control_ask_end(struct control *c)
{
        end(c, c->cfg.grace_ns, CONTROL_BY_REQUEST);
}

void control_stop(struct control *c, uint64_t grace_ns)
{
        uint64_t now = loop_now_ns(), left = c->grace.at_ns > now ? c->grace.at_ns - now : 0;

        if (c->state != CONTROL_ENDING || !grace_ns)
                end(c, grace_ns, CONTROL_BY_REQUEST);
        else if (left > LAST_NS && left - LAST_NS > grace_ns)
                set_deadline(c, grace_ns);
}

static int on_lifetime(struct loop_timer *timer)
{
        struct control *c = container_of(timer, struct control, lifetime);

        /* Who is on the way out already needs no push. */
        if (c->state != CONTROL_ENDING)
                end(c, c->cfg.grace_ns, CONTROL_BY_LIFETIME);
        return 0;
}

static int on_signal(struct ev *ev, uint32_t events)
{
        struct control *c = container_of(ev, struct control, signals);
        struct signalfd_siginfo info;

        (void)events;
        if (read(ev->fd, &info, sizeof(info)) == sizeof(info))
                end(c, c->cfg.grace_ns, CONTROL_BY_SIGNAL);
        return 0;
}

void control_set_started(struct control *c)
{
        c->state = CONTROL_RUNNING;
        c->started_ns = loop_now_ns();
        if (c->cfg.lifetime_ns)
                loop_timer_set(c->cfg.loop, &c->lifetime, c->cfg.lifetime_ns);
}

void control_set_ready(struct control *c)
{
        c->ready = true;
        tell(c, CONTROL_IS_READY);
}

enum control_state control_state(const struct control *c)
{
        return c->state;
}

bool control_is_ready(const struct control *c)
{
        return c->ready;
}

uint64_t control_uptime_ns(const struct control *c)
{
        return c->started_ns ? loop_now_ns() - c->started_ns : 0;
}

enum control_cause control_cause(const struct control *c)
{
        return c->cause;
}

static struct virtio_dev *balloon_of(struct control *c)
{
        return c->cfg.devices ? devices_balloon(c->cfg.devices) : NULL;
}

int control_balloon_set(struct control *c, uint64_t target_bytes)
{
        struct virtio_dev *dev = balloon_of(c);

        return dev ? balloon_set_target(dev, target_bytes) : err_new(-ENODEV);
}

int control_balloon_interval(struct control *c, uint64_t interval_ns)
{
        struct virtio_dev *dev = balloon_of(c);

        if (!dev)
                return err_new(-ENODEV);
        return interval_ns < CONFIG_STATS_MIN_NS ? err_new(-EINVAL) : balloon_set_interval(dev, interval_ns);
}

int control_balloon_state(struct control *c, struct balloon_state *ret)
{
        struct virtio_dev *dev = balloon_of(c);

        if (!dev)
                return err_new(-ENODEV);
        balloon_get_state(dev, ret);
        return 0;
}

static struct virtio_dev *disk_of(struct control *c, unsigned disk)
{
        return c->cfg.devices ? devices_disk(c->cfg.devices, disk) : NULL;
}

int control_disk_rate(struct control *c, unsigned disk, const struct rate_config *rate)
{
        struct virtio_dev *dev = disk_of(c, disk);

        if (!dev)
                return err_new(-ENODEV);
        blk_set_rate(dev, rate);
        return 0;
}

int control_net_rates(struct control *c, unsigned net, const struct rate_config *rx,
                      const struct rate_config *tx)
{
        struct virtio_dev *dev = c->cfg.devices ? devices_net(c->cfg.devices, net) : NULL;

        if (!dev)
                return err_new(-ENODEV);
        net_set_rates(dev, rx, tx);
        return 0;
}

int control_disk_replace(struct control *c, unsigned disk, const char *path, struct problem *p)
{
        if (!disk_of(c, disk))
                return problem_set(p, VMM_E_USAGE, "there is no disk %u", disk);
        return devices_replace_disk(c->cfg.devices, disk, path, p);
}

/* The first time KVM's counters have to be opened, for which vCPUs that run stand aside for a moment. */
void control_write_metrics(struct control *c, FILE *f, enum metrics_format format)
{
        const struct metrics_source source = {
                .loop = c->cfg.loop,
                .devices = c->cfg.devices,
                .vcpus = c->cfg.vcpus,
                .nr_vcpus = c->cfg.nr_vcpus,
        };
        bool aside = !c->has_stats && c->state != CONTROL_PAUSED;

        if (aside)
                pause_vcpus(c);
        for (unsigned i = 0; !c->has_stats && i < c->cfg.nr_vcpus; i++)
                (void)!vcpu_open_stats(c->cfg.vcpus[i]);
        c->has_stats = true;
        if (aside)
                resume_vcpus(c);
        metrics_write(&source, f, format);
}

void control_listen(struct control *c, struct control_listener *l)
{
        l->next = c->listeners;
        c->listeners = l;
}

void control_unlisten(struct control *c, struct control_listener *l)
{
        struct control_listener **at = &c->listeners;

        while (*at && *at != l)
                at = &(*at)->next;
        if (*at)
                *at = l->next;
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
        c->lifetime.call = on_lifetime;
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
        loop_timer_clear(c->cfg.loop, &c->lifetime);
        fd_closep(&c->signals.fd);
        fd_closep(&c->agent);
        free(c);
}
