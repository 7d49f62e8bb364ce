/*
 * The list of all processes of users: one walk over /proc.
 * Input:  files of /proc; names and arguments are the guest's (hostile to nobody here, bounded and passed on).
 * Runs:   a child.
 * Limits: one frame and one record in memory, whatever the number of processes.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "guest/cgroup.h"
#include "guest/exec.h"
#include "guest/lines.h"
#include "guest/machine.h"

#define FRAME_BYTES (32u << 10)
#define NAMES_NR    16u  /* user names that are remembered */
#define TICKS_PER_S 100u /* USER_HZ */
#define NS_PER_TICK (1000000000u / TICKS_PER_S)
#define US_PER_TICK (1000000u / TICKS_PER_S)
#define PF_KTHREAD  0x00200000u /* of a kernel thread: <linux/sched.h> */
#define EXEC_CGROUP "0::/vmlet/user/"
#define ROOT_CGROUP "0::/\n"

/* Fields of /proc/PID/stat behind the name, counted from the state. */
enum {
        STAT_STATE,
        STAT_PPID,
        STAT_FLAGS = 6,
        STAT_UTIME = 11,
        STAT_STIME,
        STAT_START = 19,
        STAT_RSS = 21,
        STAT_NR
};

struct dirent64 { /* of getdents64(2) */
        uint64_t ino, off;
        uint16_t reclen;
        uint8_t type;
        char name[];
};

struct name {
        uint32_t uid;
        bool known;
        char text[PROTOCOL_PROCESS_USER_MAX + 1];
};

struct list {
        struct child *child;
        uint64_t boot_ns; /* when the kernel started, since 1970 */
        uint64_t page_bytes;
        struct name names[NAMES_NR];
        uint8_t frame[PROTOCOL_HEADER_SIZE + FRAME_BYTES];
        size_t len; /* of the records in it */
};

static void flush(struct list *l)
{
        struct protocol_frame frame = { .type = PROTOCOL_PROCESS,
                                        .id = l->child->id,
                                        .len = (uint32_t)l->len };

        if (!l->len)
                return;
        protocol_put_header(l->frame, &frame);
        child_send(l->child, l->frame, PROTOCOL_HEADER_SIZE + l->len);
        l->len = 0;
}

struct passwd_query {
        uint32_t uid;
        struct name *to;
};

/* name:password:uid:... */
static bool on_passwd(char *line, size_t len, void *owner)
{
        struct passwd_query *q = owner;
        char *colon = memchr(line, ':', len), *end = line + len, *number, *behind;
        uint32_t uid;

        number = colon ? memchr(colon + 1, ':', (size_t)(end - colon - 1)) : NULL;
        behind = number ? memchr(number + 1, ':', (size_t)(end - number - 1)) : NULL;
        if (!behind || (size_t)(colon - line) > PROTOCOL_PROCESS_USER_MAX ||
            !text_number(number + 1, (size_t)(behind - number - 1), UINT32_MAX, &uid) || uid != q->uid)
                return true;
        memcpy(q->to->text, line, (size_t)(colon - line));
        q->to->text[colon - line] = 0;
        return false;
}

static const char *user_name(struct list *l, uint32_t uid)
{
        struct name *name = &l->names[uid % NAMES_NR];
        struct passwd_query query = { .uid = uid, .to = name };

        if (!name->known || name->uid != uid) {
                *name = (struct name){ .uid = uid, .known = true };
                (void)!lines_each("/etc/passwd", on_passwd, &query); /* then it has no name */
        }
        return name->text;
}

/* Reads a file of a process's folder. Return: bytes, with a NUL behind them; 0 if the process is gone. */
static size_t read_at(int dir, const char *name, char *to, size_t size)
{
        int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, to, size - 1) : 0;

        if (fd >= 0)
                close(fd);
        to[n > 0 ? n : 0] = 0;
        return n > 0 ? (size_t)n : 0;
}

static uint64_t number(const char *s)
{
        uint64_t n = 0;

        for (; *s >= '0' && *s <= '9'; s++)
                n = n * 10 + (uint64_t)(*s - '0');
        return n;
}

/* Return: false for the kernel's own threads, and for what is gone. */
static bool read_stat(const struct list *l, int dir, struct protocol_process *p, char comm[20])
{
        char text[1024], *field;
        uint64_t f[STAT_NR] = { 0 };
        size_t n;

        if (!read_at(dir, "stat", text, sizeof(text)))
                return false;

        char *open = strchr(text, '('), *close = strrchr(text, ')');

        if (!open || !close || close < open || close[1] != ' ')
                return false;
        *close = 0;
        n = strnlen(open + 1, 16);
        comm[0] = '[';
        memcpy(comm + 1, open + 1, n);
        memcpy(comm + 1 + n, "]", 2);
        p->state = close[2];
        for (n = 0, field = close + 2; field && n < STAT_NR; field = strchr(field, ' '), n++)
                f[n] = number(*field == ' ' ? ++field : field);
        p->ppid = (uint32_t)f[STAT_PPID];
        p->cpu_us = (f[STAT_UTIME] + f[STAT_STIME]) * US_PER_TICK;
        p->started_ns = l->boot_ns + f[STAT_START] * NS_PER_TICK;
        p->memory_bytes = f[STAT_RSS] * l->page_bytes;
        return !(f[STAT_FLAGS] & PF_KTHREAD);
}

/* Arguments end with NULs; a process that has none (or is dead) is told by its short name. */
static void read_command(int dir, char *to, size_t size, const char *comm)
{
        size_t n = read_at(dir, "cmdline", to, size);

        while (n && !to[n - 1])
                n--;
        if (!n)
                memcpy(to, comm, strlen(comm) + 1);
        for (size_t i = 0; i < n; i++) {
                if (!to[i])
                        to[i] = ' ';
        }
}

static void add_process(struct list *l, int dir, uint32_t pid)
{
        char comm[20], cgroup[256], command[PROTOCOL_PROCESS_COMMAND_MAX + 1];
        struct protocol_process p = { .pid = pid, .command = command };
        struct stat owner;
        size_t n;

        if (fstat(dir, &owner) || !read_stat(l, dir, &p, comm))
                return;
        n = read_at(dir, "cgroup", cgroup, sizeof(cgroup));
        if (!strcmp(cgroup, ROOT_CGROUP) && cgroup_user() >= 0) /* the agent's own: commands are in theirs */
                return;
        if (n >= sizeof(EXEC_CGROUP) && !memcmp(cgroup, EXEC_CGROUP, sizeof(EXEC_CGROUP) - 1))
                p.proc = exec_of_cgroup((uint32_t)number(cgroup + sizeof(EXEC_CGROUP) - 1));
        read_command(dir, command, sizeof(command), comm);
        p.uid = owner.st_uid;
        p.user = user_name(l, p.uid);
        if (l->len + PROTOCOL_SMALL_MAX > FRAME_BYTES)
                flush(l);
        l->len += protocol_put_process(l->frame + PROTOCOL_HEADER_SIZE + l->len, &p);
}

static void add_all(struct list *l, int proc)
{
        _Alignas(struct dirent64) uint8_t entries[4096];
        long n;

        while ((n = syscall(SYS_getdents64, proc, entries, sizeof(entries))) > 0) {
                for (long at = 0; at < n;) {
                        /* SAFETY: the kernel aligns and ends the entries that it writes */
                        const struct dirent64 *entry = (const struct dirent64 *)(const void *)(entries + at);
                        uint32_t pid;

                        at += entry->reclen;
                        if (!text_number(entry->name, strlen(entry->name), INT32_MAX, &pid) || pid == 1)
                                continue;

                        int dir = openat(proc, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

                        if (dir < 0)
                                continue;
                        add_process(l, dir, pid);
                        close(dir);
                }
        }
}

bool machine_processes(struct child *c, const uint8_t *payload, uint32_t len)
{
        static struct list list;
        struct timespec now, up;
        int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        (void)payload;
        (void)len;
        clock_gettime(CLOCK_REALTIME, &now);
        clock_gettime(CLOCK_BOOTTIME, &up);
        list.child = c;
        list.boot_ns =
                (uint64_t)(now.tv_sec - up.tv_sec) * 1000000000u + (uint64_t)(now.tv_nsec - up.tv_nsec);
        list.page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
        if (proc >= 0)
                add_all(&list, proc);
        flush(&list);
        return child_done(c);
}
