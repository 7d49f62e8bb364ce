/*
 * Limits of a sandbox's process.
 * Input:  words of the user; cgroups and the login session of this host.
 * Runs:   any thread of the tool.
 * Limits: 255 processors.
 */
#include "sandbox/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/io.h"

#define ROOT      "/sys/fs/cgroup"
#define OURS      ROOT "/vmlet"
#define PERIOD_US 100000u
#define OVERHEAD                                                                                             \
        ((uint64_t)128 << 20) /* of the monitor beside its guest's memory, with buffers of the kernel's */
#define SYSTEMD_RUN "/usr/bin/systemd-run"

bool limits_parse_cpus(const char *text, uint64_t *ret_milli)
{
        uint64_t v = 0, unit = 1000;
        const char *at = text;

        for (; *at >= '0' && *at <= '9' && v <= 255; at++)
                v = v * 10 + (uint64_t)(*at - '0');
        v *= 1000;
        if (at == text)
                return false;
        if (*at == '.')
                for (at++; *at >= '0' && *at <= '9' && unit > 1; at++)
                        v += (uint64_t)(*at - '0') * (unit /= 10);
        if (*at || v < 10 || v > 255000)
                return false;
        *ret_milli = v;
        return true;
}

uint64_t limits_weight(uint64_t shares)
{
        uint64_t weight = shares * 100 / 1024;

        return weight < 1 ? 1 : weight > 10000 ? 10000 : weight;
}

/* Is there something that nobody but a cgroup can hold? */
static bool is_needed(const struct record *r)
{
        return r->cpus_milli % 1000 || r->cpu_shares;
}

static int write_text(const char *folder, const char *file, const char *format, ...) format_printf(3, 4);
static int write_text(const char *folder, const char *file, const char *format, ...)
{
        char path[256], text[64];
        cleanup(fd_closep) int fd = -1;
        va_list args;

        va_start(args, format);
        vsnprintf(text, sizeof(text), format, args);
        va_end(args);
        snprintf(path, sizeof(path), "%s/%s", folder, file);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return err_new(-errno);
        return io_write_all(fd, text, strlen(text));
}

/* Whoever was first has done it; a kernel that refuses says so when a limit is written. */
static void give_controllers(void)
{
        (void)!write_text(ROOT, "cgroup.subtree_control", "+cpu +memory");
        (void)!write_text(OURS, "cgroup.subtree_control", "+cpu +memory");
}

static void not_held(struct limits *l, const char *why)
{
        snprintf(l->note, sizeof(l->note), "its limits of processor time are not held: %s", why);
}

static void make_as_root(const struct sandbox *s, const struct record *r, struct limits *l)
{
        int e = 0;

        if (access(ROOT "/cgroup.controllers", F_OK) < 0) {
                if (is_needed(r))
                        not_held(l, "there is no cgroup v2 at " ROOT);
                return;
        }
        (void)mkdir(OURS, 0755);
        give_controllers();
        snprintf(l->folder, sizeof(l->folder), OURS "/%s", s->id);
        (void)rmdir(l->folder); /* counters begin anew */
        if (mkdir(l->folder, 0755) < 0 && errno != EEXIST)
                e = -errno;
        if (!e && r->cpus_milli % 1000)
                e = write_text(l->folder, "cpu.max", "%" PRIu64 " %u", r->cpus_milli * PERIOD_US / 1000,
                               PERIOD_US);
        if (!e && r->cpu_shares)
                e = write_text(l->folder, "cpu.weight", "%" PRIu64, limits_weight(r->cpu_shares));
        if (!e)
                (void)!write_text(l->folder, "memory.max", "%" PRIu64, r->memory_bytes + OVERHEAD);
        if (e < 0 && is_needed(r))
                not_held(l, e == -ENOENT ? "the controllers of " ROOT
                                           " are not for us to give away (a container?)"
                                         : strerror(-e));
}

static bool add(struct limits *l, unsigned *n, const char *format, ...) format_printf(3, 4);
static bool add(struct limits *l, unsigned *n, const char *format, ...)
{
        va_list args;
        int r = -1;

        va_start(args, format);
        if (*n < LIMITS_WORDS)
                r = vasprintf(&l->scope[*n], format, args);
        va_end(args);
        *n += r >= 0;
        return r >= 0;
}

static void make_by_systemd(const struct sandbox *s, const struct record *r, struct limits *l)
{
        const char *run = getenv("XDG_RUNTIME_DIR");
        char manager[PATHS_MAX];
        unsigned n = 0;
        bool ok;

        snprintf(manager, sizeof(manager), "%s/systemd/private", run ? run : "");
        if (!run || access(manager, F_OK) < 0 || access(SYSTEMD_RUN, X_OK) < 0) {
                not_held(l, "without root they need a login session of systemd");
                return;
        }
        ok = add(l, &n, SYSTEMD_RUN) && add(l, &n, "--user") && add(l, &n, "--scope") &&
             add(l, &n, "--quiet") && add(l, &n, "--collect") && add(l, &n, "--unit=vmlet-%s", s->id) &&
             add(l, &n, "--property=MemoryMax=%" PRIu64, r->memory_bytes + OVERHEAD);
        if (ok && r->cpus_milli % 1000)
                ok = add(l, &n, "--property=CPUQuota=%" PRIu64 ".%" PRIu64 "%%", r->cpus_milli / 10,
                         r->cpus_milli % 10);
        if (ok && r->cpu_shares)
                ok = add(l, &n, "--property=CPUWeight=%" PRIu64, limits_weight(r->cpu_shares));
        if (ok)
                return;
        limits_fini(l);
        not_held(l, strerror(ENOMEM));
}

void limits_make(const struct sandbox *s, const struct record *r, struct limits *ret)
{
        *ret = (struct limits){ 0 };
        /* A temporary one without such limits is worth no cgroup: its guest's memory is what it may take. */
        if (!geteuid() && (is_needed(r) || !r->temporary))
                make_as_root(s, r, ret);
        else if (geteuid() && is_needed(r))
                make_by_systemd(s, r, ret);
}

void limits_join(struct limits *l, pid_t pid)
{
        int e = *l->folder ? write_text(l->folder, "cgroup.procs", "%d", (int)pid) : 0;

        if (e < 0 && !*l->note)
                snprintf(l->note, sizeof(l->note), "its monitor could not be put into %s: %s", l->folder,
                         strerror(-e));
}

void limits_fini(struct limits *l)
{
        for (unsigned i = 0; i < LIMITS_WORDS; i++)
                freep(&l->scope[i]);
        l->scope[0] = NULL;
}

void limits_remove(const struct sandbox *s)
{
        char folder[128];

        snprintf(folder, sizeof(folder), OURS "/%s", s->id);
        (void)rmdir(folder);
}

bool limits_killed(const struct sandbox *s)
{
        cleanup(freep) char *text = NULL;
        const char *line;
        char path[160];

        snprintf(path, sizeof(path), OURS "/%s/memory.events", s->id);
        if (io_read_file(path, 4096, &text) < 0)
                return false;
        line = strstr(text, "oom_kill ");
        return line && line[9] != '0';
}
