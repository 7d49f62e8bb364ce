/*
 * Reads and follows what happens to sandboxes.
 * Input:  run/events.jsonl, a file of the user's own.
 * Runs:   any thread of the tool, which waits.
 * Limits: LINE_MAX_BYTES a line; MONITORS_MAX monitors whose end is seen at once, more when they are looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/events.h"
#include "sandbox/life.h"
#include "sandbox/store.h"
#include "vmm/base/cleanup.h"

#define LINE_MAX_BYTES 4096u
#define MONITORS_MAX   512u

struct follower {
        const struct paths *paths;
        int (*on_line)(void *ctx, const char *line, size_t len);
        void *ctx;
        FILE *file;
        unsigned nr;
        struct pollfd fds[MONITORS_MAX + 1]; /* [0]: inotify */
        char ids[MONITORS_MAX][SANDBOX_ID_SIZE];
};

static FILE *open_part(const struct paths *paths, const char *suffix)
{
        char path[PATHS_MAX + 32];

        snprintf(path, sizeof(path), "%s/events.jsonl%s", paths->run, suffix);
        return fopen(path, "re");
}

/* Whole lines. Return: 0, or what on_line said. */
static int read_lines(struct follower *f)
{
        char line[LINE_MAX_BYTES];
        int r = 0;

        while (!r && f->file && fgets(line, sizeof(line), f->file)) {
                size_t len = strlen(line);

                if (line[len - 1] == '\n')
                        r = f->on_line(f->ctx, line, len);
        }
        if (f->file)
                clearerr(f->file);
        return r;
}

static bool is_known(const struct follower *f, const char *id)
{
        for (unsigned i = 0; i < f->nr; i++)
                if (!strcmp(f->ids[i], id))
                        return true;
        return false;
}

/* Takes hold of the monitors that were started since. */
static void take_new(struct follower *f)
{
        cleanup(freep) struct store_entry *entries = NULL;
        struct problem ignored = { 0 };
        size_t nr = 0;

        if (store_list(f->paths, &entries, &nr, &ignored))
                return;
        for (size_t i = 0; i < nr && f->nr < MONITORS_MAX; i++) {
                cleanup(sandbox_fini) struct sandbox s = SANDBOX_NONE;
                struct problem problem = { 0 };
                int fd;

                if (is_known(f, entries[i].id) ||
                    sandbox_at(f->paths, entries[i].id, entries[i].temporary, &s, &problem) ||
                    life_open(&s, &fd, &problem))
                        continue;
                memcpy(f->ids[f->nr], entries[i].id, SANDBOX_ID_SIZE);
                f->fds[++f->nr] = (struct pollfd){ .fd = fd, .events = POLLIN };
        }
}

/* Return: whether a monitor is gone. */
static bool drop_gone(struct follower *f)
{
        bool any = false;

        for (unsigned i = f->nr; i; i--) {
                if (!f->fds[i].revents)
                        continue;
                close(f->fds[i].fd);
                f->fds[i] = f->fds[f->nr];
                memcpy(f->ids[i - 1], f->ids[f->nr - 1], SANDBOX_ID_SIZE);
                f->nr--;
                any = true;
        }
        return any;
}

/* The file may have become the older one, or be there at last. */
static void reopen(struct follower *f)
{
        FILE *newest = open_part(f->paths, "");
        struct stat a, b;

        if (newest && f->file && !fstat(fileno(newest), &a) && !fstat(fileno(f->file), &b) &&
            a.st_ino == b.st_ino) {
                fclose(newest);
                return;
        }
        if (f->file)
                fclose(f->file);
        f->file = newest;
}

static int follow(struct follower *f, struct problem *p)
{
        char buffer[4096];

        if (f->file)
                fseek(f->file, 0, SEEK_END);
        for (;;) {
                take_new(f);
                if (poll(f->fds, f->nr + 1, -1) < 0 && errno != EINTR)
                        return problem_set(p, SANDBOX_FAILED, "cannot wait for events: %s", strerror(errno));
                while (read(f->fds[0].fd, buffer, sizeof(buffer)) > 0)
                        continue;
                if (drop_gone(f))
                        store_repair(f->paths); /* tells ends, removes temporary ones */
                if (read_lines(f))
                        return 0;
                reopen(f);
                if (read_lines(f))
                        return 0;
        }
}

int events_read(const struct paths *paths, bool past, int (*on_line)(void *ctx, const char *line, size_t len),
                void *ctx, struct problem *p)
{
        struct follower f = { .paths = paths, .on_line = on_line, .ctx = ctx };
        int r = 0;

        if (paths_make_private(paths->run, p))
                return -1;
        if (past) {
                f.file = open_part(paths, ".1");
                r = read_lines(&f);
                if (f.file)
                        fclose(f.file);
        }
        f.file = open_part(paths, "");
        if (past) {
                if (!r)
                        (void)read_lines(&f);
        } else {
                f.fds[0] = (struct pollfd){ .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .events = POLLIN };
                if (inotify_add_watch(f.fds[0].fd, paths->run, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
                        r = problem_set(p, SANDBOX_FAILED, "cannot watch %.300s: %s", paths->run,
                                        strerror(errno));
                else
                        r = follow(&f, p);
                for (unsigned i = 0; i <= f.nr; i++)
                        fd_closep(&f.fds[i].fd);
        }
        if (f.file)
                fclose(f.file);
        return r < 0 ? -1 : 0;
}
