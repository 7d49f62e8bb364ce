/*
 * What the files of execs share.
 */
#pragma once

#include "guest/cgroup.h"
#include "guest/exec.h"
#include "guest/ring.h"

/* What no client can say: this reader is a connection to the monitor. */
#define EXEC_READER_LOG (1u << 16)

enum exec_source { EXEC_STDOUT, EXEC_STDERR, EXEC_STDIN, EXEC_CGROUP, EXEC_SOURCE_NR };

struct exec_pipe {
        int fd;     /* -1 = at its end */
        bool ready; /* may have something */
        int left;   /* bytes still to be sent after the command's end, -1 = not known */
};

struct exec {
        uint32_t number; /* 0 = free */
        uint32_t flags;  /* of EXEC */
        pid_t pid;
        uint32_t uid;
        bool has_tty, ended, settled, seen, blocked;

        int in;
        bool in_watched, in_end; /* in_end: nothing will follow what is held */
        char in_last;            /* byte that was written */
        struct held in_held;
        struct exec_reader *input; /* who may write, NULL = nobody now */
        struct exec_pipe out, err; /* with a terminal out is all there is */

        struct cgroup *cgroup; /* NULL = none, or it was given back */
        int cgroup_events;     /* watched while the group has to become empty, else -1 */
        struct ring ring;

        int64_t started_us, deadline_ms, log_deadline_ms;
        struct protocol_exit exit;
        struct exec_reader *starter, *readers[EXEC_READERS_MAX + 2];
        unsigned nr_readers;
};

extern struct exec exec_table[EXECS_MAX];
extern unsigned exec_high; /* slots in use are below it */

static inline unsigned exec_slot(const struct exec *e)
{
        return (unsigned)(e - exec_table);
}

static inline bool exec_is_finished(const struct exec *e)
{
        return e->settled && e->out.fd < 0 && e->err.fd < 0;
}

int64_t exec_now_us(void);

/* exec_watch() - Return: false if the kernel has no memory for it. */
bool exec_watch(struct service *s, struct exec *e, int fd, enum exec_source source, uint32_t events);

/* exec_find() - by number, or 0 for that of @r. Return: NULL if there is none. */
struct exec *exec_find(const struct exec_reader *r, uint32_t number);

/* exec_wake_readers() - all of them have something to do. */
void exec_wake_readers(struct service *s, const struct exec *e);

/* exec_consider() - something ended or left: is it over, who has to be told, is it free? */
void exec_consider(struct service *s, struct exec *e);

/* exec_settle() - its control group changed: if it is empty now, its numbers are final. */
void exec_settle(struct service *s, struct exec *e);

/* exec_close_streams() - nothing more goes in or comes out. */
void exec_close_streams(struct exec *e);

/* exec_kill() - all that runs in it. */
void exec_kill(struct exec *e);

/* Of exec_io.c: the input's next step; the input's end. */
void exec_feed(struct exec *e);
void exec_close_stdin(struct exec *e);
