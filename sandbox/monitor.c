/*
 * Client of a monitor's control socket.
 * Input:  answers of a monitor (untrusted).
 * Runs:   any thread of the tool, which waits.
 * Limits: MONITOR_ANSWER_MAX bytes and ANSWER_S seconds an answer, STATUS_S of what comes at once.
 */
#include "sandbox/monitor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "sandbox/text.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/loop.h"

#define ANSWER_S  10u
#define STATUS_S  5u
#define NS_PER_MS 1000000ull

static int connect_for(const struct sandbox *s, unsigned seconds)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct timeval limit = { .tv_sec = seconds };
        cleanup(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        memcpy(address.sun_path, s->control, strlen(s->control));
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
            connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return err_new(-errno);
        return steal_fd(&fd);
}

int monitor_connect(const struct sandbox *s)
{
        return connect_for(s, ANSWER_S);
}

pid_t monitor_pid(int fd)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? 0 : peer.pid;
}

static int failed(const struct sandbox *s, int e, struct problem *p)
{
        if (e == ENOENT || e == ECONNREFUSED)
                return problem_set(p, SANDBOX_FAILED, "sandbox %s does not run: vmlet start %s", s->id,
                                   s->id);
        if (e == EAGAIN) {
                (void)!problem_set(p, SANDBOX_FAILED,
                                   "the monitor of sandbox %s does not answer: vmlet kill %s", s->id, s->id);
                return -EAGAIN;
        }
        return problem_set(p, SANDBOX_FAILED, "the monitor of sandbox %s: %s", s->id, strerror(e));
}

static int refused(const struct sandbox *s, const char *words, size_t len, struct problem *p)
{
        char text[300];

        text_printable(words, len, text, sizeof(text));
        (void)!problem_set(p, SANDBOX_FAILED, "sandbox %s: its monitor says: %s", s->id, text);
        return len >= 11 && !memcmp(words, "unsupported", 11) ? -ENOTSUP : -1;
}

/* recv() that gives up at @end_ns: a peer that sends a byte now and then gets no more time than others. */
static ssize_t receive_some(int fd, char *bytes, size_t room, uint64_t end_ns)
{
        struct pollfd readable = { .fd = fd, .events = POLLIN };
        uint64_t now = loop_now_ns();
        int r = now < end_ns ? poll(&readable, 1, (int)((end_ns - now) / NS_PER_MS) + 1) : 0;

        if (r > 0)
                return recv(fd, bytes, room, 0);
        if (!r)
                errno = EAGAIN;
        return -1;
}

static int receive(const struct sandbox *s, int fd, uint64_t end_ns, char *bytes, char **ret,
                   struct problem *p)
{
        for (size_t n = 0;;) {
                ssize_t more = receive_some(fd, bytes + n, MONITOR_ANSWER_MAX + MONITOR_LINE_MAX - n, end_ns);
                enum monitor_reply reply;
                const char *at;
                size_t len;

                if (more < 0 && errno == EINTR)
                        continue;
                if (more <= 0)
                        return failed(s, more ? errno : ECONNRESET, p);
                n += (size_t)more;
                reply = monitor_parse(bytes, n, &at, &len);
                if (reply == MONITOR_REFUSED)
                        return refused(s, at, len, p);
                if (reply == MONITOR_BAD)
                        return failed(s, EPROTO, p);
                if (reply == MONITOR_MORE)
                        continue;
                if (ret && !(*ret = strndup(at, len)))
                        return failed(s, ENOMEM, p);
                return 0;
        }
}

static int ask(const struct sandbox *s, unsigned seconds, const char *line, char **ret, struct problem *p)
{
        uint64_t end_ns = loop_now_ns() + seconds * 1000 * NS_PER_MS;
        cleanup(fd_closep) int fd = connect_for(s, seconds);
        cleanup(freep) char *bytes = malloc(MONITOR_ANSWER_MAX + MONITOR_LINE_MAX);
        char request[128];
        int n = snprintf(request, sizeof(request), "%s\n", line);

        if (fd < 0)
                return failed(s, -fd, p);
        if (!bytes || n >= (int)sizeof(request))
                return failed(s, ENOMEM, p);
        if (send(fd, request, (size_t)n, MSG_NOSIGNAL) < 0)
                return failed(s, errno, p);
        return receive(s, fd, end_ns, bytes, ret, p);
}

int monitor_ask(const struct sandbox *s, const char *line, char **ret, struct problem *p)
{
        int r = ask(s, ANSWER_S, line, ret, p);

        return r == -EAGAIN ? -1 : r;
}

int monitor_status(const struct sandbox *s, char **ret, struct problem *p)
{
        return ask(s, STATUS_S, "status", ret, p);
}

ssize_t monitor_line(int fd, char *line, size_t size)
{
        size_t n = 0;

        while (n < size - 1) {
                ssize_t r = recv(fd, line + n, 1, 0);

                if (r < 0 && errno == EINTR)
                        continue;
                if (r < 0)
                        return err_new(-errno);
                if (!r)
                        return 0;
                if (line[n++] == '\n')
                        break;
        }
        line[n] = 0;
        return (ssize_t)n;
}
