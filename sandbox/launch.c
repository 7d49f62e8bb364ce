/*
 * Starting a monitor.
 * Input:  a record that was checked.
 * Runs:   any thread of the tool.
 * Limits: WORDS_MAX words of command line.
 */
#include "sandbox/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/images.h"
#include "sandbox/limits.h"
#include "vmm/base/assert.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/io.h"

#define WORDS_MAX 64u

struct words {
        char *items[WORDS_MAX];
        size_t nr;
        bool failed;
};

static void words_fini(struct words *w)
{
        for (size_t i = 0; i < w->nr; i++)
                free(w->items[i]);
}

static void add(struct words *w, const char *option, const char *format, ...) format_printf(3, 4);
static void add(struct words *w, const char *option, const char *format, ...)
{
        char *value = NULL;
        va_list args;

        va_start(args, format);
        w->failed |= w->nr + 3 > WORDS_MAX || vasprintf(&value, format, args) < 0;
        va_end(args);
        if (w->failed)
                return;
        if (option && !(w->items[w->nr++] = strdup(option)))
                w->failed = true;
        w->items[w->nr++] = value;
}

/* What our agent and kernel read on the kernel's command line. */
static void add_kernel_words(struct words *w, const struct record *r)
{
        char line[256] = "";
        size_t n = 0;

        n += (size_t)snprintf(line, sizeof(line), "vmlet.hostname=%.64s", r->hostname ? r->hostname : r->id);
        if (r->pids)
                snprintf(line + n, sizeof(line) - n, " vmlet.pids=%" PRIu64, r->pids);
        add(w, "--append", "%s", line);
}

static void add_files(struct words *w, const struct sandbox *s, const struct record *r)
{
        add(w, "--vsock", "agent");
        add(w, "--control", "control");
        add(w, "--exit-file", "%s/exit.json", s->folder);
        if (r->temporary) {
                add(w, "--serial", "off");
        } else {
                add(w, "--serial", "%s/console", s->folder);
                add(w, "--log", "%s/vmm.log", s->folder);
        }
        if (!r->temporary || !r->watched)
                add(w, "--output", "%s/output", s->folder);
        if (r->temporary && !r->watched)
                add(w, "--log-limit", "1M"); /* it lies in memory */
        add(w, "--image", "%s", r->image_path);
        if (r->disk_bytes)
                add(w, "--disk", "%s/disk.img,serial=upper%s%s", sandbox_disk_folder(s),
                    r->disk_rate ? "," : "", r->disk_rate ? r->disk_rate : "");
}

/* A path with a comma in it would end there. */
static int check_paths(const struct sandbox *s, const struct record *r, struct problem *p)
{
        const char *disk = sandbox_disk_folder(s);

        if (strchr(r->image_path, ',') || (r->disk_bytes && strchr(disk, ',')))
                return problem_set(p, SANDBOX_FAILED,
                                   "the path %.300s has a comma in it, which vmm does not take",
                                   strchr(r->image_path, ',') ? r->image_path : disk);
        return 0;
}

static int make_words(struct words *w, const struct sandbox *s, const struct record *r, int ready,
                      struct problem *p)
{
        char vmm[PATHS_MAX];

        if (check_paths(s, r, p))
                return -1;
        if (images_program_file("vmm", vmm) || access(vmm, X_OK) < 0)
                return problem_set(p, SANDBOX_FAILED, "vmm is not beside vmlet (%.300s): install both", vmm);
        add(w, NULL, "%s", vmm);
        add(w, "--id", "%s", r->name ? r->name : r->id);
        add(w, "--kernel", "%s", r->kernel);
        add_files(w, s, r);
        add(w, "--cpus", "%" PRIu64, (r->cpus_milli + 999) / 1000);
        add(w, "--memory", "%" PRIu64, r->memory_bytes);
        add(w, "--ready-fd", "%d", ready);
        if (r->lifetime_ns)
                add(w, "--lifetime", "%" PRIu64 "ns", r->lifetime_ns);
        if (r->boot_timeout_ns)
                add(w, "--boot-timeout", "%" PRIu64 "ns", r->boot_timeout_ns);
        add_kernel_words(w, r);
        return w->failed ? problem_set(p, SANDBOX_FAILED, "out of memory") : 0;
}

/*
 * What it says before it has read where its log goes is in vmm.log too. Of a temporary one the exit file has the
 * last words, and nobody reads others.
 */
static int set_files(posix_spawn_file_actions_t *a, const struct sandbox *s, const int *keep)
{
        char log[SANDBOX_FOLDER_MAX + 16];
        int e = posix_spawn_file_actions_addopen(a, 0, "/dev/null", O_RDWR, 0);

        snprintf(log, sizeof(log), "%s/vmm.log", s->folder);
        if (!e)
                e = posix_spawn_file_actions_adddup2(a, 0, 1);
        if (!e && s->temporary)
                e = posix_spawn_file_actions_adddup2(a, 0, 2);
        else if (!e)
                e = posix_spawn_file_actions_addopen(a, 2, log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND,
                                                     0600);
        for (; !e && *keep >= 0; keep++)
                e = posix_spawn_file_actions_adddup2(a, *keep, *keep); /* takes its CLOEXEC away */
        return e ? e : posix_spawn_file_actions_addchdir_np(a, s->run);
}

static int spawn(const struct sandbox *s, struct words *w, const int *keep, pid_t *ret)
{
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attr;
        sigset_t none, all;
        int e;

        ASSERT(w->items[0]);
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attr);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setsigdefault(&attr, &all);
        e = set_files(&actions, s, keep);
        if (!e)
                e = posix_spawn(ret, w->items[0], &actions, &attr, w->items, environ);
        posix_spawnattr_destroy(&attr);
        posix_spawn_file_actions_destroy(&actions);
        return e;
}

int launch_start(const struct sandbox *s, const struct record *r, const int locks[2], struct launch *ret,
                 struct problem *p)
{
        cleanup(words_fini) struct words words = { 0 };
        cleanup(limits_fini) struct limits limits;
        cleanup(fd_closep) int ready = -1, told = -1;
        int ends[2], e;

        limits_make(s, r, &limits);
        for (unsigned i = 0; limits.scope[i]; i++)
                add(&words, NULL, "%s", limits.scope[i]);
        if (pipe2(ends, O_CLOEXEC) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot make a pipe: %s", strerror(errno));
        ready = ends[0];
        told = ends[1];
        if (make_words(&words, s, r, told, p))
                return -1;
        /* Locks and pipes that a script left open in us are not for a process that outlives it. */
        (void)!io_close_range(3, ~0u, IO_CLOSE_ON_EXEC);
        e = spawn(s, &words, (const int[]){ told, locks[0], locks[1], -1 }, &ret->pid);
        if (e)
                return problem_set(p, SANDBOX_FAILED, "cannot start %.300s: %s", words.items[0], strerror(e));
        limits_join(&limits, ret->pid);
        memcpy(ret->note, limits.note, sizeof(ret->note));
        ret->ready = steal_fd(&ready);
        return 0;
}

int launch_wait_ready(struct launch *l)
{
        struct pollfd ready = { .fd = l->ready, .events = POLLIN };
        sigset_t open;
        char line[16];
        int e;

        sigprocmask(SIG_BLOCK, NULL, &open);
        sigdelset(&open, SIGINT);
        sigdelset(&open, SIGTERM);
        sigdelset(&open, SIGHUP);
        e = ppoll(&ready, 1, NULL, &open) < 0 ? -errno : read(l->ready, line, sizeof(line)) > 0 ? 0 : -EPIPE;

        fd_closep(&l->ready);
        return e;
}

void launch_fini(struct launch *l)
{
        fd_closep(&l->ready);
}
