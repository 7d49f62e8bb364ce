/*
 * Reads what was kept of a sandbox's output.
 * Input:  files that a monitor wrote and is writing (untrusted).
 * Runs:   any thread of the tool, which waits.
 * Limits: BYTES_MAX bytes are held.
 */
#include "sandbox/logs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/life.h"
#include "vmm/base/cleanup.h"

#define BYTES_MAX (256u << 20) /* a file of ours has 10 MiB */
#define STEP      (64u << 10)

static const char *const names[] = { "output", "console", "vmm.log" };

struct reader {
        const struct sandbox *sandbox;
        const struct logs_config *config;
        struct problem *problem;
        int fd;        /* the file that grows; -1 before it is there */
        off_t at;      /* read so far */
        uint64_t skip; /* lines that are not asked for */
        uint8_t *bytes;
        size_t n, size;
};

static void reader_fini(struct reader *r)
{
        fd_closep(&r->fd);
        free(r->bytes);
}

static int failed(struct reader *r, int e)
{
        return problem_set(r->problem, SANDBOX_FAILED, "cannot read %s of sandbox %s: %s",
                           names[r->config->which], r->sandbox->id, strerror(e));
}

/* Reads on. Return: bytes read, or -1. */
static ssize_t fill(struct reader *r, int fd, off_t at)
{
        ssize_t n;

        if (r->size - r->n < STEP) {
                uint8_t *bytes = r->size > BYTES_MAX ? NULL : realloc(r->bytes, 2 * r->size + STEP);

                if (!bytes)
                        return failed(r, ENOMEM);
                r->bytes = bytes;
                r->size = 2 * r->size + STEP;
        }
        n = pread(fd, r->bytes + r->n, r->size - r->n, at);
        if (n < 0)
                return failed(r, errno);
        r->n += (size_t)n;
        return n;
}

static int open_part(const struct reader *r, const char *suffix)
{
        char path[SANDBOX_FOLDER_MAX + 32];

        snprintf(path, sizeof(path), "%s/%s%s", r->sandbox->folder, names[r->config->which], suffix);
        return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
}

static bool is_same(int a, int b)
{
        struct stat as, bs;

        return a >= 0 && b >= 0 && !fstat(a, &as) && !fstat(b, &bs) && as.st_ino == bs.st_ino &&
               as.st_dev == bs.st_dev;
}

/* Both parts, the older first. Return: 0 or -1. */
static int read_both(struct reader *r)
{
        cleanup(fd_closep) int older = -1;
        ssize_t n = 0;

        do {
                fd_closep(&r->fd);
                fd_closep(&older);
                r->fd = open_part(r, "");
                older = open_part(r, ".1");
        } while (is_same(r->fd, older));
        for (off_t at = 0; older >= 0 && (n = fill(r, older, at)) > 0; at += n)
                continue;
        while (!n && r->fd >= 0 && (n = fill(r, r->fd, r->at)) > 0) {
                r->at += n;
                n = 0;
        }
        return n < 0 ? -1 : 0;
}

/* The record at @at; of a plain file all that is there. */
static int next(const struct reader *r, size_t at, struct logs_record *ret)
{
        if (r->config->which == LOGS_OUTPUT)
                return logs_parse(r->bytes + at, r->n - at, ret);
        if (at == r->n)
                return LOGS_E_MORE;
        *ret = (struct logs_record){
                .kind = LOGS_STDOUT, .bytes = r->bytes + at, .len = r->n - at, .size = r->n - at
        };
        return LOGS_OK;
}

static uint64_t count_lines(const struct reader *r)
{
        struct logs_record record;
        uint64_t lines = 0;
        bool whole = true;

        for (size_t at = 0; !next(r, at, &record); at += record.size) {
                for (size_t i = 0; i < record.len; i++)
                        lines += record.bytes[i] == '\n';
                whole = record.bytes[record.len - 1] == '\n';
        }
        return lines + !whole;
}

/* Hands over all whole records, less what is to be skipped. Return: 0 or -1. */
static int hand_over(struct reader *r)
{
        struct logs_record record;
        size_t at = 0;
        int e;

        if (!r->n) /* nor is there room for any */
                return 0;
        for (; !(e = next(r, at, &record)); at += record.size) {
                for (; r->skip && record.len; record.bytes++, record.len--)
                        r->skip -= *record.bytes == '\n';
                if (record.len && r->config->on_record(r->config->ctx, &record))
                        return -1;
        }
        if (e == LOGS_E_BAD)
                return problem_set(r->problem, SANDBOX_FAILED, "%s/%s is damaged behind byte %zu",
                                   r->sandbox->folder, names[r->config->which], at);
        if (at < r->n)
                memmove(r->bytes, r->bytes + at, r->n - at);
        r->n -= at;
        return 0;
}

/* What has been written since. Return: 1 when there was something, 0, or -1. */
static int read_on(struct reader *r)
{
        struct stat st;
        ssize_t n;

        if (r->fd < 0)
                r->fd = open_part(r, "");
        if (r->fd < 0)
                return 0;
        if (!fstat(r->fd, &st) && st.st_size < r->at)
                r->at = 0; /* it was emptied: what lay between is lost */
        n = fill(r, r->fd, r->at);
        r->at += n > 0 ? n : 0;
        if (!n) { /* all of this one: is it still the newest? */
                int newest = open_part(r, "");

                if (newest >= 0 && !is_same(newest, r->fd)) {
                        fd_closep(&r->fd);
                        r->fd = newest;
                        r->at = 0;
                        return 1;
                }
                fd_closep(&newest);
        }
        if (n > 0 && hand_over(r))
                return -1;
        return n < 0 ? -1 : n > 0;
}

static int follow(struct reader *r)
{
        cleanup(fd_closep) int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), monitor = -1;
        int more, ended;

        if (watch < 0 ||
            inotify_add_watch(watch, r->sandbox->folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
                return failed(r, errno);
        ended = life_open(r->sandbox, &monitor, r->problem);
        while (ended >= 0) {
                struct pollfd fds[] = { { watch, POLLIN, 0 }, { monitor, POLLIN, 0 } };
                char events[4096];

                while ((more = read_on(r)) > 0)
                        continue;
                if (more < 0)
                        return -1;
                if (ended)
                        return 0;
                if (poll(fds, 2, -1) < 0 && errno != EINTR)
                        return failed(r, errno);
                while (read(watch, events, sizeof(events)) > 0)
                        continue;
                ended = fds[1].revents; /* then once more: what it wrote last */
        }
        return -1;
}

int logs_read(const struct sandbox *s, const struct logs_config *config, struct problem *p)
{
        cleanup(reader_fini) struct reader r = { .sandbox = s, .config = config, .problem = p, .fd = -1 };
        uint64_t lines;

        if (read_both(&r))
                return -1;
        if (config->tail != UINT64_MAX) {
                lines = count_lines(&r);
                r.skip = lines > config->tail ? lines - config->tail : 0;
        }
        if (hand_over(&r))
                return -1;
        return config->follow ? follow(&r) : 0;
}
