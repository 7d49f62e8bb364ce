/*
 * Network: sets up the first device by rtnetlink, all in one message.
 * Input:  settings (whoever starts the monitor).
 * Runs:   the agent's only thread, before it serves.
 * Limits: one device.
 */
#include "guest/network.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/text.h"

#define DEVICE        "eth0"
#define GEN_MODE_NONE 1 /* IN6_ADDR_GEN_MODE_NONE */

struct batch {
        uint8_t bytes[512];
        size_t len;
        struct nlmsghdr *last;
};

static void *put(struct batch *b, const void *bytes, size_t len)
{
        void *at = b->bytes + b->len;

        if (bytes)
                memcpy(at, bytes, len);
        b->len += NLMSG_ALIGN(len);
        b->last->nlmsg_len = (uint32_t)(b->bytes + b->len - (uint8_t *)b->last);
        return at;
}

static void put_attribute(struct batch *b, unsigned type, const void *bytes, size_t len)
{
        struct rtattr head = { .rta_len = (unsigned short)RTA_LENGTH(len), .rta_type = (unsigned short)type };

        put(b, &head, sizeof(head));
        put(b, bytes, len);
}

static void begin(struct batch *b, unsigned type, unsigned flags, const void *body, size_t len)
{
        b->last = (struct nlmsghdr *)(void *)(b->bytes + b->len);
        *b->last = (struct nlmsghdr){ .nlmsg_type = (uint16_t)type,
                                      .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) };
        b->len += NLMSG_HDRLEN;
        put(b, body, len);
}

/*
 * No link-local address: it would be looked for on the wire, and routers would be asked for, for seconds, by timers
 * that wake the host.
 */
static void put_link(struct batch *b, int index)
{
        const struct ifinfomsg link = {
                .ifi_family = AF_UNSPEC, .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP
        };
        const uint8_t mode = GEN_MODE_NONE;
        struct rtattr *all, *family;

        begin(b, RTM_NEWLINK, 0, &link, sizeof(link));
        all = put(b, &(struct rtattr){ .rta_type = IFLA_AF_SPEC }, sizeof(*all));
        family = put(b, &(struct rtattr){ .rta_type = AF_INET6 }, sizeof(*family));
        put_attribute(b, IFLA_INET6_ADDR_GEN_MODE, &mode, sizeof(mode));
        all->rta_len = (unsigned short)(b->bytes + b->len - (uint8_t *)all);
        family->rta_len = (unsigned short)(b->bytes + b->len - (uint8_t *)family);
}

static void put_address(struct batch *b, int index, const struct settings_net *net)
{
        size_t size = net->family == AF_INET ? 4 : 16;
        const struct ifaddrmsg address = { .ifa_family = net->family,
                                           .ifa_prefixlen = net->prefix,
                                           .ifa_flags = IFA_F_NODAD | IFA_F_PERMANENT,
                                           .ifa_index = (uint32_t)index };
        const struct rtmsg route = { .rtm_family = net->family,
                                     .rtm_table = RT_TABLE_MAIN,
                                     .rtm_protocol = RTPROT_BOOT,
                                     .rtm_scope = RT_SCOPE_UNIVERSE,
                                     .rtm_type = RTN_UNICAST };

        begin(b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &address, sizeof(address));
        put_attribute(b, IFA_LOCAL, net->address, size);
        put_attribute(b, IFA_ADDRESS, net->address, size);
        begin(b, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &route, sizeof(route));
        put_attribute(b, RTA_GATEWAY, net->gateway, size);
        put_attribute(b, RTA_OIF, &index, sizeof(index));
}

/* The image's own file may be a link to where nothing is. */
static void write_resolver(const struct settings_net net[static 2])
{
        const char *prefix = "nameserver ";
        struct text text;
        int fd;

        text_set(&text, net[0].family ? prefix : "", net[0].resolver, net[0].family ? "\n" : "",
                 net[1].family ? prefix : "", net[1].resolver, net[1].family ? "\n" : "");
        (void)!unlink("/etc/resolv.conf");
        fd = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0 && errno == ENOENT && !mkdir("/etc", 0755))
                fd = open("/etc/resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
                return;
        (void)!write(fd, text.s, strlen(text.s));
        close(fd);
}

void network_up(const struct settings *settings)
{
        struct ifreq request = { .ifr_name = DEVICE };
        struct batch batch = { 0 };
        int fd;

        if (!settings->net[0].family && !settings->net[1].family)
                return;
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
        if (fd < 0)
                return;
        if (!ioctl(fd, SIOCGIFINDEX, &request)) {
                put_link(&batch, request.ifr_ifindex);
                for (unsigned i = 0; i < 2; i++)
                        if (settings->net[i].family)
                                put_address(&batch, request.ifr_ifindex, &settings->net[i]);
                (void)!write(fd, batch.bytes, batch.len);
        }
        close(fd);
        write_resolver(settings->net);
}
