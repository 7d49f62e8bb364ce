/*
 * How a VM ended, in a file.
 * Input:  status and words of ours; what the agent told of the main command, checked by protocol.c.
 * Runs:   main thread; on_crash() on any, as a signal handler.
 * Limits: none.
 *
 * syscalls: loop: openat write renameat
 */
#include "vmm/exit_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/json.h"
#include "vmm/base/log.h"
#include "vmm/status.h"

#define NEW_SUFFIX ".new"

/* The signals by which a bug ends a process. */
static struct {
        int number;
        const char *name;
        struct sigaction before;
} crashes[] = {
        { .number = SIGABRT, .name = "SIGABRT" }, { .number = SIGSEGV, .name = "SIGSEGV" },
        { .number = SIGBUS, .name = "SIGBUS" },   { .number = SIGILL, .name = "SIGILL" },
        { .number = SIGFPE, .name = "SIGFPE" },
};
/* Who takes it tells: the thread that crashes first, or exit_file_write(). NULL: none, or taken. */
static _Atomic(const struct exit_file *) of_crash;
static atomic_int teller; /* the thread that tells of its crash */

static char *put_text(char *at, const char *text)
{
        while (*text)
                *at++ = *text++;
        return at;
}

static char *put_number(char *at, uint64_t v)
{
        char digits[20];
        unsigned n = 0;

        do
                digits[n++] = (char)('0' + v % 10);
        while (v /= 10);
        while (n)
                *at++ = digits[--n];
        return at;
}

/* Nothing here but what a signal handler may call: no stdio, no memory. */
static void write_crash(const struct exit_file *file, int sig, const char *name)
{
        struct timespec now = { 0 };
        char text[256], *at = text;
        int fd = openat(file->folder, file->beside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                        0600);

        if (fd < 0)
                return;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        at = put_number(put_text(at, "{\"status\":"), 128 + (unsigned)sig);
        at = put_number(put_text(at, ",\"name\":\"crashed\",\"reason\":\"crashed: signal "), (unsigned)sig);
        at = put_text(put_text(put_text(at, " ("), name), ")\",\"main\":null,\"ended_ns\":");
        at = put_number(at, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
        at = put_text(at, "}\n");
        if (write(fd, text, (size_t)(at - text)) == at - text)
                (void)!renameat(file->folder, file->beside, file->folder, file->name);
}

static void on_crash(int sig)
{
        const struct exit_file *file = atomic_exchange(&of_crash, NULL);
        int self = (int)syscall(SYS_gettid), other = 0;

        /* Another thread is telling, and then ends the process. One that crashes again while it tells just goes. */
        if (!atomic_compare_exchange_strong(&teller, &other, self) && other != self)
                for (;;)
                        pause();
        for (unsigned i = 0; i < array_size(crashes); i++) {
                if (crashes[i].number != sig)
                        continue;
                if (file)
                        write_crash(file, sig, crashes[i].name);
                (void)sigaction(sig, &crashes[i].before, NULL);
        }
        (void)raise(sig); /* comes when we return: to who was here before, or the default */
}

static void catch_crashes(const struct exit_file *file)
{
        static bool caught;
        struct sigaction action = { .sa_handler = on_crash };

        atomic_store(&of_crash, file);
        for (unsigned i = 0; !caught && i < array_size(crashes); i++)
                (void)sigaction(crashes[i].number, &action, &crashes[i].before);
        caught = true;
}

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
        catch_crashes(file);
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
        /* What comes from now on is not what the VM ended by; what came before is being told. */
        if (!atomic_exchange(&of_crash, NULL))
                return;
        if (!write_beside(file, status, words, report) &&
            !renameat(file->folder, file->beside, file->folder, file->name))
                return;
        log_warn("the exit file could not be written: %s", strerror(errno));
        (void)unlinkat(file->folder, file->beside, 0);
}

void exit_file_close(struct exit_file *file)
{
        const struct exit_file *ours = file;

        (void)atomic_compare_exchange_strong(&of_crash, &ours, NULL);
        fd_closep(&file->folder);
}
