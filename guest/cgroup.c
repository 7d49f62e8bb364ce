/*
 * Control groups: a pool of them, their counters, their ends.
 * Input:  files of the guest's kernel. Root in the guest may change them: then numbers are wrong.
 * Runs:   the agent's only thread.
 * Limits: CGROUPS_MAX; the first KEPT_MAX are kept when they are empty, the first WARM_MAX with open files.
 *
 * A group that is used again keeps its counters, so what it had at the end of one exec is where the next
 * begins. Its memory may hold files that an earlier exec read: their share is left out too, and a group is
 * rather kept than removed, because a removed one stays in the kernel for as long as they are cached.
 */
#include "guest/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest/text.h"

#define WARM_MAX  8u  /* their descriptors stay open: an exec costs no open() */
#define KEPT_MAX  32u /* more are removed when they are empty */
#define MOVES_MAX 16u /* rounds; whoever forks faster than that stays where it is */

enum file { FILE_EVENTS, FILE_CPU, FILE_PEAK, FILE_MEMORY, FILE_OOM, FILE_IO, FILE_MAX, FILE_HIGH, FILE_NR };

static const char *const names[] = {
        "cgroup.events", "cpu.stat", "memory.peak", "memory.current",
        "memory.events", "io.stat",  "memory.max",  "memory.high",
};

_Static_assert(sizeof(names) / sizeof(names[0]) == FILE_NR, "one name for each file");

struct cgroup {
        uint32_t number; /* 0 = there is none */
        bool used, frozen;
        int folder, files[FILE_NR];
        struct cgroup_usage base, last; /* its counters when it was taken, and when they were read last */
};

static struct cgroup groups[CGROUPS_MAX];
static const char *top;
static uint32_t limit;
static uint32_t last_number;
static int user_fd = -1;

void cgroup_init(const char *path, uint32_t tasks_max)
{
        top = path;
        limit = tasks_max;
}

/* Return: digits of @v, from @ret on, and a NUL behind them. */
static size_t put_number(char ret[12], uint32_t v)
{
        char digits[11];
        size_t n = sizeof(digits);

        do
                digits[--n] = (char)('0' + v % 10);
        while (v /= 10);
        memcpy(ret, digits + n, sizeof(digits) - n);
        ret[sizeof(digits) - n] = 0;
        return sizeof(digits) - n;
}

static void write_at(int folder, const char *name, const char *value)
{
        int fd = openat(folder, name, O_WRONLY | O_CLOEXEC);

        if (fd < 0)
                return;
        (void)!write(fd, value, strlen(value)); /* a kernel without it counts less */
        close(fd);
}

/* Makes @name in @folder, whose children may then have controllers. Return: the new folder, or -1. */
static int make_folder(int folder, const char *name, const char *controllers)
{
        if (mkdirat(folder, name, 0755) && errno != EEXIST)
                return -1;

        int fd = openat(folder, name, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

        if (fd >= 0)
                write_at(fd, "cgroup.subtree_control", controllers);
        return fd;
}

int cgroup_user(void)
{
        static bool tried;

        if (tried || !top)
                return user_fd;
        tried = true;

        const char *slash = strrchr(top, '/');
        struct text mount_point;

        text_set(&mount_point, top);
        mount_point.s[slash - top] = 0;
        if (access(mount_point.s, F_OK))
                return -1;

        int fd = open(mount_point.s, O_DIRECTORY | O_RDONLY | O_CLOEXEC), vmlet = -1;

        if (fd >= 0 &&
            faccessat(fd, "cgroup.procs", F_OK, 0)) { /* an image may have unmounted what we mounted */
                close(fd);
                mount("cgroup2", mount_point.s, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
                fd = open(mount_point.s, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
        }
        if (fd >= 0) {
                write_at(fd, "cgroup.subtree_control", "+cpu +memory +pids +io");
                vmlet = make_folder(fd, slash + 1, "+memory +pids +io");
                close(fd);
        }
        if (vmlet >= 0) {
                user_fd = make_folder(vmlet, "user", "+memory +io");
                close(vmlet);
        }
        if (user_fd >= 0 && limit) {
                char digits[12];

                put_number(digits, limit);
                write_at(user_fd, "pids.max", digits);
        }
        return user_fd;
}

/* "NUMBER/name", or just the number. */
static void path_of(const struct cgroup *cg, const char *name, char ret[48])
{
        size_t len = put_number(ret, cg->number);

        if (*name) {
                ret[len] = '/';
                memcpy(ret + len + 1, name, strlen(name) + 1);
        }
}

static int open_file(const struct cgroup *cg, const char *name, int flags)
{
        char path[48];

        path_of(cg, name, path);
        return openat(user_fd, path, flags | O_CLOEXEC);
}

/* The peak is counted from a write to its own descriptor on, so that one is needed as long as the group. */
static bool stays_open(const struct cgroup *cg, enum file which)
{
        size_t i = (size_t)(cg - groups);

        return i < WARM_MAX || (i < KEPT_MAX && which == FILE_PEAK);
}

static size_t read_file(struct cgroup *cg, enum file which, char *to, size_t size)
{
        int fd = cg->files[which];

        if (fd < 0)
                fd = open_file(cg, names[which], which == FILE_PEAK ? O_RDWR : O_RDONLY);

        ssize_t n = fd >= 0 ? pread(fd, to, size - 1, 0) : -1;

        if (fd >= 0 && stays_open(cg, which))
                cg->files[which] = fd;
        else if (fd >= 0)
                close(fd);
        to[n > 0 ? n : 0] = 0;
        return n > 0 ? (size_t)n : 0;
}

static uint64_t number_at(const char *s)
{
        uint64_t v = 0;

        while (*s >= '0' && *s <= '9')
                v = v * 10 + (uint64_t)(*s++ - '0');
        return v;
}

/* The number behind "@name ", or the sum of those behind each "@name=". */
static uint64_t sum_of(const char *text, const char *name)
{
        size_t len = strlen(name);
        uint64_t sum = 0;

        for (const char *at = text; (at = strstr(at, name)); at += len)
                sum += number_at(at + len);
        return sum;
}

static void read_counters(struct cgroup *cg, struct cgroup_usage *ret)
{
        char text[1024];

        read_file(cg, FILE_CPU, text, sizeof(text));
        ret->user_us = sum_of(text, "user_usec ");
        ret->system_us = sum_of(text, "system_usec ");
        read_file(cg, FILE_MEMORY, text, sizeof(text));
        ret->memory_bytes = number_at(text);
        read_file(cg, FILE_OOM, text, sizeof(text));
        ret->oom_kills = sum_of(text, "oom_kill ");
        read_file(cg, FILE_IO, text, sizeof(text));
        ret->read_bytes = sum_of(text, "rbytes=");
        ret->write_bytes = sum_of(text, "wbytes=");
        read_file(cg, FILE_PEAK, text, sizeof(text));
        ret->peak_bytes = number_at(text);
}

static uint64_t less(uint64_t now, uint64_t before)
{
        return now > before ? now - before : 0;
}

void cgroup_read(struct cgroup *cg, struct cgroup_usage *ret)
{
        read_counters(cg, &cg->last);

        struct cgroup_usage now = cg->last;

        *ret = (struct cgroup_usage){
                .user_us = less(now.user_us, cg->base.user_us),
                .system_us = less(now.system_us, cg->base.system_us),
                .peak_bytes = less(now.peak_bytes, cg->base.memory_bytes),
                .memory_bytes = less(now.memory_bytes, cg->base.memory_bytes),
                .read_bytes = less(now.read_bytes, cg->base.read_bytes),
                .write_bytes = less(now.write_bytes, cg->base.write_bytes),
                .oom_kills = less(now.oom_kills, cg->base.oom_kills),
        };
}

static void close_all(struct cgroup *cg)
{
        for (size_t i = 0; i < FILE_NR; i++) {
                if (cg->files[i] >= 0)
                        close(cg->files[i]);
                cg->files[i] = -1;
        }
        if (cg->folder >= 0)
                close(cg->folder);
        cg->folder = -1;
}

static bool make(struct cgroup *cg)
{
        char path[48];

        *cg = (struct cgroup){ .number = last_number + 1, .folder = -1 };
        for (size_t i = 0; i < FILE_NR; i++)
                cg->files[i] = -1;
        path_of(cg, "", path);
        if (mkdirat(user_fd, path, 0755)) {
                cg->number = 0;
                return false;
        }
        last_number++;
        return true;
}

struct cgroup *cgroup_take(void)
{
        struct cgroup *free_place = NULL;

        if (cgroup_user() < 0)
                return NULL;
        for (size_t i = 0; i < CGROUPS_MAX; i++) {
                struct cgroup *cg = &groups[i];

                if (cg->number && !cg->used) {
                        cg->used = true;
                        return cg;
                }
                if (!cg->number && !free_place)
                        free_place = cg;
        }
        if (!free_place || !make(free_place))
                return NULL;
        free_place->used = true;
        return free_place;
}

int cgroup_folder(struct cgroup *cg)
{
        if (cg->folder < 0)
                cg->folder = open_file(cg, "", O_DIRECTORY | O_RDONLY);
        return cg->folder;
}

void cgroup_started(struct cgroup *cg)
{
        if (cg - groups < (ptrdiff_t)WARM_MAX)
                return;
        close(cg->folder);
        cg->folder = -1;
}

uint32_t cgroup_number(const struct cgroup *cg)
{
        return cg->number;
}

bool cgroup_is_empty(struct cgroup *cg)
{
        char text[128];

        read_file(cg, FILE_EVENTS, text, sizeof(text));
        cg->frozen = strstr(text, "frozen 1");
        return !strstr(text, "populated 1");
}

int cgroup_events(struct cgroup *cg)
{
        int fd = open_file(cg, names[FILE_EVENTS], O_RDONLY);
        char text[128];

        if (fd >= 0)
                (void)!read(fd, text, sizeof(text)); /* from now on it tells what is new */
        return fd;
}

/* Calls fn() for each process in it. Return: how many there were. */
static size_t each_process(struct cgroup *cg, void (*fn)(pid_t pid, int value), int value)
{
        int fd = open_file(cg, "cgroup.procs", O_RDONLY);
        char text[4096];
        size_t found = 0;
        pid_t pid = 0;
        ssize_t n;

        while (fd >= 0 && (n = read(fd, text, sizeof(text))) > 0) {
                for (ssize_t i = 0; i < n; i++) {
                        if (text[i] != '\n') {
                                pid = pid * 10 + (text[i] - '0');
                                continue;
                        }
                        if (pid > 1)
                                fn(pid, value);
                        found++;
                        pid = 0;
                }
        }
        if (fd >= 0)
                close(fd);
        return found;
}

static void signal_one(pid_t pid, int signal)
{
        kill(pid, signal);
}

void cgroup_signal(struct cgroup *cg, int signal)
{
        int fd = signal == SIGKILL ? open_file(cg, "cgroup.kill", O_WRONLY) : -1;

        if (fd < 0 || write(fd, "1", 1) != 1)
                each_process(cg, signal_one, signal);
        if (fd >= 0)
                close(fd);
}

static void move_one(pid_t pid, int procs)
{
        char digits[12];

        (void)!write(procs, digits, put_number(digits, (uint32_t)pid)); /* it may have ended meanwhile */
}

void cgroup_move_rest(struct cgroup *cg)
{
        int folder = make_folder(user_fd, "rest", ""), procs = -1;

        if (folder >= 0)
                procs = openat(folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        for (int i = 0; procs >= 0 && i < (int)MOVES_MAX; i++) {
                if (!each_process(cg, move_one, procs))
                        break;
        }
        if (procs >= 0)
                close(procs);
        if (folder >= 0)
                close(folder);
}

/* Root in the guest may have limited his own group; the next command is not to live with that. */
static bool is_unlimited(struct cgroup *cg)
{
        char text[32];

        read_file(cg, FILE_MAX, text, sizeof(text));
        if (text[0] >= '0' && text[0] <= '9')
                return false;
        read_file(cg, FILE_HIGH, text, sizeof(text));
        return text[0] < '0' || text[0] > '9';
}

void cgroup_give_back(struct cgroup *cg, bool good)
{
        char path[48];
        bool keep = good && !cg->frozen && cg - groups < (ptrdiff_t)KEPT_MAX && is_unlimited(cg);

        cg->used = false;
        if (keep) {
                cg->base = cg->last;
                keep = cg->files[FILE_PEAK] < 0 || pwrite(cg->files[FILE_PEAK], "0", 1, 0) == 1;
        }
        if (keep)
                return;
        close_all(cg);
        path_of(cg, "", path);
        (void)!unlinkat(user_fd, path, AT_REMOVEDIR); /* one that is not empty outlives its exec */
        cg->number = 0;
}
