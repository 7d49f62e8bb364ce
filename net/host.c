/*
 * Sockets of the host towards the world.
 * Input:  addresses that the policy allowed.
 * Runs:   loop thread.
 * Limits: none of its own.
 *
 * syscalls: loop: socket connect setsockopt recvfrom
 */
#include "net/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/err.h"

#define DRAIN_MAX 64u

unsigned host_address(const struct frame_end *end, struct sockaddr_storage *ret)
{
        struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

        memset(ret, 0, sizeof(*ret));
        if (end->address.family == ADDRESS_IP4) {
                v4->sin_family = AF_INET;
                v4->sin_port = htons(end->port);
                memcpy(&v4->sin_addr, end->address.bytes, 4);
                return sizeof(*v4);
        }
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(end->port);
        memcpy(&v6->sin6_addr, end->address.bytes, 16);
        return sizeof(*v6);
}

bool host_end(const struct sockaddr_storage *a, struct frame_end *ret)
{
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;

        if (a->ss_family == AF_INET) {
                ret->address = address_ip4((const uint8_t *)&v4->sin_addr);
                ret->port = ntohs(v4->sin_port);
        } else if (a->ss_family == AF_INET6) {
                ret->address = address_ip6((const uint8_t *)&v6->sin6_addr);
                ret->port = ntohs(v6->sin6_port);
        } else {
                return false;
        }
        return true;
}

int host_open(void *ctx, enum policy_proto proto, const struct frame_end *to)
{
        bool is_ip4 = to->address.family == ADDRESS_IP4;
        int type = proto == POLICY_TCP ? SOCK_STREAM : SOCK_DGRAM;
        int number = proto != POLICY_ICMP ? 0 : is_ip4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
        struct sockaddr_storage a;
        unsigned len = host_address(to, &a);
        const int one = 1;
        cleanup(fd_closep) int fd =
                socket(is_ip4 ? AF_INET : AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, number);

        (void)ctx;
        if (fd < 0)
                return err_new(-errno);
        if (proto == POLICY_TCP)
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (connect(fd, (const struct sockaddr *)&a, len) < 0 && errno != EINPROGRESS)
                return err_new(-errno);
        return steal_fd(&fd);
}

void host_addresses(struct policy_host *ret)
{
        struct ifaddrs *all;

        ret->nr = 0;
        if (getifaddrs(&all) < 0)
                return;
        for (const struct ifaddrs *i = all; i && ret->nr < POLICY_HOST_MAX; i = i->ifa_next) {
                struct sockaddr_storage a = { 0 };
                struct frame_end end;

                if (!i->ifa_addr)
                        continue;
                memcpy(&a, i->ifa_addr,
                       i->ifa_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                          : sizeof(struct sockaddr_in));
                if (host_end(&a, &end))
                        ret->addresses[ret->nr++] = end.address;
        }
        freeifaddrs(all);
}

int host_watch(void)
{
        const struct sockaddr_nl a = { .nl_family = AF_NETLINK,
                                       .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
        cleanup(fd_closep) int fd =
                socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

        if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) < 0)
                return err_new(-errno);
        return steal_fd(&fd);
}

void host_watch_drain(int fd)
{
        char message[4096];

        /* What it says is not looked at, nor whether there was too much of it. */
        for (unsigned i = 0; i < DRAIN_MAX; i++)
                if (recv(fd, message, sizeof(message), MSG_DONTWAIT) <= 0 && errno == EAGAIN)
                        return;
}
