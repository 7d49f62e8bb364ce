/*
 * Execs: the table of them, their beginnings and ends.
 * Input:  checked requests; what the kernel says about children.
 * Runs:   the agent's only thread.
 * Limits: EXECS_MAX, those that are kept after their end among them; EXEC_READERS_MAX readers each.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/exec_priv.h"
#include "guest/spawn.h"

struct exec exec_table[EXECS_MAX];
unsigned exec_high;
static uint32_t last_number;

int64_t exec_now_us(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

bool exec_watch(struct service *s, struct exec *e, int fd, enum exec_source source, uint32_t events)
{
        struct epoll_event event = { .events = events | EPOLLET, .data.u64 = conn_tag(exec_slot(e), source) };

        return !epoll_ctl(s->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

struct exec *exec_find(const struct exec_reader *r, uint32_t number)
{
        if (!number)
                return r ? r->exec : NULL;
        for (unsigned i = 0; i < exec_high; i++) {
                if (exec_table[i].number == number)
                        return &exec_table[i];
        }
        return NULL;
}

uint32_t exec_of_cgroup(uint32_t cgroup)
{
        for (unsigned i = 0; i < exec_high; i++) {
                const struct exec *e = &exec_table[i];

                if (e->number && e->cgroup && cgroup_number(e->cgroup) == cgroup)
                        return e->number;
        }
        return 0;
}

uint32_t exec_running(void)
{
        uint32_t n = 0;

        for (unsigned i = 0; i < exec_high; i++)
                n += exec_table[i].number && !exec_is_finished(&exec_table[i]);
        return n;
}

void exec_wake_readers(struct service *s, const struct exec *e)
{
        for (unsigned i = 0; i < e->nr_readers; i++)
                conn_wake(s, e->readers[i]->slot);
}

void exec_kill(struct exec *e)
{
        if (e->cgroup)
                cgroup_signal(e->cgroup, SIGKILL);
        else if (!e->ended)
                kill(-e->pid, SIGKILL);
}

void exec_close_streams(struct exec *e)
{
        exec_close_stdin(e);
        if (e->out.fd >= 0)
                close(e->out.fd);
        if (e->err.fd >= 0)
                close(e->err.fd);
        e->out.fd = e->err.fd = -1;
}

static void free_exec(struct exec *e)
{
        exec_close_streams(e);
        ring_free(&e->ring);
        e->number = 0;
        while (exec_high && !exec_table[exec_high - 1].number)
                exec_high--;
}

/* One more that ended is kept: too many, and the oldest that nobody reads now goes. */
static void limit_kept(void)
{
        struct exec *oldest = NULL;
        unsigned n = 0;

        for (unsigned i = 0; i < exec_high; i++) {
                struct exec *e = &exec_table[i];

                if (!e->number || !exec_is_finished(e) || e->nr_readers)
                        continue;
                n++;
                if (!oldest || e->number < oldest->number)
                        oldest = e;
        }
        if (n > EXEC_KEPT_MAX)
                free_exec(oldest);
}

static void end_machine(struct service *s, struct exec *e)
{
        e->deadline_ms = 0;
        if (s->stopping)
                return;
        s->shutdown = (struct protocol_shutdown){ PROTOCOL_POWER_OFF, EXEC_MAIN_GRACE };
        s->stopping = true;
}

void exec_consider(struct service *s, struct exec *e)
{
        if (!exec_is_finished(e)) {
                if (!e->nr_readers && !(e->flags & PROTOCOL_EXEC_DETACH) && !e->ring.bytes)
                        exec_close_streams(e); /* nobody is left who could read it */
                if (!exec_is_finished(e))
                        return;
        }
        if (e->nr_readers) {
                if (e->flags & PROTOCOL_EXEC_MAIN && !e->deadline_ms && !s->stopping)
                        e->deadline_ms = exec_now_us() / 1000 + EXEC_MAIN_WAIT;
                exec_wake_readers(s, e);
                return;
        }
        if (e->flags & PROTOCOL_EXEC_MAIN)
                end_machine(s, e);
        if (e->flags & PROTOCOL_EXEC_DETACH && !e->seen)
                limit_kept();
        else
                free_exec(e);
}

static bool add_reader(struct exec *e, struct exec_reader *r, uint32_t id, uint32_t flags)
{
        if (e->nr_readers == EXEC_READERS_MAX + 2)
                return false;
        e->readers[e->nr_readers++] = r;
        r->exec = e;
        r->id = id;
        r->flags = flags;
        r->in_done = !(flags & PROTOCOL_ATTACH_STDIN);
        r->in_used = r->in_consumed = 0;
        return true;
}

void exec_leave(struct exec_reader *r)
{
        struct exec *e = r->exec;

        if (!e)
                return;
        r->exec = NULL;
        for (unsigned i = 0; i < e->nr_readers; i++) {
                if (e->readers[i] == r) {
                        e->readers[i] = e->readers[--e->nr_readers];
                        break;
                }
        }
        if (e->input == r)
                e->input = NULL;
        if (e->starter == r) {
                e->starter = NULL;
                if (!(e->flags & PROTOCOL_EXEC_DETACH) && !e->ended)
                        kill(-e->pid, SIGKILL);
        }
        if (e->blocked)
                conn_wake(r->service, exec_slot(e));
        exec_consider(r->service, e);
}

static struct exec *find_free(void)
{
        for (unsigned i = 0; i < EXECS_MAX; i++) {
                if (!exec_table[i].number)
                        return &exec_table[i];
        }
        return NULL;
}

/* What PROCESSES tells of it when its process is gone: the user as asked for, and the arguments. */
static void label(struct ring *r, const struct protocol_exec *req)
{
        size_t user = strnlen(req->user, 64), len = (size_t)(req->env - req->args);
        char *at = r->label;

        memcpy(at, req->user, user);
        at[user] = 0;
        at += user + 1;
        len = len - 1 < PROTOCOL_TEXT_MAX ? len - 1 : PROTOCOL_TEXT_MAX;
        for (size_t i = 0; i < len; i++)
                at[i] = req->args[i] ? req->args[i] : ' ';
        at[len] = 0;
}

/* In a control group; one that turns out broken (root in the guest can do that) is left for a new one. */
static uint32_t spawn_in_cgroup(struct exec *e, const struct protocol_exec *req, struct spawn *spawn,
                                struct text *why, int *error)
{
        uint32_t fault = 0;

        for (int tries = 0; tries < 2; tries++) {
                struct cgroup *cg = cgroup_take();
                int folder = cg ? cgroup_folder(cg) : -1;

                fault = spawn_start(req, folder, spawn, why, error);

                bool is_broken = folder < 0 || fault == PROTOCOL_FAULT_RESOURCES;

                e->cgroup = !fault && !is_broken ? cg : NULL;
                if (e->cgroup)
                        cgroup_started(cg);
                else if (cg)
                        cgroup_give_back(cg, !is_broken && cgroup_is_empty(cg));
                if (!cg || !fault || !is_broken)
                        break;
        }
        return fault;
}

uint32_t exec_start(struct exec_reader *r, uint32_t id, const struct protocol_exec *req, struct text *ret_why,
                    int *ret_errno)
{
        struct exec *e = find_free();
        struct spawn spawn;

        if (!e) {
                text_set(ret_why, "too many commands run in the guest");
                return PROTOCOL_FAULT_RESOURCES;
        }
        *e = (struct exec){
                .flags = req->flags, .has_tty = req->has_tty, .cgroup_events = -1, .starter = r, .input = r
        };
        if (req->flags & (PROTOCOL_EXEC_DETACH | PROTOCOL_EXEC_LOG)) {
                if (!ring_new(&e->ring)) {
                        text_set(ret_why, "the guest has no memory for the command's output");
                        return PROTOCOL_FAULT_RESOURCES;
                }
                label(&e->ring, req);
        }
        e->started_us = exec_now_us();

        uint32_t fault = spawn_in_cgroup(e, req, &spawn, ret_why, ret_errno);

        if (fault) {
                ring_free(&e->ring);
                return fault;
        }
        e->number = ++last_number;
        e->pid = spawn.pid;
        e->uid = spawn.uid;
        e->in = spawn.in;
        e->out = (struct exec_pipe){ .fd = spawn.out, .left = -1 };
        e->err = (struct exec_pipe){ .fd = spawn.err, .left = -1 };
        if (req->timeout_ms)
                e->deadline_ms = e->started_us / 1000 + req->timeout_ms;
        if (exec_slot(e) >= exec_high)
                exec_high = exec_slot(e) + 1;
        add_reader(e, r, id, req->flags & PROTOCOL_EXEC_STDIN ? PROTOCOL_ATTACH_STDIN : 0);
        r->place = (struct ring_place){ 0 };
        if (!exec_watch(r->service, e, e->out.fd, EXEC_STDOUT, EPOLLIN) ||
            (e->err.fd >= 0 && !exec_watch(r->service, e, e->err.fd, EXEC_STDERR, EPOLLIN))) {
                *ret_errno = errno;
                text_set(ret_why, "the guest cannot watch the command");
                e->flags &= ~(uint32_t)PROTOCOL_EXEC_DETACH;
                exec_leave(r);
                return PROTOCOL_FAULT_RESOURCES;
        }
        return 0;
}

uint32_t exec_attach(struct exec_reader *r, uint32_t id, const struct protocol_attach *a,
                     struct text *ret_why)
{
        struct exec *e = a->proc ? exec_find(NULL, a->proc) : NULL;

        if (!e || !(e->flags & PROTOCOL_EXEC_DETACH)) {
                text_set(ret_why, e ? "the exec was not started to be attached to" : "no such exec");
                return PROTOCOL_FAULT_NO_PROCESS;
        }
        if (e->nr_readers >= EXEC_READERS_MAX) {
                text_set(ret_why, "too many readers are attached to the exec");
                return PROTOCOL_FAULT_RESOURCES;
        }
        add_reader(e, r, id, a->flags);
        r->place = a->flags & PROTOCOL_ATTACH_REPLAY ? ring_oldest(&e->ring) : ring_newest(&e->ring);
        if (a->flags & PROTOCOL_ATTACH_STDIN) {
                if (e->input)
                        e->input->in_consumed += (uint32_t)(e->in_held.end - e->in_held.start);
                held_free(&e->in_held); /* what the last one typed and the command did not read, */
                e->in_end = false;      /* nor its end */
                e->input = r;
        }
        conn_wake(r->service, r->slot);
        return 0;
}

bool exec_follow(struct exec_reader *log, const struct exec_reader *r)
{
        log->place = (struct ring_place){ 0 };
        return add_reader(r->exec, log, r->exec->number, EXEC_READER_LOG);
}

static void note_exit(struct exec *e, int status, const struct rusage *usage)
{
        bool signalled = WIFSIGNALED(status);

        e->exit.kind = signalled ? PROTOCOL_SIGNALLED : PROTOCOL_EXITED;
        e->exit.value = (uint32_t)(signalled ? WTERMSIG(status) : WEXITSTATUS(status));
        e->exit.flags |= signalled && WCOREDUMP(status) ? PROTOCOL_EXIT_CORE : 0;
        e->exit.utime_us = (uint64_t)usage->ru_utime.tv_sec * 1000000 + (uint64_t)usage->ru_utime.tv_usec;
        e->exit.stime_us = (uint64_t)usage->ru_stime.tv_sec * 1000000 + (uint64_t)usage->ru_stime.tv_usec;
        e->exit.maxrss_kib = (uint64_t)usage->ru_maxrss;
        e->exit.read_bytes = (uint64_t)usage->ru_inblock * 512;
        e->exit.write_bytes = (uint64_t)usage->ru_oublock * 512;
        e->exit.elapsed_us = (uint64_t)(exec_now_us() - e->started_us);
}

/* The group counts for all that ran in it. A command's own peak counts files too that another read before. */
static void note_usage(struct exec *e, const struct cgroup_usage *u)
{
        e->exit.utime_us = u->user_us;
        e->exit.stime_us = u->system_us;
        if (u->peak_bytes >> 10 > e->exit.maxrss_kib)
                e->exit.maxrss_kib = u->peak_bytes >> 10;
        e->exit.read_bytes = u->read_bytes;
        e->exit.write_bytes = u->write_bytes;
        if (u->oom_kills)
                e->exit.flags |= PROTOCOL_EXIT_OOM;
}

/* The group's counters are final; the next may have it. */
static void finish_group(struct service *s, struct exec *e, bool is_empty)
{
        struct cgroup_usage usage;

        cgroup_read(e->cgroup, &usage);
        note_usage(e, &usage);
        cgroup_give_back(e->cgroup, is_empty);
        e->cgroup = NULL;
        if (e->cgroup_events >= 0)
                close(e->cgroup_events);
        e->cgroup_events = -1;
        e->settled = true;
        exec_consider(s, e);
}

void exec_settle(struct service *s, struct exec *e)
{
        if (cgroup_is_empty(e->cgroup))
                finish_group(s, e, true);
}

/* The command has ended; what it left behind has to go, or may stay elsewhere. */
static void begin_settling(struct service *s, struct exec *e)
{
        if (!e->cgroup) {
                e->settled = true;
                exec_consider(s, e);
        } else if (cgroup_is_empty(e->cgroup)) {
                finish_group(s, e, true);
        } else if (e->flags & PROTOCOL_EXEC_KEEP) {
                cgroup_move_rest(e->cgroup);
                finish_group(s, e, false); /* its memory is still counted here */
        } else {
                cgroup_signal(e->cgroup, SIGKILL);
                e->cgroup_events = cgroup_events(e->cgroup);
                if (e->cgroup_events < 0 || !exec_watch(s, e, e->cgroup_events, EXEC_CGROUP, EPOLLPRI))
                        finish_group(s, e, false);
                else
                        exec_settle(s, e); /* it may have been faster than the watch */
        }
}

bool exec_reap(struct service *s, pid_t pid, int status, const struct rusage *usage)
{
        struct exec *e = NULL;

        for (unsigned i = 0; i < exec_high && !e; i++) {
                if (exec_table[i].number && exec_table[i].pid == pid && !exec_table[i].ended)
                        e = &exec_table[i];
        }
        if (!e)
                return false;
        note_exit(e, status, usage);
        if (!e->cgroup && !(e->flags & PROTOCOL_EXEC_KEEP))
                kill(-e->pid, SIGKILL); /* the best that can be done without a group */
        e->ended = true;
        e->deadline_ms = 0;
        exec_close_stdin(e);
        if (e->ring.bytes)
                conn_wake(s, exec_slot(e));
        else
                exec_wake_readers(s, e);
        begin_settling(s, e);
        return true;
}

int64_t exec_next_ms(void)
{
        int64_t next = 0;

        for (unsigned i = 0; i < exec_high; i++) {
                const struct exec *e = &exec_table[i];
                const int64_t ends[] = { e->deadline_ms, e->log_deadline_ms };

                for (size_t k = 0; e->number && k < 2; k++) {
                        if (ends[k] && (!next || ends[k] < next))
                                next = ends[k];
                }
        }
        return next;
}

void exec_finish_all(struct service *s)
{
        for (unsigned i = 0; i < exec_high; i++) {
                struct exec *e = &exec_table[i];

                if (e->number && e->ended && !e->settled)
                        finish_group(s, e, true);
        }
}

/* A log that holds up its command for too long loses what it is too slow for. */
static void let_log_lose(struct exec *e)
{
        e->log_deadline_ms = 0;
        for (unsigned i = 0; i < e->nr_readers; i++) {
                if (e->readers[i]->flags & EXEC_READER_LOG)
                        e->readers[i]->flags |= PROTOCOL_ATTACH_LOSSY;
        }
}

void exec_tick(struct service *s, int64_t now_ms)
{
        for (unsigned i = 0; i < exec_high; i++) {
                struct exec *e = &exec_table[i];

                if (!e->number)
                        continue;
                if (e->log_deadline_ms && now_ms >= e->log_deadline_ms) {
                        let_log_lose(e);
                        conn_wake(s, i);
                }
                if (!e->deadline_ms || now_ms < e->deadline_ms)
                        continue;
                if (exec_is_finished(e)) {
                        end_machine(s, e);
                } else {
                        e->deadline_ms = 0;
                        e->exit.flags |= PROTOCOL_EXIT_TIMED_OUT;
                        exec_kill(e);
                }
        }
}
