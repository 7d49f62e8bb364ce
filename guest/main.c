/*
 * vmlet-agent: the first process of the guest. Mounts, says that it is ready, serves.
 * Input:  the kernel command line; everything else is the server's.
 * Runs:   as process 1, one thread.
 * Limits: it must never return: the kernel would panic.
 *
 * The order is for the soonest ready: what a client cannot notice before its first command runs comes after
 * the mark and before the first connection is accepted.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/cgroup.h"
#include "guest/mounts.h"
#include "guest/network.h"
#include "guest/server.h"
#include "guest/vsock.h"

#define MARK_PORT    0x602
#define MARK_READY   0x20
#define MARK_NO_ROOT 0x21 /* said before MARK_READY: the agent answers, but only to explain itself */
#define BACKLOG      128
#define FILES_SOFT   1024 /* what select() can take; programs that want more raise it */
#define FILES_HARD   524288
#define HOSTNAME     "vmlet"
#define PRIORITY     (-20)

static struct server server;

static void mark(const uint8_t *bytes, size_t n)
{
        int fd = open("/dev/port", O_WRONLY | O_CLOEXEC);

        for (size_t i = 0; fd >= 0 && i < n; i++)
                (void)!pwrite(fd, bytes + i, 1, MARK_PORT); /* a kernel without it is merely not timed */
        if (fd >= 0)
                close(fd);
}

static int listen_vsock(struct text *why)
{
        struct vsock_address address = { .family = VSOCK_FAMILY,
                                         .port = PROTOCOL_PORT,
                                         .cid = VSOCK_CID_ANY };
        int fd = socket(VSOCK_FAMILY, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd >= 0 && !bind(fd, (const struct sockaddr *)&address, sizeof(address)) && !listen(fd, BACKLOG))
                return fd;
        text_set(why, "cannot listen on vsock, nobody will reach this guest: ", strerror(errno));
        if (fd >= 0)
                close(fd);
        return -1;
}

static void raise_loopback(void)
{
        struct ifreq request = { .ifr_name = "lo" };
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return;
        request.ifr_flags = IFF_UP | IFF_RUNNING;
        (void)!ioctl(fd, SIOCSIFFLAGS, &request); /* a kernel without networking has no loopback either */
        close(fd);
}

static void set_hostname(const struct settings *settings)
{
        char name[64];

        if (*settings->hostname) {
                (void)!sethostname(settings->hostname, strlen(settings->hostname));
                return;
        }

        int fd = open("/etc/hostname", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        ssize_t n = fd >= 0 ? read(fd, name, sizeof(name)) : 0;
        size_t len = 0;

        if (fd >= 0)
                close(fd);
        while (n > 0 && len < (size_t)n && name[len] > ' ')
                len++;
        (void)!(len ? sethostname(name, len) : sethostname(HOSTNAME, sizeof(HOSTNAME) - 1));
}

static void read_boot_id(uint8_t id[16])
{
        char text[36];
        int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
        ssize_t len = fd >= 0 ? read(fd, text, sizeof(text)) : 0;
        unsigned digits = 0;

        if (fd >= 0)
                close(fd);
        for (ssize_t i = 0; i < len && digits < 32; i++) {
                uint8_t c = (uint8_t)text[i];

                if (c == '-')
                        continue;
                id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | (c > '9' ? c - 'a' + 10 : c - '0'));
                digits++;
        }
}

static void signal_all(int signal)
{
        if (getpid() == 1) /* anywhere else -1 would be somebody else's processes */
                kill(-1, signal);
}

static void end_machine(uint32_t how)
{
        mounts_finish();
        reboot(how == PROTOCOL_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
}

/* Housekeeping of the kernel that would wake an idle guest, and so its host, several times a second. */
static void rest_when_idle(void)
{
        static const struct {
                const char *path, *value;
        } quiet[] = {
                { "/proc/sys/vm/compaction_proactiveness",
                  "0" },                                /* looks twice a second; still done on demand */
                { "/proc/sys/vm/stat_interval", "10" }, /* of counters that nobody reads that often */
        };

        for (unsigned i = 0; i < sizeof(quiet) / sizeof(quiet[0]); i++) {
                int fd = open(quiet[i].path, O_WRONLY | O_CLOEXEC);

                if (fd < 0)
                        continue;
                (void)!write(fd, quiet[i].value, strlen(quiet[i].value));
                close(fd);
        }
}

/*
 * Everything a command may expect and a client cannot see before. The agent goes before all commands; the
 * kernel's OOM killer leaves process 1 alone by itself.
 */
static void settle(struct service *service, const struct settings *settings)
{
        static const struct vsock_address log = { .family = VSOCK_FAMILY,
                                                  .port = PROTOCOL_LOG_PORT,
                                                  .cid = VSOCK_CID_HOST };
        struct rlimit files = { FILES_SOFT, FILES_HARD };

        service->log = (const struct sockaddr *)&log;
        service->log_len = sizeof(log);
        cgroup_init(CGROUP_PATH, settings->pids);
        setpriority(PRIO_PROCESS, 0, PRIORITY);

        setrlimit(RLIMIT_NOFILE, &files);
        mounts_rest(settings);
        set_hostname(settings);
        raise_loopback();
        network_up(settings);
        rest_when_idle();
        read_boot_id(service->welcome.boot_id);
}

int main(void)
{
        static const struct server_ops ops = { signal_all, end_machine };
        static const uint8_t marks[] = { MARK_NO_ROOT, MARK_READY };
        static struct text why, vsock_why;
        struct settings settings;

        if (getpid() != 1) {
                text_set(&why, "this is the first process of a guest, not a program to start by hand\n");
                (void)!write(2, why.s, strlen(why.s));
                return 2;
        }
        mounts_first(&settings);

        bool has_root = mounts_root(&settings, &why) == MOUNTS_OK;
        int fd = listen_vsock(&vsock_why);

        mark(marks + has_root, sizeof(marks) - has_root);
        if (settings.once)
                reboot(RB_AUTOBOOT);

        server.service.welcome = (struct protocol_welcome){
                .version = PROTOCOL_VERSION,
                .state = has_root ? PROTOCOL_STATE_OK : PROTOCOL_STATE_NO_ROOT,
                .stdin_window = CONN_STDIN_WINDOW,
                .capabilities = PROTOCOL_CAP_EXEC | PROTOCOL_CAP_SHUTDOWN | PROTOCOL_CAP_PROCESS |
                                PROTOCOL_CAP_MACHINE | PROTOCOL_CAP_CONNECT | PROTOCOL_CAP_FILE,
                .release = VMLET_VERSION,
                .message = why.s,
        };
        if (!has_root)
                text_console(&why);
        if (fd < 0)
                text_console(&vsock_why);
        settle(&server.service, &settings);

        int r = server_init(&server, fd, &ops);

        if (!r)
                r = server_run(&server);
        text_set(&why, "cannot go on: ", strerror(-r));
        text_console(&why);
        end_machine(PROTOCOL_POWER_OFF);
        for (;;)
                pause();
}
