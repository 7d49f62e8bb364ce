/*
 * Drives the agent's client over a Unix socket until one command has ended.
 * Input:  frames of the guest's agent (hostile; checked in agent.c), the caller's standard input.
 * Runs:   the caller's thread, which waits.
 * Limits: one command; the times in struct agent_job.
 */
#include "sandbox/agent_run.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/agent.h"
#include "vmm/base/io.h"

#define RETRY_MS       20   /* a guest that is still booting has nobody listening yet */
#define SOCKET_WAIT_MS 1000 /* for a socket that is not there yet */
#define TEXT_SHOWN     400

struct run {
        const struct agent_job *job;
        struct problem *problem;
        struct agent *agent;
        int fd;
        bool greeted, ended, in_open;
        int status;
        uint64_t answer_at, end_at; /* deadlines, ms; end_at 0 = none */
};

static uint64_t now_ms(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int failed(struct run *run, const char *what)
{
        return problem_set(run->problem, AGENT_RUN_FAILED, "%s: %s", run->job->socket, what);
}

static int no_answer(struct run *run)
{
        uint64_t s = run->job->answer_ms / 1000;

        return problem_set(run->problem, AGENT_RUN_FAILED,
                           "%s: the agent does not answer within %llu s: is the guest still booting, or "
                           "without an agent?",
                           run->job->socket, (unsigned long long)s);
}

static int explain_connect(struct run *run, int error)
{
        struct stat st;

        switch (error) {
        case ENOENT:
        case ENOTDIR:
                return failed(run, "no such socket: is the VM running, with --vsock?");
        case ECONNREFUSED:
                if (!stat(run->job->socket, &st) && !S_ISSOCK(st.st_mode))
                        return failed(run, "not a socket: give the path that the VM was started with");
                return failed(run, "nobody listens on it: the VM that made it has ended");
        case EPROTOTYPE:
                return failed(run, "not a stream socket: give the path that the VM was started with");
        default:
                return failed(run, strerror(error));
        }
}

static int connect_once(struct run *run)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        size_t len = strlen(run->job->socket);

        if (!len || len >= sizeof(address.sun_path))
                return problem_set(run->problem, AGENT_RUN_FAILED,
                                   "socket path of %zu characters: it must have 1 to %zu; a shorter relative "
                                   "path may do",
                                   len, sizeof(address.sun_path) - 1);
        memcpy(address.sun_path, run->job->socket, len);
        run->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (run->fd < 0)
                return failed(run, strerror(errno));
        /* Whoever starts a VM in the background and goes on at once is here before its socket is. */
        for (unsigned waited_ms = 0; connect(run->fd, (const struct sockaddr *)&address, sizeof(address));
             waited_ms += RETRY_MS) {
                if ((errno != ENOENT && errno != ECONNREFUSED) || waited_ms >= SOCKET_WAIT_MS)
                        return explain_connect(run, errno);
                poll(NULL, 0, RETRY_MS);
        }
        return 0;
}

/* What comes from the guest goes to a terminal: nothing in it may act there. */
static void to_printable(const char *text, size_t len, char *to, size_t size)
{
        size_t n = len < size - 1 ? len : size - 1;

        for (size_t i = 0; i < n; i++) {
                unsigned char c = (unsigned char)text[i];

                to[i] = (char)(c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xa0) ? '?' : c);
        }
        to[n] = 0;
}

static int on_error(struct run *run, const struct protocol_error *error)
{
        char text[TEXT_SHOWN];
        int status = AGENT_RUN_FAILED;

        to_printable(error->text, error->text_len, text, sizeof(text));
        if (error->code == PROTOCOL_FAULT_NOT_FOUND)
                status = AGENT_RUN_NOT_FOUND;
        else if (error->code == PROTOCOL_FAULT_NOT_EXECUTABLE)
                status = AGENT_RUN_NOT_EXECUTABLE;
        return problem_set(run->problem, status, "%s", *text ? text : protocol_fault_name(error->code));
}

static int write_out(struct run *run, int fd, const struct agent_event *event)
{
        int r = io_write_all(fd, event->bytes, event->len);

        if (r < 0)
                return problem_set(run->problem, AGENT_RUN_FAILED, "cannot write the command's output: %s",
                                   strerror(-r));
        return 0;
}

static int on_event(struct run *run, const struct agent_event *event)
{
        switch (event->kind) {
        case AGENT_WELCOME:
                run->greeted = true;
                return 0;
        case AGENT_STDOUT:
                return write_out(run, run->job->out, event);
        case AGENT_STDERR:
                return write_out(run, run->job->err, event);
        case AGENT_EXIT:
                run->ended = true;
                run->status = (int)event->exit.value + (event->exit.kind == PROTOCOL_SIGNALLED ? 128 : 0);
                return 0;
        case AGENT_ERROR:
                return on_error(run, &event->error);
        case AGENT_DONE:
        case AGENT_NOTHING:
        case AGENT_KIND_NR:
                break;
        }
        return 0;
}

static int on_gone(struct run *run)
{
        if (!run->greeted)
                return failed(run, "the connection was closed before the agent answered");
        return failed(run, "the VM ended while the command ran");
}

/* Return: 0, 1 when the connection was closed before anybody answered (try again), or -1. */
static int receive(struct run *run)
{
        struct agent_event event;
        size_t size;
        uint8_t *room = agent_room(run->agent, &size);
        ssize_t n = recv(run->fd, room, size, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0)
                return agent_is_connected(run->agent) ? on_gone(run) : 1;
        agent_fed(run->agent, (size_t)n);
        do {
                int r = agent_next(run->agent, &event);

                if (r)
                        return failed(run, agent_strerror(r));
                if (on_event(run, &event))
                        return -1;
        } while (event.kind != AGENT_NOTHING && !run->ended);
        return 0;
}

/* Return: as receive(). */
static int flush_out(struct run *run)
{
        size_t len;
        const uint8_t *bytes = agent_out(run->agent, &len);

        if (!len)
                return 0;

        ssize_t n = send(run->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
                return 0; /* a peer that is gone shows when it is read: it may have said why */
        agent_sent(run->agent, (size_t)n);
        return 0;
}

static int read_stdin(struct run *run)
{
        static uint8_t bytes[PROTOCOL_DATA_MAX];
        size_t room = agent_stdin_room(run->agent);
        ssize_t n = read(run->job->in, bytes, room);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n < 0)
                return problem_set(run->problem, AGENT_RUN_FAILED, "cannot read standard input: %s",
                                   strerror(errno));
        run->in_open = n > 0;
        if (agent_stdin(run->agent, bytes, (size_t)n, !n) < 0)
                return failed(run, strerror(ENOMEM));
        return 0;
}

static int wait_ms(const struct run *run)
{
        uint64_t now = now_ms(), at = run->end_at;

        if (!run->greeted && (!at || run->answer_at < at))
                at = run->answer_at;
        if (!at)
                return -1;
        return at <= now ? 0 : at - now > 60000 ? 60000 : (int)(at - now);
}

static int check_deadlines(struct run *run)
{
        uint64_t now = now_ms();

        if (run->end_at && now >= run->end_at)
                return problem_set(run->problem, AGENT_RUN_TIMED_OUT,
                                   "the time limit has passed: the command was killed");
        if (!run->greeted && now >= run->answer_at)
                return no_answer(run);
        return 0;
}

/* Return: as receive(). */
static int step(struct run *run)
{
        size_t pending;

        agent_out(run->agent, &pending);

        bool wants_in = run->in_open && !pending && agent_stdin_room(run->agent);
        struct pollfd fds[] = {
                { .fd = run->fd, .events = (short)(POLLIN | (pending ? POLLOUT : 0)) },
                { .fd = wants_in ? run->job->in : -1, .events = POLLIN },
        };

        if (poll(fds, 2, wait_ms(run)) < 0 && errno != EINTR)
                return failed(run, strerror(errno));
        if (check_deadlines(run))
                return -1;
        if (fds[1].revents && read_stdin(run))
                return -1;

        int r = flush_out(run);

        return !r && (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) ? receive(run) : r;
}

/* One connection, from CONNECT to the end. Return: as receive(). */
static int talk(struct run *run)
{
        cleanup(agent_freep) struct agent *agent = NULL;
        cleanup(fd_closep) int fd = -1;
        int r = connect_once(run);

        fd = run->fd;
        if (r)
                return r;
        r = agent_new(&agent);
        if (!r)
                r = agent_exec(agent, &run->job->request);
        if (r < 0)
                return failed(run, strerror(-r));
        if (r > 0)
                return problem_set(run->problem, AGENT_RUN_FAILED, "the command cannot be sent: %s",
                                   agent_strerror(r));
        run->agent = agent;
        run->in_open = run->job->in >= 0;
        r = flush_out(run);
        while (!r && !run->ended)
                r = step(run);
        return r;
}

int agent_run(const struct agent_job *job, int *ret_status, struct problem *problem)
{
        uint64_t now = now_ms();
        struct run run = { .job = job,
                           .problem = problem,
                           .fd = -1,
                           .answer_at = now + job->answer_ms,
                           .end_at = job->timeout_ms ? now + job->timeout_ms : 0 };
        int r;

        while ((r = talk(&run)) > 0) {
                if (check_deadlines(&run))
                        return -1;
                poll(NULL, 0, RETRY_MS);
        }
        if (r)
                return -1;
        *ret_status = run.status;
        return 0;
}
