/*
 * Requests about execs: signals, sizes of terminals, the list.
 * Input:  checked requests; /proc and control groups of the guest (hostile to nobody but itself).
 * Runs:   the agent's only thread.
 * Limits: a list comes in frames of as many records as there is room for.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest/exec_priv.h"
#include "guest/terminal.h"

static uint32_t process_flags(const struct exec *e)
{
        return (e->has_tty ? PROTOCOL_PROCESS_TTY : 0u) |
               (e->flags & PROTOCOL_EXEC_DETACH ? PROTOCOL_PROCESS_DETACHED : 0u) |
               (e->flags & PROTOCOL_EXEC_STDIN ? PROTOCOL_PROCESS_STDIN : 0u) |
               (e->flags & PROTOCOL_EXEC_MAIN ? PROTOCOL_PROCESS_MAIN : 0u) |
               (e->ended ? PROTOCOL_PROCESS_ENDED : 0u);
}

void exec_tell(const struct exec_reader *r)
{
        const struct exec *e = r->exec;
        const struct protocol_started started = { e->number, (uint32_t)e->pid, process_flags(e) };
        struct service *s = r->service;

        s->out_len += protocol_put_started(s->out + s->out_len, r->id, &started);
}

uint32_t exec_signal(struct exec_reader *r, const struct protocol_signal *signal, int *ret_errno)
{
        struct exec *e = exec_find(r, signal->proc);
        pid_t target;

        if (!e || e->ended)
                return PROTOCOL_FAULT_NO_PROCESS;
        if (signal->scope == PROTOCOL_SCOPE_ALL && e->cgroup) {
                cgroup_signal(e->cgroup, (int)signal->signal);
                return 0;
        }
        target = signal->scope == PROTOCOL_SCOPE_PROCESS ? e->pid : -e->pid;
        if (signal->scope == PROTOCOL_SCOPE_GROUP && e->has_tty) {
                pid_t foreground = terminal_foreground(e->out.fd);

                target = foreground ? -foreground : target;
        }
        if (!kill(target, (int)signal->signal))
                return 0;
        *ret_errno = errno;
        return PROTOCOL_FAULT_SYSTEM;
}

uint32_t exec_resize(struct exec_reader *r, const struct protocol_resize *size, int *ret_errno)
{
        struct exec *e = exec_find(r, size->proc);

        if (!e || !e->has_tty || e->out.fd < 0)
                return PROTOCOL_FAULT_NO_PROCESS;

        int error = terminal_resize(e->out.fd, size->rows, size->cols);

        *ret_errno = -error;
        return error ? PROTOCOL_FAULT_SYSTEM : 0;
}

/* "/proc/PID/name" into @to. Return: bytes, NUL-terminated. */
static size_t read_proc(pid_t pid, const char *name, char *to, size_t size)
{
        char path[64] = "/proc/", digits[12];
        size_t len = strlen(path), n = sizeof(digits);
        ssize_t got = -1;
        int fd;

        for (uint32_t v = (uint32_t)pid; v; v /= 10)
                digits[--n] = (char)('0' + v % 10);
        memcpy(path + len, digits + n, sizeof(digits) - n);
        len += sizeof(digits) - n;
        memcpy(path + len, name, strlen(name) + 1);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
                got = read(fd, to, size - 1);
                close(fd);
        }
        to[got > 0 ? got : 0] = 0;
        return got > 0 ? (size_t)got : 0;
}

static uint64_t real_ns(const struct exec *e)
{
        struct timespec t;

        clock_gettime(CLOCK_REALTIME, &t);

        int64_t started = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 - (exec_now_us() - e->started_us);

        return started > 0 ? (uint64_t)started * 1000 : 0;
}

static size_t put_record(uint8_t *out, struct exec *e)
{
        static char command[PROTOCOL_TEXT_MAX + 1], stat[512];
        struct cgroup_usage usage = { .user_us = e->exit.utime_us, .system_us = e->exit.stime_us };
        struct protocol_process p = { .proc = e->number,
                                      .pid = (uint32_t)e->pid,
                                      .ppid = (uint32_t)getpid(),
                                      .uid = e->uid,
                                      .flags = process_flags(e),
                                      .state = 'X',
                                      .started_ns = real_ns(e),
                                      .user = "",
                                      .command = command };
        size_t len = e->ended ? 0 : read_proc(e->pid, "/cmdline", command, sizeof(command));
        const char *name_end =
                e->ended || !read_proc(e->pid, "/stat", stat, sizeof(stat)) ? NULL : strrchr(stat, ')');

        for (size_t i = 0; i + 1 < len; i++)
                command[i] = command[i] ? command[i] : ' ';
        command[len] = 0;
        if (name_end && name_end[1])
                p.state = name_end[2];
        if (e->ring.bytes) {
                p.user = e->ring.label;
                p.command = e->ring.label + strlen(e->ring.label) + 1;
        }
        if (e->cgroup)
                cgroup_read(e->cgroup, &usage);
        p.cpu_us = usage.user_us + usage.system_us;
        p.memory_bytes = usage.memory_bytes;
        return protocol_put_process(out, &p);
}

uint32_t exec_list(struct service *s, uint32_t id, uint32_t from)
{
        uint8_t *frame = s->out + s->out_len, *at = frame + PROTOCOL_HEADER_SIZE;
        uint8_t *end = frame + CONN_CHUNK - PROTOCOL_SMALL_MAX;
        uint32_t i = from;

        for (; i < exec_high && at < end; i++) {
                if (exec_table[i].number)
                        at += put_record(at, &exec_table[i]);
        }

        struct protocol_frame header = { .type = PROTOCOL_PROCESS,
                                         .id = id,
                                         .len = (uint32_t)(at - frame - PROTOCOL_HEADER_SIZE) };

        s->out_len += protocol_put_header(frame, &header) + header.len;
        return i < exec_high ? i : 0;
}
