/*
 * The other side of a network device, opened and checked: tap devices and stream sockets.
 * Input:  names and descriptors of a person or a program; whatever lies behind them.
 * Runs:   main thread, before anything else of the VM exists.
 * Limits: CONFIG_QUEUES_MAX queues of a tap.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "virtio/net/net_wire.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/num.h"
#include "vmm/files.h"
#include "vmm/status.h"

#define TUN "/dev/net/tun"
/* Several frames of 64 KiB; the host's net.core.wmem_max is the limit. */
#define SEND_BYTES  (1 << 20)
#define MTU_DEFAULT 1500u

static int open_tun(struct problem *p)
{
        int fd = open(TUN, O_RDWR | O_CLOEXEC | O_NONBLOCK);

        if (fd >= 0)
                return fd;
        if (errno == EACCES || errno == EPERM)
                return problem_set(p, VMM_E_INPUT, "no permission for " TUN ": see its mode and group");
        if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
                return problem_set(p, VMM_E_INPUT, "no " TUN ": load the module tun");
        return problem_set(p, VMM_E_INPUT, "cannot open " TUN ": %s", strerror(errno));
}

static int say_busy(const char *name, unsigned queues, int error, struct problem *p)
{
        switch (error) {
        case EBUSY:
                return problem_set(p, VMM_E_INPUT, "tap '%s' is in use: end who has it, or make another",
                                   name);
        case E2BIG:
                return problem_set(p, VMM_E_INPUT, "tap '%s' has no room for %u more queues", name, queues);
        case EPERM:
        case EACCES:
                return problem_set(p, VMM_E_INPUT,
                                   "tap '%s': no permission; as root: ip tuntap add %s mode tap user NAME",
                                   name, name);
        case EINVAL:
                return problem_set(p, VMM_E_INPUT, "'%s' is not a tap device%s", name,
                                   queues > 1 ? " with several queues; as root: ip tuntap add NAME mode tap "
                                                "multi_queue user NAME"
                                              : "");
        default:
                return problem_set(p, VMM_E_INPUT, "tap '%s': %s", name, strerror(error));
        }
}

/* One that was made for several queues wants to hear so even for one. */
static int attach(int fd, const char *name, unsigned queues)
{
        struct ifreq req = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };

        (void)snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", name);
        if (queues == 1 && !ioctl(fd, TUNSETIFF, &req))
                return 0;
        if (queues == 1 && errno != EINVAL)
                return -1;
        req.ifr_flags |= IFF_MULTI_QUEUE;
        return ioctl(fd, TUNSETIFF, &req);
}

static int open_tap(struct files_net *ret, const struct config_net *n, struct problem *p)
{
        /* TUNSETIFF would make it, for who may. */
        if (!if_nametoindex(n->name))
                return problem_set(p, VMM_E_INPUT,
                                   "there is no tap '%s'; as root: ip tuntap add %s mode tap user NAME",
                                   n->name, n->name);
        for (unsigned q = 0; q < n->queues; q++) {
                ret->fds[q] = open_tun(p);
                if (ret->fds[q] < 0)
                        return -1;
                if (attach(ret->fds[q], n->name, n->queues) < 0)
                        return say_busy(n->name, n->queues, errno, p);
        }
        return 0;
}

static int check_tap(int fd, const char *what, struct files_net *ret, struct problem *p)
{
        const short wanted = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
        cleanup(fd_closep) int sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int head = sizeof(struct virtio_net_head);
        struct ifreq req = { 0 };

        if (ioctl(fd, TUNGETIFF, &req) < 0)
                return problem_set(p, VMM_E_INPUT, "%s is not a tap device", what);
        if ((req.ifr_flags & wanted) != wanted)
                return problem_set(p, VMM_E_INPUT,
                                   "%s must be opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR", what);
        if (ioctl(fd, TUNSETVNETHDRSZ, &head) < 0 || ioctl(fd, TUNSETOFFLOAD, 0ul) < 0)
                return problem_set(p, VMM_E_INPUT, "%s cannot be set up: %s", what, strerror(errno));
        if (!ret->mtu && (sock < 0 || ioctl(sock, SIOCGIFMTU, &req) < 0))
                req.ifr_mtu = MTU_DEFAULT; /* it is in another network namespace */
        if (!ret->mtu)
                ret->mtu = (unsigned)num_max(num_min((unsigned)req.ifr_mtu, CONFIG_MTU_MAX), CONFIG_MTU_MIN);
        return 0;
}

static int open_stream(struct files_net *ret, const struct config_net *n, struct problem *p)
{
        int fd = uds_connect(n->name);

        if (fd == -ENOENT || fd == -ECONNREFUSED)
                return problem_set(p, VMM_E_INPUT,
                                   "nobody listens on socket '%s': start passt or the like first", n->name);
        if (fd < 0)
                return problem_set(p, VMM_E_INPUT, "cannot connect to '%s': %s", n->name, strerror(-fd));
        ret->fds[0] = fd;
        return 0;
}

static int check_stream(int fd, const char *what, struct problem *p)
{
        struct sockaddr_storage peer;
        socklen_t len = sizeof(int), peer_len = sizeof(peer);
        int type = 0, bytes = SEND_BYTES;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
                return problem_set(p, VMM_E_INPUT, "%s is not a stream socket", what);
        if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) < 0)
                return problem_set(p, VMM_E_INPUT, "%s is not connected", what);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)); /* without, it is only slower */
        return 0;
}

static int take_fd(struct files_net *ret, int fd, struct problem *p)
{
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
                return problem_set(p, VMM_E_USAGE, "--net: descriptor %d is not open", fd);
        ret->fds[0] = fd;
        return 0;
}

int files_open_net(struct files_net *ret, const struct config_net *n, struct problem *p)
{
        bool is_tap = n->kind == NET_TAP || n->kind == NET_TAP_FD;
        char what[160];
        int r;

        ret->mtu = n->mtu;
        if (n->name)
                (void)snprintf(what, sizeof(what), "%s '%.120s'", is_tap ? "tap" : "socket", n->name);
        else
                (void)snprintf(what, sizeof(what), "descriptor %d", n->fd);
        r = !n->name ? take_fd(ret, n->fd, p) : is_tap ? open_tap(ret, n, p) : open_stream(ret, n, p);
        for (unsigned q = 0; !r && is_tap && q < n->queues; q++)
                r = check_tap(ret->fds[q], what, ret, p);
        if (r || is_tap)
                return r;
        if (!ret->mtu)
                ret->mtu = n->vnet ? CONFIG_MTU_MAX : MTU_DEFAULT;
        return check_stream(ret->fds[0], what, p);
}

/* Before any of ours could get their numbers. */
int files_claim_fds(const struct vm_config *c, struct problem *p)
{
        if (c->ready_fd >= 0 && fcntl(c->ready_fd, F_SETFD, FD_CLOEXEC) < 0)
                return problem_set(p, VMM_E_USAGE, "--ready-fd: descriptor %d is not open", c->ready_fd);
        for (unsigned i = 0; i < c->nr_nets; i++)
                if (!c->nets[i].name && fcntl(c->nets[i].fd, F_SETFD, FD_CLOEXEC) < 0)
                        return problem_set(p, VMM_E_USAGE, "--net: descriptor %d is not open", c->nets[i].fd);
        return 0;
}
