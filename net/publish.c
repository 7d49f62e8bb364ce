/*
 * Published ports.
 * Input:  words of a person; connections of whoever reaches the port.
 * Runs:   main thread, then the loop's.
 * Limits: PUBLISH_MAX ports, ACCEPTS_PER_ROUND connections a round; the policy's limit on connections.
 *
 * syscalls: loop: accept4
 */
#include "net/publish.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/status.h"
#include "vmm/base/parse.h"

#define SPEC_MAX          80u
#define BACKLOG           128
#define ACCEPTS_PER_ROUND 16u
#define PAUSE_NS          1000000000ull

struct port {
        struct publish *owner;
        struct publish_spec spec;
        struct ev ev;
        struct loop_timer pause; /* without descriptors or memory: later */
};

struct publish {
        struct loop *loop;
        const struct lan *lan;
        struct splice *splice;
        unsigned nr;
        struct port ports[PUBLISH_MAX];
};

static bool read_port(const char *text, uint16_t *ret)
{
        uint64_t n;

        if (!parse_u64(text, &n) || !n || n > UINT16_MAX)
                return false;
        *ret = (uint16_t)n;
        return true;
}

static bool read_address(char *text, struct address *ret)
{
        size_t len = strlen(text);

        if (*text != '[')
                return address_from_text(text, ret) && ret->family == ADDRESS_IP4;
        if (text[len - 1] != ']')
                return false;
        text[len - 1] = 0;
        return address_from_text(text + 1, ret) && ret->family == ADDRESS_IP6;
}

bool publish_read(const char *text, struct publish_spec *ret)
{
        char words[SPEC_MAX], *guest, *port, *proto;

        *ret = (struct publish_spec){ 0 };
        if (strlen(text) >= sizeof(words))
                return false;
        (void)snprintf(words, sizeof(words), "%s", text);
        proto = strchr(words, '/');
        if (proto) {
                *proto++ = 0;
                ret->udp = !strcmp(proto, "udp");
                if (!ret->udp && strcmp(proto, "tcp"))
                        return false;
        }
        guest = strrchr(words, ':');
        if (!guest)
                return false;
        *guest++ = 0;
        port = strrchr(words, ':');
        if (port) {
                *port++ = 0;
                if (!*words || !read_address(words, &ret->at.address))
                        return false;
        } else {
                port = words;
                ret->at.address = address_ip4((const uint8_t[4]){ 127, 0, 0, 1 });
        }
        return read_port(port, &ret->at.port) && read_port(guest, &ret->guest_port);
}

static int open_port(const struct publish_spec *spec)
{
        struct sockaddr_storage a;
        unsigned len = host_address(&spec->at, &a);
        int type = spec->udp ? SOCK_DGRAM : SOCK_STREAM;
        cleanup(fd_closep) int fd = socket(a.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int one = 1;

        if (fd < 0)
                return -errno;
        if (!spec->udp)
                (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (spec->at.address.family == ADDRESS_IP6)
                (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
        if (bind(fd, (const struct sockaddr *)&a, len) < 0 || (!spec->udp && listen(fd, BACKLOG) < 0))
                return -errno;
        return steal_fd(&fd);
}

static int cannot(const struct publish_spec *spec, int error, struct problem *p)
{
        char address[ADDRESS_TEXT_MAX];
        const char *hint = error == -EADDRINUSE      ? ": another program has it; publish another port"
                           : error == -EACCES        ? ": ports below 1024 are for root; publish a higher one"
                           : error == -EADDRNOTAVAIL ? ": this host does not have that address"
                                                     : "";

        address_to_text(&spec->at.address, address);
        return problem_set(p, NET_E_HOST, "cannot publish %s port %u of %s: %s%s", spec->udp ? "UDP" : "TCP",
                           spec->at.port, address, strerror(-error), hint);
}

int publish_open(const struct publish_spec *specs, unsigned nr, struct publish **ret, struct problem *p)
{
        cleanup(publish_freep) struct publish *self = calloc(1, sizeof(*self));

        if (!self)
                return problem_set(p, NET_E_HOST, "out of memory");
        for (unsigned i = 0; i < nr; i++) {
                struct port *port = &self->ports[i];

                *port = (struct port){ .owner = self,
                                       .spec = specs[i],
                                       .ev = { .fd = open_port(&specs[i]) } };
                self->nr++;
                if (port->ev.fd < 0)
                        return cannot(&specs[i], port->ev.fd, p);
        }
        *ret = steal_ptr(&self);
        return 0;
}

static struct frame_end guest_of(const struct port *port)
{
        return (struct frame_end){ port->owner->lan->guest_ip4, port->spec.guest_port };
}

static int on_client(struct ev *ev, uint32_t events)
{
        struct port *port = container_of(ev, struct port, ev);
        const struct frame_end guest = guest_of(port);
        const int one = 1;

        (void)events;
        for (unsigned i = 0; i < ACCEPTS_PER_ROUND; i++) {
                int fd = accept4(ev->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd >= 0) {
                        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
                        splice_publish(port->owner->splice, fd, &guest);
                } else if (errno == EAGAIN) {
                        break;
                } else if (errno != EINTR && errno != ECONNABORTED) {
                        loop_remove(port->owner->loop, ev);
                        loop_timer_set(port->owner->loop, &port->pause, PAUSE_NS);
                        break;
                }
        }
        return 0;
}

static int on_pause(struct loop_timer *timer)
{
        struct port *port = container_of(timer, struct port, pause);

        if (loop_add(port->owner->loop, &port->ev, EPOLLIN) < 0)
                loop_timer_set(port->owner->loop, timer, PAUSE_NS);
        return 0;
}

int publish_start(struct publish *p, struct loop *loop, const struct lan *lan, struct splice *splice,
                  struct udp *udp)
{
        int r = 0;

        p->loop = loop;
        p->lan = lan;
        p->splice = splice;
        for (unsigned i = 0; i < p->nr && !r; i++) {
                struct port *port = &p->ports[i];
                const struct frame_end guest = guest_of(port);

                port->ev.call = on_client;
                port->pause.call = on_pause;
                if (port->spec.udp)
                        r = udp_publish(udp, steal_fd(&port->ev.fd), &guest);
                else
                        r = loop_add(loop, &port->ev, EPOLLIN);
        }
        return r;
}

void publish_free(struct publish *p)
{
        if (!p)
                return;
        for (unsigned i = 0; i < p->nr; i++) {
                struct port *port = &p->ports[i];

                if (p->loop) {
                        loop_remove(p->loop, &port->ev);
                        loop_timer_clear(p->loop, &port->pause);
                }
                fd_closep(&port->ev.fd);
        }
        free(p);
}
