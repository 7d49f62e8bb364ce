/*
 * What happens to sandboxes, told in a file.
 * Input:  files of the user's own.
 * Runs:   any thread of the tool; any number of tools at once.
 * Limits: EVENTS_FILE_MAX bytes a file.
 */
#include "sandbox/events.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/life.h"
#include "sandbox/lock.h"
#include "vmm/base/io.h"
#include "vmm/base/json.h"

#define PATH_LEN (SANDBOX_FOLDER_MAX + 32)

/* A file that is full becomes the older one. Two at once rename it twice: then some older ones are lost. */
static int open_file(const struct paths *paths)
{
        char path[PATH_LEN], older[PATH_LEN];
        struct stat st;
        int fd;

        snprintf(path, sizeof(path), "%s/events.jsonl", paths->run);
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < (off_t)EVENTS_FILE_MAX)
                return fd;
        snprintf(older, sizeof(older), "%s/events.jsonl.1", paths->run);
        (void)rename(path, older);
        close(fd);
        return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void write_line(FILE *f, const struct sandbox *s, const char *event, const struct events_end *end)
{
        struct timespec now;
        uint64_t at = end ? end->ended_ns : 0;

        clock_gettime(CLOCK_REALTIME, &now);
        if (!at)
                at = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        fprintf(f, "{\"time_ns\":%" PRIu64 ",\"event\":\"%s\",\"id\":\"%s\",\"name\":", at, event, s->id);
        if (*s->name)
                json_put_string(f, s->name);
        else
                fputs("null", f);
        if (end) {
                fprintf(f, ",\"exit_code\":%d,\"reason\":", end->code);
                json_put_string(f, end->reason ? end->reason : "");
        }
        fputs("}\n", f);
}

void events_tell(const struct paths *paths, const struct sandbox *s, const char *event,
                 const struct events_end *end)
{
        cleanup(fd_closep) int fd = open_file(paths);
        char line[2048];
        FILE *f = fd >= 0 ? fmemopen(line, sizeof(line), "w") : NULL;
        long len;

        if (!f)
                return;
        write_line(f, s, event, end);
        len = ftell(f);
        if (!fclose(f) && len > 0)
                (void)!io_write_all(fd, line, (size_t)len); /* one write: lines of two tools do not mix */
}

static void mark_path(const struct sandbox *s, char path[PATH_LEN])
{
        snprintf(path, PATH_LEN, "%s/.told", s->folder);
}

void events_forget_end(const struct sandbox *s)
{
        char path[PATH_LEN];

        mark_path(s, path);
        (void)unlink(path);
}

void events_tell_end(const struct paths *paths, const struct sandbox *s)
{
        cleanup(record_fini) struct record r = { 0 };
        struct problem ignored = { 0 };
        struct sandbox named = *s;
        struct life_status status;
        struct events_end end;
        char path[PATH_LEN];
        struct stat st;
        int fd;

        mark_path(s, path);
        if (!lstat(path, &st) || lock_is_held(s->folder))
                return;
        life_look(s, &status);
        if (status.state < LIFE_EXITED)
                return;
        if (!*s->name && !record_read(s->folder, &r, &ignored) && r.name)
                snprintf(named.name, sizeof(named.name), "%s", r.name);
        /* Whoever makes the mark tells it. */
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return;
        close(fd);
        end = (struct events_end){ status.code, status.reason, status.ended_ns };
        events_tell(paths, &named, "ended", &end);
}
