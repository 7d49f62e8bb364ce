/*
 * The gateway put together.
 * Input:  frames of the guest (hostile), by way of the wire.
 * Runs:   loop thread.
 * Limits: those of the parts.
 */
#include "net/gateway.h"

#include <errno.h>
#include <stdlib.h>

#include "net/dhcp.h"
#include "net/dns.h"
#include "net/dns_parse.h"
#include "net/icmp.h"
#include "net/neighbour.h"
#include "net/splice.h"
#include "net/stack.h"
#include "net/udp.h"
#include "vmm/base/err.h"

struct gateway {
        struct gateway_config config;
        struct gate gate;
        struct host_ops host; /* as the parts have it: what is the gateway's own is led elsewhere first */
        struct host_ops world;
        struct stream *stream;
        struct stack *stack;
        struct splice *splice;
        struct udp *udp;
        struct icmp *icmp;
        struct dns *dns;
        uint64_t dropped[FRAME_E_NR];
};

/* The gateway's address stands for the host's loopback, and its port 53 for our resolver. */
static int open_host(void *ctx, enum policy_proto proto, const struct frame_end *to)
{
        struct gateway *g = ctx;
        static const uint8_t loopback4[4] = { 127, 0, 0, 1 }, loopback6[16] = { [15] = 1 };
        struct frame_end end = *to;

        if (lan_is_gateway(&g->config.lan, &to->address)) {
                if (proto == POLICY_TCP && to->port == DNS_PORT)
                        return dns_connect(g->dns);
                end.address =
                        to->address.family == ADDRESS_IP4 ? address_ip4(loopback4) : address_ip6(loopback6);
        }
        return g->world.open(g->world.ctx, proto, &end);
}

static void on_udp(struct gateway *g, const struct frame *f)
{
        static const uint8_t broadcast[4] = { 255, 255, 255, 255 };
        struct address all = address_ip4(broadcast);
        bool is_ours = lan_is_gateway(&g->config.lan, &f->dst);

        if (f->dst_port == FRAME_DHCP_SERVER && (is_ours || address_equal(&f->dst, &all)))
                dhcp_input(g->stream, &g->config.lan, f);
        else if (f->dst_port == DNS_PORT && is_ours)
                dns_input(g->dns, f);
        else if (lan_is_guest(&g->config.lan, &f->src) && f->src_port)
                udp_input(g->udp, f);
}

static void on_frame(void *owner, const uint8_t *bytes, size_t n)
{
        struct gateway *g = owner;
        const struct lan *lan = &g->config.lan;
        struct frame f;
        int r = frame_parse(bytes, n, lan, &f);

        if (r) {
                g->dropped[r]++;
                return;
        }
        switch (f.kind) {
        case FRAME_ARP:
                neighbour_arp(g->stream, lan, &f);
                break;
        case FRAME_TCP:
                splice_input(g->splice, &f);
                break;
        case FRAME_UDP:
                on_udp(g, &f);
                break;
        case FRAME_ICMP:
        case FRAME_ICMP6:
                if (!neighbour_icmp6(g->stream, lan, &f) && f.dst.bytes[0] != 0xff)
                        icmp_input(g->icmp, &f);
                break;
        }
}

static void on_room(void *owner)
{
        struct gateway *g = owner;

        stack_retry(g->stack);
}

static void on_end(void *owner, int error)
{
        struct gateway *g = owner;

        g->config.on_end(g->config.owner, error);
}

static int make_parts(struct gateway *g)
{
        struct loop *loop = g->config.loop;
        const struct lan *lan = &g->config.lan;
        int r = stack_new(loop, lan, g->stream, &g->stack);

        if (!r)
                r = splice_new(&(struct splice_config){ loop, lan, g->stream, g->stack, &g->gate, &g->host },
                               &g->splice);
        if (!r)
                r = udp_new(&(struct udp_config){ loop, lan, g->stream, &g->gate, &g->host }, &g->udp);
        if (!r)
                r = icmp_new(&(struct icmp_config){ loop, lan, g->stream, &g->gate, &g->host }, &g->icmp);
        if (!r) {
                struct dns_config dns = { loop,     lan,       g->stream,
                                          &g->gate, &g->world, .nr_servers = g->config.nr_resolvers };

                for (unsigned i = 0; i < dns.nr_servers; i++)
                        dns.servers[i] = g->config.resolvers[i];
                r = dns_new(&dns, &g->dns);
        }
        return r;
}

int gateway_new(const struct gateway_config *config, struct gateway **ret)
{
        static const struct stream_ops ops = { .on_frame = on_frame, .on_room = on_room, .on_end = on_end };
        cleanup(gateway_freep) struct gateway *g = calloc(1, sizeof(*g));
        int r;

        if (!g) {
                int fd = config->fd;

                fd_closep(&fd);
                return err_new(-ENOMEM);
        }
        g->config = *config;
        g->host = (struct host_ops){ open_host, g };
        g->world = config->host ? *config->host : (struct host_ops){ host_open, NULL };
        r = stream_new(config->loop, config->fd, &ops, g, &g->stream);
        if (!r)
                r = gate_init(&g->gate, config->policy, config->events);
        if (!r)
                r = make_parts(g);
        if (r < 0)
                return err_trace(r);
        *ret = steal_ptr(&g);
        return 0;
}

void gateway_free(struct gateway *g)
{
        if (!g)
                return;
        splice_free(g->splice);
        udp_free(g->udp);
        icmp_free(g->icmp);
        dns_free(g->dns);
        stack_free(g->stack);
        stream_free(g->stream);
        gate_fini(&g->gate);
        free(g);
}

struct gate *gateway_gate(struct gateway *g)
{
        return &g->gate;
}

struct splice *gateway_splice(struct gateway *g)
{
        return g->splice;
}

struct udp *gateway_udp(struct gateway *g)
{
        return g->udp;
}

struct gateway_stats gateway_stats(const struct gateway *g)
{
        struct gateway_stats s = { .wire = stream_stats(g->stream),
                                   .gate = g->gate.counts,
                                   .events_written = g->gate.events->written,
                                   .events_lost = g->gate.events->lost,
                                   .connections = splice_count(g->splice),
                                   .datagram_flows = udp_count(g->udp),
                                   .pins = pins_count(g->gate.pins) };

        for (unsigned i = 0; i < FRAME_E_NR; i++)
                s.dropped[i] = g->dropped[i];
        return s;
}
