/*
 * ICMP: echo, and errors for the guest.
 * Input:  echo requests of the guest (hostile); replies of the world.
 * Runs:   loop thread.
 * Limits: ICMP_FLOWS_MAX targets at once, each for IDLE_NS after its last request; ECHO_MAX bytes.
 *
 * syscalls: loop: sendto recvfrom
 */
#include "net/icmp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "net/bytes.h"
#include "vmm/base/err.h"

#define IDLE_NS  30000000000ull
#define ECHO_MAX 65536u
#define HEAD     8u

enum {
        ECHO_REPLY = 0,
        UNREACHABLE = 3,
        ECHO_REQUEST = 8,
        UNREACHABLE6 = 1,
        ECHO_REQUEST6 = 128,
        ECHO_REPLY6 = 129
};

struct flow {
        struct icmp *icmp;
        struct ev ev; /* fd -1: free */
        struct frame_end guest, target;
        uint8_t id[2]; /* the guest's; the host's ping socket has one of its own */
        uint64_t used_ns;
};

struct icmp {
        struct icmp_config config;
        struct loop_timer tick;
        struct flow flows[ICMP_FLOWS_MAX];
        uint8_t reply[ECHO_MAX];
};

/* @message: its checksum is set here */
static void send_icmp(struct stream *stream, const struct lan *lan, const struct address *src,
                      const struct address *dst, uint8_t *message, size_t len)
{
        bool is_ip4 = src->family == ADDRESS_IP4;
        uint8_t proto = is_ip4 ? FRAME_PROTO_ICMP : FRAME_PROTO_ICMP6;
        struct frame_head head;
        struct iovec parts[2];

        bytes_put16(message + 2, 0);
        bytes_put16(message + 2,
                    frame_sum(frame_add(is_ip4 ? 0 : frame_pseudo(src, dst, proto, len), message, len)));
        frame_ip(&head, lan, src, dst, proto, len);
        parts[0] = (struct iovec){ head.bytes, head.len };
        parts[1] = (struct iovec){ message, len };
        (void)!stream_send(stream, parts, 2, STREAM_SMALL);
}

void icmp_tell(struct stream *stream, const struct lan *lan, const struct icmp_about *about,
               enum icmp_reason reason)
{
        static const uint8_t codes4[] = { 13, 1, 3 }, codes6[] = { 1, 3, 4 };
        bool is_ip4 = about->src.address.family == ADDRESS_IP4;
        uint8_t message[HEAD + 40 + sizeof(about->body)] = { is_ip4 ? UNREACHABLE : UNREACHABLE6 };
        struct frame_head lost;
        size_t len;

        message[1] = is_ip4 ? codes4[reason] : codes6[reason];
        frame_ip(&lost, lan, &about->src.address, &about->dst.address, about->proto, sizeof(about->body));
        len = lost.len - FRAME_ETHERNET_LEN;
        memcpy(message + HEAD, lost.bytes + FRAME_ETHERNET_LEN, len);
        memcpy(message + HEAD + len, about->body, sizeof(about->body));
        send_icmp(stream, lan, is_ip4 ? &lan->gateway_ip4 : &lan->gateway_ip6, &about->src.address, message,
                  HEAD + len + sizeof(about->body));
}

static void drop(struct flow *f)
{
        if (f->ev.fd < 0)
                return;
        loop_remove(f->icmp->config.loop, &f->ev);
        fd_closep(&f->ev.fd);
        gate_leave(f->icmp->config.gate);
}

static int on_tick(struct loop_timer *timer)
{
        struct icmp *icmp = container_of(timer, struct icmp, tick);
        uint64_t now = loop_now_ns();
        bool any = false;

        for (unsigned i = 0; i < ICMP_FLOWS_MAX; i++) {
                struct flow *f = &icmp->flows[i];

                if (f->ev.fd >= 0 && now - f->used_ns >= IDLE_NS)
                        drop(f);
                any |= f->ev.fd >= 0;
        }
        if (any)
                loop_timer_set(icmp->config.loop, timer, IDLE_NS);
        return 0;
}

static int on_reply(struct ev *ev, uint32_t events)
{
        struct flow *f = container_of(ev, struct flow, ev);
        struct icmp *icmp = f->icmp;
        bool is_ip4 = f->target.address.family == ADDRESS_IP4;
        ssize_t n = recv(ev->fd, icmp->reply, sizeof(icmp->reply), MSG_DONTWAIT);

        (void)events;
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
                struct icmp_about about = { .src = f->guest,
                                            .dst = f->target,
                                            .proto = is_ip4 ? FRAME_PROTO_ICMP : FRAME_PROTO_ICMP6 };

                about.body[0] = is_ip4 ? ECHO_REQUEST : ECHO_REQUEST6;
                memcpy(about.body + 4, f->id, 2);
                icmp_tell(icmp->config.stream, icmp->config.lan, &about, ICMP_NO_HOST);
                drop(f);
                return 0;
        }
        if (n < (ssize_t)HEAD || icmp->reply[0] != (is_ip4 ? ECHO_REPLY : ECHO_REPLY6))
                return 0;
        memcpy(icmp->reply + 4, f->id, 2);
        send_icmp(icmp->config.stream, icmp->config.lan, &f->target.address, &f->guest.address, icmp->reply,
                  (size_t)n);
        return 0;
}

static struct flow *find(struct icmp *icmp, const struct frame *frame)
{
        for (unsigned i = 0; i < ICMP_FLOWS_MAX; i++) {
                struct flow *f = &icmp->flows[i];

                if (f->ev.fd >= 0 && !memcmp(f->id, frame->body + 4, 2) &&
                    address_equal(&f->target.address, &frame->dst) &&
                    address_equal(&f->guest.address, &frame->src))
                        return f;
        }
        return NULL;
}

static void tell_about(struct icmp *icmp, const struct frame *frame, enum icmp_reason reason)
{
        struct icmp_about about = { .src = { .address = frame->src },
                                    .dst = { .address = frame->dst },
                                    .proto = frame->kind == FRAME_ICMP ? FRAME_PROTO_ICMP
                                                                       : FRAME_PROTO_ICMP6 };

        memcpy(about.body, frame->body, sizeof(about.body));
        icmp_tell(icmp->config.stream, icmp->config.lan, &about, reason);
}

static struct flow *make(struct icmp *icmp, const struct frame *frame)
{
        const struct frame_end target = { .address = frame->dst };
        struct flow *f = icmp->flows;
        int fd;

        while (f < icmp->flows + ICMP_FLOWS_MAX && f->ev.fd >= 0)
                f++;
        if (f == icmp->flows + ICMP_FLOWS_MAX || gate_enter(icmp->config.gate, POLICY_ICMP, &target))
                return NULL;
        if (!gate_decide(icmp->config.gate, POLICY_ICMP, &target).allow) {
                gate_leave(icmp->config.gate);
                tell_about(icmp, frame, ICMP_PROHIBITED);
                return NULL;
        }
        fd = icmp->config.host->open(icmp->config.host->ctx, POLICY_ICMP, &target);
        *f = (struct flow){ .icmp = icmp,
                            .ev = { .call = on_reply, .fd = fd },
                            .guest = { .address = frame->src },
                            .target = target };
        memcpy(f->id, frame->body + 4, 2);
        if (fd < 0 || loop_add(icmp->config.loop, &f->ev, EPOLLIN) < 0) {
                fd_closep(&f->ev.fd);
                f->ev.fd = -1;
                gate_leave(icmp->config.gate);
                tell_about(icmp, frame, ICMP_NO_HOST);
                return NULL;
        }
        if (!icmp->tick.at_ns)
                loop_timer_set(icmp->config.loop, &icmp->tick, IDLE_NS);
        return f;
}

void icmp_input(struct icmp *icmp, const struct frame *frame)
{
        bool is_ip4 = frame->kind == FRAME_ICMP;
        struct flow *f;

        if (frame->body[0] != (is_ip4 ? ECHO_REQUEST : ECHO_REQUEST6) || frame->body[1] ||
            frame->body_len > sizeof(icmp->reply))
                return;
        if (lan_is_gateway(icmp->config.lan, &frame->dst)) {
                memcpy(icmp->reply, frame->body, frame->body_len);
                icmp->reply[0] = is_ip4 ? ECHO_REPLY : ECHO_REPLY6;
                send_icmp(icmp->config.stream, icmp->config.lan, &frame->dst, &frame->src, icmp->reply,
                          frame->body_len);
                return;
        }
        f = find(icmp, frame);
        if (!f)
                f = make(icmp, frame);
        if (!f)
                return;
        f->used_ns = loop_now_ns();
        if (gate_admit(icmp->config.gate, GATE_FROM_GUEST, frame->body_len))
                (void)!send(f->ev.fd, frame->body, frame->body_len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int icmp_new(const struct icmp_config *config, struct icmp **ret)
{
        struct icmp *icmp = calloc(1, sizeof(*icmp));

        if (!icmp)
                return err_new(-ENOMEM);
        icmp->config = *config;
        icmp->tick.call = on_tick;
        for (unsigned i = 0; i < ICMP_FLOWS_MAX; i++)
                icmp->flows[i] = (struct flow){ .icmp = icmp, .ev = { .fd = -1 } };
        *ret = icmp;
        return 0;
}

void icmp_free(struct icmp *icmp)
{
        if (!icmp)
                return;
        for (unsigned i = 0; i < ICMP_FLOWS_MAX; i++)
                drop(&icmp->flows[i]);
        loop_timer_clear(icmp->config.loop, &icmp->tick);
        free(icmp);
}
