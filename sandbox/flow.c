/*
 * Outlets and inlets.
 * Input:  bytes of a guest, to be passed on as they are; readiness of descriptors.
 * Runs:   the loop's thread.
 * Limits: CAUTIOUS bytes at a time where a descriptor cannot be kept from blocking.
 */
#include "sandbox/flow.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "vmm/base/err.h"

#define CAUTIOUS PIPE_BUF /* a pipe that is ready takes as many without blocking */

static int on_writable(struct ev *ev, uint32_t events);

void outlet_init(struct outlet *o, struct loop *loop, int fd, void (*on_done)(struct outlet *o, int error))
{
        *o = (struct outlet){ .loop = loop, .fd = fd, .own_fd = -1, .on_done = on_done, .ev.fd = -1 };
}

void outlet_fini(struct outlet *o)
{
        if (o->loop)
                loop_remove(o->loop, &o->ev);
        if (o->ready)
                fd_closep(&o->own_fd);
        *o = (struct outlet){ .fd = -1, .own_fd = -1 };
}

/* What kind of file it is decides how it is kept from blocking. */
static void prepare(struct outlet *o)
{
        char path[32];
        struct stat st = { 0 };

        o->ready = true;
        (void)!fstat(o->fd, &st);
        o->is_socket = S_ISSOCK(st.st_mode);
        o->is_file = S_ISREG(st.st_mode) || S_ISBLK(st.st_mode);
        if (o->is_socket || o->is_file)
                return;
        snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
        o->own_fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static ssize_t write_some(struct outlet *o)
{
        struct pollfd p = { .fd = o->fd, .events = POLLOUT };

        if (o->is_socket)
                return send(o->fd, o->bytes, o->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (o->is_file)
                return write(o->fd, o->bytes, o->len);
        if (o->own_fd >= 0)
                return write(o->own_fd, o->bytes, o->len);
        if (poll(&p, 1, 0) < 1) {
                errno = EAGAIN;
                return -1;
        }
        return write(o->fd, o->bytes, o->len < CAUTIOUS ? o->len : CAUTIOUS);
}

/* Return: as outlet_write(). */
static int drain(struct outlet *o)
{
        while (o->len) {
                ssize_t n = write_some(o);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n < 0)
                        return err_new(-errno);
                o->bytes += n;
                o->len -= (size_t)n;
        }
        return 1;
}

int outlet_write(struct outlet *o, const uint8_t *bytes, size_t len)
{
        int r;

        if (!o->ready)
                prepare(o);
        o->bytes = bytes;
        o->len = len;
        r = drain(o);
        if (r)
                return r;
        o->ev = (struct ev){ .call = on_writable, .fd = o->own_fd >= 0 ? o->own_fd : o->fd };
        r = loop_add(o->loop, &o->ev, EPOLLOUT);
        return r < 0 ? err_trace(r) : 0;
}

static int on_writable(struct ev *ev, uint32_t events)
{
        struct outlet *o = container_of(ev, struct outlet, ev);
        int r = drain(o);

        (void)events;
        if (!r)
                return 0;
        loop_remove(o->loop, &o->ev);
        o->on_done(o, r < 0 ? r : 0);
        return 0;
}

static int on_readable(struct ev *ev, uint32_t events)
{
        struct inlet *i = container_of(ev, struct inlet, ev);

        (void)events;
        return i->on_ready(i);
}

static int on_at_once(struct loop_timer *timer)
{
        struct inlet *i = container_of(timer, struct inlet, at_once);

        i->wanted = false;
        return i->on_ready(i);
}

void inlet_init(struct inlet *i, struct loop *loop, int fd, int (*on_ready)(struct inlet *i))
{
        *i = (struct inlet){ .loop = loop,
                             .on_ready = on_ready,
                             .ev = { .call = on_readable, .fd = fd },
                             .at_once.call = on_at_once };
}

void inlet_fini(struct inlet *i)
{
        if (!i->loop)
                return;
        loop_remove(i->loop, &i->ev);
        loop_timer_clear(i->loop, &i->at_once);
        i->loop = NULL;
}

int inlet_want(struct inlet *i, bool wanted)
{
        int r = 0;

        if (!i->loop || i->wanted == wanted)
                return 0;
        i->wanted = wanted;
        if (i->is_file && !wanted) {
                loop_timer_clear(i->loop, &i->at_once);
                return 0;
        }
        if (!wanted) {
                loop_remove(i->loop, &i->ev);
                return 0;
        }
        if (!i->is_file)
                r = loop_add(i->loop, &i->ev, EPOLLIN);
        if (r == -EPERM) { /* a file */
                i->is_file = true;
                r = 0;
        }
        if (i->is_file)
                loop_timer_set(i->loop, &i->at_once, 0);
        return r < 0 ? err_trace(r) : 0;
}
