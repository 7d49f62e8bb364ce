/*
 * How a VM ended, in a file.
 * Input:  status and words of ours; what the agent told of the main command, checked by protocol.c.
 * Runs:   main thread.
 * Limits: none.
 *
 * syscalls: loop: openat write renameat
 */
#include "vmm/exit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/status.h"

#define NEW_SUFFIX ".new"

int exit_file_open(struct exit_file *file, const char *path, struct problem *p)
{
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        char folder[PATH_MAX];

        if (!*name || strlen(name) + strlen(NEW_SUFFIX) > NAME_MAX || strlen(path) >= sizeof(folder))
                return problem_set(p, VMM_E_USAGE, "--exit-file: '%s' cannot be the name of a file", path);
        (void)snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) + 1 : 1,
                       slash ? path : ".");
        memcpy(file->name, name, strlen(name) + 1);
        memcpy(file->beside, name, strlen(name));
        memcpy(file->beside + strlen(name), NEW_SUFFIX, sizeof(NEW_SUFFIX));
        file->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (file->folder < 0)
                return problem_set(p, VMM_E_INPUT, "--exit-file: folder '%s': %s", folder, strerror(errno));
        if (unlinkat(file->folder, file->name, 0) < 0 && errno != ENOENT)
                return problem_set(p, VMM_E_INPUT, "--exit-file: cannot replace '%s': %s", path,
                                   strerror(errno));
        if (faccessat(file->folder, ".", W_OK, AT_EACCESS) < 0)
                return problem_set(p, VMM_E_INPUT, "--exit-file: cannot write to folder '%s': %s", folder,
                                   strerror(errno));
        return 0;
}

static void write_main(const struct protocol_exit *e, FILE *f)
{
        (void)fprintf(f,
                      "{\"kind\":\"%s\",\"value\":%u,\"oom\":%s,\"timed_out\":%s,\"core\":%s,"
                      "\"utime_us\":%" PRIu64 ",\"stime_us\":%" PRIu64 ",\"maxrss_kib\":%" PRIu64
                      ",\"elapsed_us\":%" PRIu64 ",\"read_bytes\":%" PRIu64 ",\"write_bytes\":%" PRIu64 "}",
                      e->kind == PROTOCOL_EXITED ? "exited" : "signalled", e->value,
                      e->flags & PROTOCOL_EXIT_OOM ? "true" : "false",
                      e->flags & PROTOCOL_EXIT_TIMED_OUT ? "true" : "false",
                      e->flags & PROTOCOL_EXIT_CORE ? "true" : "false", e->utime_us, e->stime_us,
                      e->maxrss_kib, e->elapsed_us, e->read_bytes, e->write_bytes);
}

static void write_object(FILE *f, int status, const char *words, const struct exit_report *report)
{
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME, &now);
        (void)fprintf(f, "{\"status\":%d,\"name\":\"%s\",\"reason\":", status, status_name(status));
        json_put_string(f, report->is_lifetime ? "lifetime" : *words ? words : "the guest powered off");
        (void)fputs(",\"main\":", f);
        if (report->has_main)
                write_main(&report->main, f);
        else
                (void)fputs("null", f);
        (void)fprintf(f, ",\"ended_ns\":%lld%09ld}\n", (long long)now.tv_sec, now.tv_nsec);
}

static int write_beside(const struct exit_file *file, int status, const char *words,
                        const struct exit_report *report)
{
        int fd = openat(file->folder, file->beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                        0600);
        FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;

        if (!f) {
                fd_closep(&fd);
                return -1;
        }
        write_object(f, status, words, report);
        return fclose(f) ? -1 : 0;
}

void exit_file_write(const struct exit_file *file, int status, const char *words,
                     const struct exit_report *report)
{
        if (file->folder < 0)
                return;
        if (!write_beside(file, status, words, report) &&
            !renameat(file->folder, file->beside, file->folder, file->name))
                return;
        log_warn("the exit file could not be written: %s", strerror(errno));
        (void)unlinkat(file->folder, file->beside, 0);
}

void exit_file_close(struct exit_file *file)
{
        fd_closep(&file->folder);
}
