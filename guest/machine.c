/*
 * Machine: counters from /proc, the clock, freezing and write-back.
 * Input:  the kernel's own files.
 * Runs:   the agent's only thread; machine_sync() and machine_wait_frozen() in a child.
 * Limits: a report fits a small frame; no file is read further than what is wanted of it.
 */
#include "guest/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "guest/lines.h"

#define US_PER_TICK  10000u /* USER_HZ is 100 in every file of the kernel */
#define SECTOR_BYTES 512u   /* as /proc/diskstats counts, whatever the disk has */
#define NS_PER_S     1000000000u
#define USERS        "/sys/fs/cgroup/vmlet/user/" /* the cgroup of all that commands started */
#define FREEZE_MS    1000                         /* somebody else may thaw meanwhile, which no event tells */

/* Numbers of one line, @n of them, from field @first on; fields are counted from 0 and end at spaces. */
static void read_fields(const char *line, size_t len, size_t first, uint64_t *ret, size_t n)
{
        size_t field = 0;

        memset(ret, 0, n * sizeof(*ret));
        for (size_t i = 0; i < len && field < first + n; field++) {
                while (i < len && line[i] == ' ')
                        i++;
                for (; i < len && line[i] != ' '; i++) {
                        if (field >= first && line[i] >= '0' && line[i] <= '9')
                                ret[field - first] = ret[field - first] * 10 + (uint64_t)(line[i] - '0');
                }
        }
}

/* A word at the beginning of a line, up to a space or colon. */
static bool begins(const char *line, size_t len, const char *word)
{
        size_t n = strlen(word);

        return len > n && !memcmp(line, word, n) && (line[n] == ' ' || line[n] == ':');
}

/* A short file of one of the kernel's file systems: its text, "" if it cannot be read. Return: its length. */
static size_t read_short(const char *path, char text[256])
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, text, 255) : 0;

        if (fd >= 0)
                close(fd);
        text[n > 0 ? n : 0] = 0;
        return n > 0 ? (size_t)n : 0;
}

struct report {
        uint8_t *out;
        size_t len;
        uint64_t disk_read, disk_written, net_received, net_sent;
};

/* What does not fit is not told: there is always room while names are as few as they are. */
static void tell(struct report *r, const char *name, uint64_t value)
{
        if (r->len + PROTOCOL_METRIC_LINE_MAX <= PROTOCOL_SMALL_MAX)
                r->len += protocol_put_metric(r->out + r->len, name, value);
}

/* cpu  user nice system idle iowait irq softirq steal */
static bool on_stat(char *line, size_t len, void *owner)
{
        uint64_t t[7];

        read_fields(line, len, 1, t, 7);
        tell(owner, "cpu_user_us", (t[0] + t[1]) * US_PER_TICK);
        tell(owner, "cpu_system_us", (t[2] + t[5] + t[6]) * US_PER_TICK);
        tell(owner, "cpu_idle_us", (t[3] + t[4]) * US_PER_TICK);
        return false;
}

static bool on_meminfo(char *line, size_t len, void *owner)
{
        static const char *const names[][2] = {
                { "MemTotal", "memory_total_bytes" },
                { "MemFree", "memory_free_bytes" },
                { "MemAvailable", "memory_available_bytes" },
                { "Cached", "memory_cached_bytes" },
        };
        uint64_t kib;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (!begins(line, len, names[i][0]))
                        continue;
                read_fields(line, len, 1, &kib, 1);
                tell(owner, names[i][1], kib * 1024);
        }
        return !begins(line, len, "Cached"); /* the last of them */
}

/* major minor name reads merged sectors ms writes merged sectors: the virtio disks, not their partitions */
static bool on_disk(char *line, size_t len, void *owner)
{
        struct report *r = owner;
        const char *name = memmem(line, len, " vd", 3), *end;
        uint64_t sectors[5];

        if (!name)
                return true;
        end = memchr(name + 1, ' ', len - (size_t)(name + 1 - line));
        if (!end || (end[-1] >= '0' && end[-1] <= '9'))
                return true;
        read_fields(line, len, 5, sectors, 5);
        r->disk_read += sectors[0] * SECTOR_BYTES;
        r->disk_written += sectors[4] * SECTOR_BYTES;
        return true;
}

/* name: bytes packets and six more, then the same of what was sent: every interface but the loopback */
static bool on_net(char *line, size_t len, void *owner)
{
        struct report *r = owner;
        char *colon = memchr(line, ':', len);
        uint64_t bytes[9];

        if (!colon || (colon - line >= 2 && !memcmp(colon - 2, "lo", 2)))
                return true;
        read_fields(colon + 1, len - (size_t)(colon + 1 - line), 0, bytes, 9);
        r->net_received += bytes[0];
        r->net_sent += bytes[8];
        return true;
}

/* size resident shared ...: what is resident and not shared is the agent's own */
static bool on_statm(char *line, size_t len, void *owner)
{
        uint64_t pages[2];

        read_fields(line, len, 1, pages, 2);
        tell(owner, "agent_memory_bytes", (pages[0] - pages[1]) * (uint64_t)sysconf(_SC_PAGESIZE));
        return false;
}

static void tell_system(struct report *r)
{
        struct timespec up;
        struct sysinfo info;

        clock_gettime(CLOCK_BOOTTIME, &up);
        tell(r, "uptime_ms", (uint64_t)up.tv_sec * 1000 + (uint64_t)up.tv_nsec / 1000000);
        tell(r, "cpus", (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
        (void)!lines_each("/proc/stat", on_stat, r); /* what cannot be read is not told */
        if (!sysinfo(&info))
                tell(r, "load_1m_milli", (uint64_t)info.loads[0] * 1000 >> SI_LOAD_SHIFT);
        (void)!lines_each("/proc/meminfo", on_meminfo, r);
}

/* Tasks of users. Without the cgroup there were none yet. */
static uint64_t count_tasks(void)
{
        char text[256];
        size_t len = read_short(USERS "pids.current", text);
        uint64_t n;

        read_fields(text, len, 0, &n, 1);
        return n;
}

static void tell_traffic(struct report *r)
{
        struct statvfs root;

        (void)!lines_each("/proc/diskstats", on_disk, r);
        (void)!lines_each("/proc/net/dev", on_net, r);
        tell(r, "disk_read_bytes", r->disk_read);
        tell(r, "disk_written_bytes", r->disk_written);
        if (!statvfs("/", &root)) {
                tell(r, "root_total_bytes", (uint64_t)root.f_blocks * root.f_frsize);
                tell(r, "root_free_bytes", (uint64_t)root.f_bavail * root.f_frsize);
        }
        tell(r, "net_received_bytes", r->net_received);
        tell(r, "net_sent_bytes", r->net_sent);
}

size_t machine_report(uint8_t *out, uint32_t id, const struct machine_facts *facts)
{
        struct report r = { .out = out, .len = PROTOCOL_HEADER_SIZE };
        struct stat own;

        tell_system(&r);
        tell(&r, "processes", count_tasks());
        tell(&r, "execs", facts->execs);
        tell_traffic(&r);
        (void)!lines_each("/proc/self/statm", on_statm, &r);
        if (!stat("/proc/self/fd", &own)) /* since Linux 6.2 its size is their number */
                tell(&r, "agent_descriptors", (uint64_t)own.st_size);
        tell(&r, "frozen", facts->frozen);

        struct protocol_frame frame = { .type = PROTOCOL_REPORT,
                                        .id = id,
                                        .len = (uint32_t)(r.len - PROTOCOL_HEADER_SIZE) };

        protocol_put_header(out, &frame);
        return r.len;
}

int machine_set_clock(uint64_t ns)
{
        struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

        return clock_settime(CLOCK_REALTIME, &t) ? -errno : 0;
}

bool machine_sync(struct child *c, const uint8_t *payload, uint32_t len)
{
        (void)payload;
        (void)len;
        sync();
        return child_done(c);
}

/* Without the cgroup nothing was started yet, and nothing can be while it is frozen: see conn_check_state(). */
int machine_freeze(bool yes)
{
        int fd = open(USERS "cgroup.freeze", O_WRONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        n = write(fd, yes ? "1" : "0", 1);

        int r = n < 0 ? -errno : 0;

        close(fd);
        return r;
}

bool machine_wait_frozen(struct child *c, const uint8_t *payload, uint32_t len)
{
        char text[256];
        struct pollfd events = { .fd = open(USERS "cgroup.events", O_RDONLY | O_CLOEXEC), .events = POLLPRI };

        (void)payload;
        (void)len;
        if (events.fd < 0)
                return child_done(c);
        for (;;) {
                /* read before looking: what changes after it is an event */
                ssize_t n = pread(events.fd, text, sizeof(text) - 1, 0);

                text[n > 0 ? n : 0] = 0;
                if (strstr(text, "frozen 1"))
                        return child_done(c);
                if (!read_short(USERS "cgroup.freeze", text) || text[0] != '1')
                        return child_fail(c, PROTOCOL_FAULT_SYSTEM, ECANCELED,
                                          CHILD_WORDS("somebody else let the guest go on"));
                poll(&events, 1, FREEZE_MS);
        }
}
