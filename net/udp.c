/*
 * Datagrams, each pair of ends with a socket of the host.
 * Input:  datagrams of the guest (hostile) and of the world.
 * Runs:   loop thread.
 * Limits: UDP_FLOWS_MAX flows, each for IDLE_NS after its last datagram; beyond, the one longest silent goes.
 *         READS_MAX datagrams a round; DATAGRAM_MAX bytes each. UDP_PORTS_MAX published ports.
 *
 * syscalls: loop: sendto recvfrom
 */
#include "net/udp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/addresses.h"
#include "net/bytes.h"
#include "net/icmp.h"
#include "vmm/base/err.h"

#define IDLE_NS       120000000000ull /* RFC 4787, REQ-5 */
#define TICK_NS       10000000000ull
#define READS_MAX     16u
#define DATAGRAM_MAX  (ADDRESSES_MTU_GATEWAY - 20u - 8u)
#define UDP_PORTS_MAX 64u
#define BUCKETS       256u

/* A port of the host that leads into the guest. */
struct port {
        struct udp *udp;
        struct ev ev;
        struct frame_end guest;
};

struct flow {
        struct flow *next; /* in its bucket */
        struct udp *udp;
        struct ev ev;                   /* fd -1: of a published port, whose socket it uses */
        struct port *port;              /* NULL: the guest began */
        struct frame_end guest, target; /* as the guest sees them */
        struct frame_end client;        /* of a published port: who it really is */
        uint64_t used_ns;
};

struct udp {
        struct udp_config config;
        struct flow *buckets[BUCKETS];
        struct port *ports[UDP_PORTS_MAX];
        unsigned nr, nr_ports;
        uint16_t next_port; /* what the guest sees of the next client of a published port */
        struct loop_timer tick;
        uint8_t datagram[DATAGRAM_MAX + 1];
};

static struct flow **bucket_of(struct udp *u, const struct frame_end *guest, const struct frame_end *target)
{
        unsigned key = guest->port * 31u + target->port;

        for (unsigned i = 0; i < 16; i++)
                key = key * 31u + target->address.bytes[i];
        return &u->buckets[(key ^ key >> 8) % BUCKETS];
}

static bool ends_equal(const struct frame_end *a, const struct frame_end *b)
{
        return a->port == b->port && address_equal(&a->address, &b->address);
}

static void drop(struct flow *f)
{
        struct udp *u = f->udp;
        struct flow **at = bucket_of(u, &f->guest, &f->target);

        while (*at != f)
                at = &(*at)->next;
        *at = f->next;
        if (f->ev.fd >= 0)
                loop_remove(u->config.loop, &f->ev);
        fd_closep(&f->ev.fd);
        u->nr--;
        gate_leave(u->config.gate);
        free(f);
}

static struct flow *find_silent(struct udp *u, uint64_t before_ns)
{
        struct flow *silent = NULL;

        for (unsigned i = 0; i < BUCKETS; i++)
                for (struct flow *f = u->buckets[i]; f; f = f->next)
                        if (f->used_ns <= before_ns && (!silent || f->used_ns < silent->used_ns))
                                silent = f;
        return silent;
}

static int on_tick(struct loop_timer *timer)
{
        struct udp *u = container_of(timer, struct udp, tick);
        uint64_t now = loop_now_ns();
        struct flow *f;

        while (now > IDLE_NS && (f = find_silent(u, now - IDLE_NS)))
                drop(f);
        if (u->nr)
                loop_timer_set(u->config.loop, timer, TICK_NS);
        return 0;
}

static void send_guest(struct udp *u, const struct flow *f, const uint8_t *bytes, size_t n)
{
        struct frame_head head;
        struct iovec parts[2];

        if (!gate_admit(u->config.gate, GATE_TO_GUEST, n))
                return;
        frame_udp(&head, u->config.lan, &f->target, &f->guest, bytes, n);
        parts[0] = stream_part(head.bytes, head.len);
        parts[1] = stream_part(bytes, n);
        (void)!stream_send(u->config.stream, parts, 2, STREAM_SMALL);
}

static void tell_about(struct udp *u, const struct frame_end *guest, const struct frame_end *target,
                       enum icmp_reason reason)
{
        struct icmp_about about = { .src = *guest, .dst = *target, .proto = FRAME_PROTO_UDP };

        bytes_put16(about.body, guest->port);
        bytes_put16(about.body + 2, target->port);
        bytes_put16(about.body + 4, 8);
        icmp_tell(u->config.stream, u->config.lan, &about, reason);
}

static int on_readable(struct ev *ev, uint32_t events)
{
        struct flow *f = container_of(ev, struct flow, ev);
        struct udp *u = f->udp;

        (void)events;
        for (unsigned i = 0; i < READS_MAX; i++) {
                ssize_t n = recv(ev->fd, u->datagram, sizeof(u->datagram), MSG_DONTWAIT);

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        break;
                if (n < 0) {
                        tell_about(u, &f->guest, &f->target,
                                   errno == ECONNREFUSED ? ICMP_NO_PORT : ICMP_NO_HOST);
                        drop(f);
                        break;
                }
                if ((size_t)n > DATAGRAM_MAX)
                        continue; /* more than the wire carries */
                f->used_ns = loop_now_ns();
                send_guest(u, f, u->datagram, (size_t)n);
        }
        return 0;
}

static struct flow *find(struct udp *u, const struct frame_end *guest, const struct frame_end *target)
{
        struct flow *f = *bucket_of(u, guest, target);

        while (f && !(ends_equal(&f->guest, guest) && ends_equal(&f->target, target)))
                f = f->next;
        return f;
}

/* Return: NULL: no memory. The gate was entered. @fd: taken over. */
static struct flow *add(struct udp *u, const struct frame_end *guest, const struct frame_end *target, int fd)
{
        struct flow *f = calloc(1, sizeof(*f)), **bucket;

        if (f)
                f->ev = (struct ev){ .call = on_readable, .fd = fd };
        if (!f || (fd >= 0 && loop_add(u->config.loop, &f->ev, EPOLLIN) < 0)) {
                fd_closep(&fd);
                free(f);
                gate_leave(u->config.gate);
                return NULL;
        }
        f->udp = u;
        f->guest = *guest;
        f->target = *target;
        bucket = bucket_of(u, guest, target);
        f->next = *bucket;
        *bucket = f;
        u->nr++;
        if (!u->tick.at_ns)
                loop_timer_set(u->config.loop, &u->tick, TICK_NS);
        return f;
}

static bool enter(struct udp *u, const struct frame_end *to)
{
        struct flow *silent = u->nr >= UDP_FLOWS_MAX ? find_silent(u, UINT64_MAX) : NULL;

        if (silent)
                drop(silent);
        return !gate_enter(u->config.gate, POLICY_UDP, to);
}

static struct flow *make(struct udp *u, const struct frame_end *guest, const struct frame_end *target)
{
        int fd;

        if (!enter(u, target))
                return NULL;
        if (!gate_decide(u->config.gate, POLICY_UDP, target).allow) {
                gate_leave(u->config.gate);
                tell_about(u, guest, target, ICMP_PROHIBITED);
                return NULL;
        }
        fd = u->config.host->open(u->config.host->ctx, POLICY_UDP, target);
        if (fd < 0) {
                gate_leave(u->config.gate);
                tell_about(u, guest, target, ICMP_NO_HOST);
                return NULL;
        }
        return add(u, guest, target, fd);
}

void udp_input(struct udp *u, const struct frame *frame)
{
        const struct frame_end guest = { frame->src, frame->src_port },
                               target = { frame->dst, frame->dst_port };
        struct flow *f = find(u, &guest, &target);

        if (!f)
                f = make(u, &guest, &target);
        if (!f || !gate_admit(u->config.gate, GATE_FROM_GUEST, frame->body_len))
                return;
        f->used_ns = loop_now_ns();
        if (f->port) {
                struct sockaddr_storage a;
                unsigned len = host_address(&f->client, &a);

                (void)!sendto(f->port->ev.fd, frame->body, frame->body_len, MSG_DONTWAIT | MSG_NOSIGNAL,
                              (const struct sockaddr *)&a, len);
        } else {
                (void)!send(f->ev.fd, frame->body, frame->body_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        }
}

static struct flow *find_client(struct udp *u, const struct port *port, const struct frame_end *client)
{
        for (unsigned i = 0; i < BUCKETS; i++)
                for (struct flow *f = u->buckets[i]; f; f = f->next)
                        if (f->port == port && ends_equal(&f->client, client))
                                return f;
        return NULL;
}

/* A port of the gateway's stands for the client. */
static struct flow *make_client(struct udp *u, struct port *port, const struct frame_end *client)
{
        struct frame_end self = { .address = port->guest.address.family == ADDRESS_IP4
                                                     ? u->config.lan->gateway_ip4
                                                     : u->config.lan->gateway_ip6 };
        struct flow *f;

        if (!enter(u, &port->guest))
                return NULL;
        do {
                if (++u->next_port < 32768)
                        u->next_port = 32768;
                self.port = u->next_port;
        } while (find(u, &port->guest, &self)); /* there are more of them than flows */
        f = add(u, &port->guest, &self, -1);
        if (!f)
                return NULL;
        f->port = port;
        f->client = *client;
        return f;
}

static int on_port(struct ev *ev, uint32_t events)
{
        struct port *port = container_of(ev, struct port, ev);
        struct udp *u = port->udp;

        (void)events;
        for (unsigned i = 0; i < READS_MAX; i++) {
                struct sockaddr_storage from;
                socklen_t len = sizeof(from);
                ssize_t n = recvfrom(ev->fd, u->datagram, sizeof(u->datagram), MSG_DONTWAIT,
                                     (struct sockaddr *)&from, &len);
                struct frame_end client;
                struct flow *f;

                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0 || (size_t)n > DATAGRAM_MAX || !host_end(&from, &client))
                        continue;
                f = find_client(u, port, &client);
                if (!f)
                        f = make_client(u, port, &client);
                if (!f)
                        continue;
                f->used_ns = loop_now_ns();
                send_guest(u, f, u->datagram, (size_t)n);
        }
        return 0;
}

int udp_publish(struct udp *u, int fd, const struct frame_end *guest)
{
        struct port *port = u->nr_ports < UDP_PORTS_MAX ? calloc(1, sizeof(*port)) : NULL;
        int r;

        if (!port) {
                fd_closep(&fd);
                return err_new(-ENOMEM);
        }
        *port = (struct port){ .udp = u, .ev = { .call = on_port, .fd = fd }, .guest = *guest };
        u->ports[u->nr_ports++] = port;
        r = loop_add(u->config.loop, &port->ev, EPOLLIN);
        return r < 0 ? err_trace(r) : 0;
}

unsigned udp_count(const struct udp *u)
{
        return u->nr;
}

int udp_new(const struct udp_config *config, struct udp **ret)
{
        struct udp *u = calloc(1, sizeof(*u));

        if (!u)
                return err_new(-ENOMEM);
        u->config = *config;
        u->tick.call = on_tick;
        *ret = u;
        return 0;
}

void udp_free(struct udp *u)
{
        if (!u)
                return;
        for (unsigned i = 0; i < BUCKETS; i++)
                while (u->buckets[i])
                        drop(u->buckets[i]);
        for (unsigned i = 0; i < u->nr_ports; i++) {
                loop_remove(u->config.loop, &u->ports[i]->ev);
                fd_closep(&u->ports[i]->ev.fd);
                free(u->ports[i]);
        }
        loop_timer_clear(u->config.loop, &u->tick);
        free(u);
}
