/*
 * A sandbox's network: its policy's file and its gateway's process.
 * Input:  a policy that was checked; a record that was checked.
 * Runs:   any thread of the tool, which waits.
 * Limits: LOG_MAX bytes of what the gateway says.
 */
#include "sandbox/network.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox/images.h"
#include "sandbox/lock.h"
#include "sandbox/process.h"
#include "vmm/base/io.h"

#define READY_MS 10000
#define LOG_MAX  (64u << 10)

bool network_has(const struct sandbox *s)
{
        char path[SANDBOX_FOLDER_MAX + 16];

        snprintf(path, sizeof(path), "%s/network.toml", s->folder);
        return !access(path, F_OK);
}

static int write_new(int folder_fd, const char *text, bool sync)
{
        cleanup(fd_closep) int fd =
                openat(folder_fd, ".network.toml", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int r;

        if (fd < 0)
                return err_new(-errno);
        r = io_write_all(fd, text, strlen(text));
        if (r < 0)
                return err_trace(r);
        return sync && fsync(fd) < 0 ? err_new(-errno) : 0;
}

int network_write(int folder_fd, const char *text, bool sync, struct problem *p)
{
        int r = write_new(folder_fd, text, sync);

        if (!r && renameat(folder_fd, ".network.toml", folder_fd, "network.toml") < 0)
                r = -errno;
        if (!r)
                return 0;
        (void)unlinkat(folder_fd, ".network.toml", 0);
        return problem_set(p, SANDBOX_FAILED, "cannot write the sandbox's network.toml: %s", strerror(-r));
}

static int no_network(const struct sandbox *s, struct problem *p)
{
        return problem_set(p, SANDBOX_FAILED,
                           "sandbox %s has no network: --net and --allow of vmlet run and create give one",
                           s->id);
}

int network_read(const struct sandbox *s, char **ret, struct problem *p)
{
        char path[SANDBOX_FOLDER_MAX + 16];
        int r;

        snprintf(path, sizeof(path), "%s/network.toml", s->folder);
        r = io_read_file(path, NETWORK_TEXT_MAX, ret);
        if (r == -ENOENT)
                return no_network(s, p);
        return r < 0 ? problem_set(p, SANDBOX_FAILED, "cannot read %.300s: %s", path, strerror(-r)) : 0;
}

/* Return: a connection to the gateway, -ENOENT or -ECONNREFUSED when none runs, or another negative errno. */
static int connect_gateway(const struct sandbox *s)
{
        const struct timeval limit = { .tv_sec = READY_MS / 1000 };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        cleanup(fd_closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        /* Beside the control socket, whose path fits. */
        size_t len = strlen(s->control) - strlen("control");

        if (fd < 0)
                return err_new(-errno);
        if (len + sizeof("network") > sizeof(address.sun_path))
                return err_new(-ENAMETOOLONG);
        memcpy(address.sun_path, s->control, len);
        memcpy(address.sun_path + len, "network", sizeof("network"));
        if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
            setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
            connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
                return err_new(-errno);
        return steal_fd(&fd);
}

/* Return: the length of its answer, a line, or negative. */
static ssize_t ask_gateway(int fd, const char *text, char *answer, size_t size)
{
        size_t n = 0;

        for (size_t at = 0, len = strlen(text); at < len;) {
                ssize_t more = send(fd, text + at, len - at, MSG_NOSIGNAL);

                if (more < 0 && errno != EINTR)
                        return err_new(-errno);
                at += more > 0 ? (size_t)more : 0;
        }
        (void)shutdown(fd, SHUT_WR);
        while (n < size - 1) {
                ssize_t more = recv(fd, answer + n, size - 1 - n, 0);

                if (more < 0 && errno == EINTR)
                        continue;
                if (more < 0)
                        return err_new(-errno);
                if (!more)
                        break;
                n += (size_t)more;
        }
        answer[n] = 0;
        answer[strcspn(answer, "\n")] = 0;
        return (ssize_t)n;
}

int network_replace(const struct sandbox *s, const char *text, struct problem *p)
{
        cleanup(fd_closep) int folder = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
        char answer[512];
        ssize_t n;

        if (!network_has(s))
                return no_network(s, p);
        fd = connect_gateway(s);
        if (fd < 0 && fd != -ENOENT && fd != -ECONNREFUSED)
                return problem_set(p, SANDBOX_FAILED, "the gateway of sandbox %s: %s", s->id, strerror(-fd));
        n = fd < 0 ? 0 : ask_gateway(fd, text, answer, sizeof(answer));
        if (n < 0)
                return problem_set(p, SANDBOX_FAILED, "the gateway of sandbox %s: %s", s->id,
                                   strerror((int)-n));
        if (fd >= 0 && strcmp(answer, "ok"))
                return problem_set(p, SANDBOX_FAILED, "the gateway of sandbox %s: %.400s", s->id,
                                   !strncmp(answer, "error ", 6) ? answer + 6 : "it gives no answer");
        if (network_write(folder, text, !s->temporary, p))
                return -1;
        if (fd < 0 && lock_is_held(s->folder))
                return problem_set(
                        p, SANDBOX_FAILED,
                        "the policy is kept, but the gateway of sandbox %s has ended, and its network "
                        "with it: vmlet stop %s, vmlet start %s",
                        s->id, s->id, s->id);
        return 0;
}

static char *read_events(const struct sandbox *s, const char *name)
{
        char path[SANDBOX_FOLDER_MAX + 32], *text = NULL;

        snprintf(path, sizeof(path), "%s/%s", s->folder, name);
        return io_read_file(path, NETWORK_EVENTS_MAX, &text) < 0 ? NULL : text;
}

int network_events(const struct sandbox *s, char **ret, struct problem *p)
{
        cleanup(freep) char *older = NULL, *newer = NULL;

        if (!network_has(s))
                return no_network(s, p);
        older = read_events(s, "network.jsonl.1");
        newer = read_events(s, "network.jsonl");
        if (asprintf(ret, "%s%s", older ? older : "", newer ? newer : "") < 0)
                return problem_set(p, SANDBOX_FAILED, "out of memory");
        return 0;
}

static int make_words(struct process_words *w, const struct sandbox *s, const struct record *r, int fd,
                      int ready)
{
        char program[PATHS_MAX];

        /* Beside us where it was built, else where meson install puts what nobody types. */
        if ((images_program_file("vmlet-net", program) || access(program, X_OK) < 0) &&
            (images_program_file("../libexec/vmlet/vmlet-net", program) || access(program, X_OK) < 0))
                return -ENOENT;
        process_add(w, NULL, "%s", program);
        process_add(w, "--fd", "%d", fd);
        process_add(w, "--ready-fd", "%d", ready);
        process_add(w, "--policy", "%s/network.toml", s->folder);
        process_add(w, "--events", "%s/network.jsonl", s->folder);
        process_add(w, "--control", "network");
        for (size_t i = 0; i < r->ports.nr; i++)
                process_add(w, "--publish", "%s", r->ports.items[i]);
        return w->failed ? -ENOMEM : 0;
}

int network_start(const struct sandbox *s, const struct record *r, struct network *ret, struct problem *p)
{
        cleanup(process_words_fini) struct process_words words = { 0 };
        cleanup(fd_closep) int gateway = -1, told = -1;
        char log[SANDBOX_FOLDER_MAX + 16];
        int ends[2], e;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot make a socket: %s", strerror(errno));
        ret->monitor_fd = ends[0];
        gateway = ends[1];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot make a pipe: %s", strerror(errno));
        ret->ready = ends[0];
        told = ends[1];
        e = make_words(&words, s, r, gateway, told);
        if (e == -ENOENT)
                return problem_set(p, SANDBOX_FAILED,
                                   "the network's gateway, vmlet-net, is not installed beside vmlet: do, or "
                                   "leave out --net");
        if (e)
                return problem_set(p, SANDBOX_FAILED, "too many ports, or out of memory");
        snprintf(log, sizeof(log), "%s/network.log", s->folder);
        e = process_spawn(&words,
                          &(struct process_files){
                                  .folder = s->run, .log = log, .keep = (const int[]){ gateway, told, -1 } },
                          &ret->pid);
        if (e) {
                ret->pid = 0;
                return problem_set(p, SANDBOX_FAILED, "cannot start %.300s: %s", words.items[0], strerror(e));
        }
        return 0;
}

/* The last line of its log, without the program's name. */
static int explain(const struct sandbox *s, struct problem *p)
{
        char path[SANDBOX_FOLDER_MAX + 16];
        cleanup(freep) char *text = NULL;
        char *line, *end;

        snprintf(path, sizeof(path), "%s/network.log", s->folder);
        if (io_read_file(path, LOG_MAX, &text) < 0 || !*text)
                return problem_set(p, SANDBOX_FAILED, "the network's gateway ended before it was ready");
        end = text + strlen(text);
        if (end[-1] == '\n')
                *--end = 0;
        line = strrchr(text, '\n');
        line = line ? line + 1 : text;
        if (!strncmp(line, "vmlet-net: ", 11))
                line += 11;
        return problem_set(p, SANDBOX_FAILED, "network: %.400s", line);
}

int network_wait_ready(const struct sandbox *s, struct network *n, struct problem *p)
{
        struct pollfd ready = { .fd = n->ready, .events = POLLIN };
        char line[8];
        int r;

        if (!n->pid)
                return 0;
        while ((r = poll(&ready, 1, READY_MS)) < 0 && errno == EINTR)
                continue;
        if (r > 0 && read(n->ready, line, sizeof(line)) > 0)
                return 0;
        if (r <= 0)
                return problem_set(p, SANDBOX_FAILED, "the network's gateway does not become ready");
        return explain(s, p);
}

void network_fini(struct network *n)
{
        fd_closep(&n->monitor_fd);
        fd_closep(&n->ready);
}
