/*
 * The checks of vmlet doctor: what of this host makes sandboxes slow, weak or impossible.
 * Input:  files of /proc, /sys and the user's folders.
 * Runs:   the tool's only thread.
 * Limits: the first 64 KiB of each file.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"
#include "vmm/base/parse.h"

#define FILE_MAX (64u << 10)
#define GIB      (1ull << 30)

const char *const doctor_level_names[] = { "ok", "note", "warn", "bad" };

__attribute__((format(printf, 3, 4))) static void find(struct doctor_finding *f, enum doctor_level level,
                                                       const char *format, ...)
{
        va_list list;

        va_start(list, format);
        (void)vsnprintf(f->what, sizeof(f->what), format, list);
        va_end(list);
        f->level = level;
}

__attribute__((format(printf, 2, 3))) static void advise(struct doctor_finding *f, const char *format, ...)
{
        va_list list;

        va_start(list, format);
        (void)vsnprintf(f->advice, sizeof(f->advice), format, list);
        va_end(list);
}

/* Return: the file's text without its last newline, or NULL. The caller frees it. */
static char *read_text(const struct doctor_host *host, const char *path)
{
        char whole[512];
        cleanup(fd_closep) int fd = -1;
        char *text = calloc(1, FILE_MAX + 1);
        size_t len = 0;
        ssize_t n = 1;

        (void)snprintf(whole, sizeof(whole), "%s%s", host->root, path);
        fd = open(whole, O_RDONLY | O_CLOEXEC);
        while (text && fd >= 0 && n > 0 && len < FILE_MAX) {
                n = read(fd, text + len, FILE_MAX - len);
                len += n > 0 ? (size_t)n : 0;
        }
        if (fd < 0 || n < 0) {
                free(text);
                return NULL;
        }
        if (text && len && text[len - 1] == '\n')
                text[len - 1] = 0;
        return text;
}

static bool read_number(const struct doctor_host *host, const char *path, uint64_t *ret)
{
        cleanup(freep) char *text = read_text(host, path);

        return text && parse_u64(text, ret);
}

/* "always [madvise] never": is @word the one in brackets? */
static bool is_chosen(const char *text, const char *word)
{
        char chosen[32];

        (void)snprintf(chosen, sizeof(chosen), "[%s]", word);
        return text && strstr(text, chosen);
}

static bool has_word(const char *text, const char *word)
{
        size_t n = strlen(word);

        for (const char *at = text; at && (at = strstr(at, word)); at += n) {
                if ((at == text || strchr(" \n\t,", at[-1])) && (!at[n] || strchr(" \n\t,", at[n])))
                        return true;
        }
        return false;
}

static void look_at_processor(const struct doctor_host *host, struct doctor_finding *f)
{
        cleanup(freep) char *info = read_text(host, "/proc/cpuinfo");
        bool is_guest = has_word(info, "hypervisor");

        if (!has_word(info, "vmx") && !has_word(info, "svm")) {
                find(f, DOCTOR_BAD, "the processor shows no virtualization (vmx or svm)");
                advise(f, is_guest ? "allow nested virtualization for this virtual machine on its host"
                                   : "switch VT-x or SVM on in the firmware's set-up");
        } else if (is_guest) {
                find(f, DOCTOR_NOTE,
                     "this host is itself a virtual machine: each exit of a guest costs many times "
                     "what it does on the metal");
                advise(f, "where speed matters, run sandboxes on a host of their own");
        } else {
                find(f, DOCTOR_OK, "the processor virtualizes (%s)", has_word(info, "svm") ? "svm" : "vmx");
        }
}

static void look_at_kernel(const struct doctor_host *host, struct doctor_finding *f)
{
        cleanup(freep) char *release = read_text(host, "/proc/sys/kernel/osrelease");
        unsigned major = 0, minor = 0;

        if (!release || sscanf(release, "%u.%u", &major, &minor) != 2) {
                find(f, DOCTOR_WARN, "the kernel does not tell its version");
                advise(f, "mount /proc");
        } else if (major < 5 || (major == 5 && minor < 10)) {
                find(f, DOCTOR_WARN, "Linux %s is older than anything vmlet is tested with", release);
                advise(f, "use Linux 5.10 or later");
        } else {
                find(f, DOCTOR_OK, "Linux %s", release);
        }
}

static void look_at_rcu(const struct doctor_host *host, struct doctor_finding *f)
{
        uint64_t expedited = 0;

        if (!read_number(host, "/sys/kernel/rcu_expedited", &expedited)) {
                find(f, DOCTOR_NOTE, "whether the kernel waits for normal RCU grace periods is not known");
                advise(f, "mount -t sysfs none /sys; if that has no kernel/rcu_expedited: boot with "
                          "rcupdate.rcu_expedited=1");
        } else if (!expedited) {
                find(f, DOCTOR_NOTE, "making a VM waits for RCU grace periods, some milliseconds each");
                advise(f,
                       "echo 1 > /sys/kernel/rcu_expedited (at boot: rcupdate.rcu_expedited=1); costs other "
                       "processes some interrupts");
        } else {
                find(f, DOCTOR_OK, "RCU grace periods are expedited: making a VM does not wait");
        }
}

/* The recovery thread that KVM makes for each VM has to enter the VM's cgroup, under a lock of all cgroups. */
static void look_at_nx(const struct doctor_host *host, struct doctor_finding *f)
{
        cleanup(freep) char *nx = read_text(host, "/sys/module/kvm/parameters/nx_huge_pages");
        cleanup(freep) char *mounts = read_text(host, "/proc/mounts");
        bool is_on = nx && (*nx == 'Y' || *nx == '1');

        if (!is_on) {
                find(f, DOCTOR_OK, "KVM needs no thread of its own for each VM");
        } else if (has_word(mounts, "favordynmods")) {
                find(f, DOCTOR_OK, "cgroups favour fast changes (favordynmods)");
        } else {
                find(f, DOCTOR_NOTE,
                     "kvm.nx_huge_pages is on, and cgroups do not favour changes: making a VM waits for its "
                     "recovery thread");
                advise(f, "mount -o remount,favordynmods /sys/fs/cgroup; only on processors without iTLB "
                          "multihit: "
                          "kvm.nx_huge_pages=never");
        }
}

static void look_at_huge_pages(const struct doctor_host *host, struct doctor_finding *f)
{
        cleanup(freep) char *enabled = read_text(host, "/sys/kernel/mm/transparent_hugepage/enabled");
        cleanup(freep) char *defrag = read_text(host, "/sys/kernel/mm/transparent_hugepage/defrag");

        if (!enabled || is_chosen(enabled, "never")) {
                find(f, DOCTOR_WARN, "guests get no huge pages: a boot takes hundreds of page faults more");
                advise(f, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
        } else if (is_chosen(defrag, "always")) {
                find(f, DOCTOR_NOTE, "the kernel compacts memory while a guest waits for a huge page");
                advise(f, "echo defer+madvise > /sys/kernel/mm/transparent_hugepage/defrag");
        } else {
                find(f, DOCTOR_OK, "guests get huge pages");
        }
}

static void look_at_sharing(const struct doctor_host *host, struct doctor_finding *f)
{
        uint64_t ksm = 0;

        if (read_number(host, "/sys/kernel/mm/ksm/run", &ksm) && ksm == 1) {
                find(f, DOCTOR_WARN,
                     "the kernel merges equal pages (KSM): timing tells a guest what others hold in memory");
                advise(f, "echo 2 > /sys/kernel/mm/ksm/run");
        } else {
                find(f, DOCTOR_OK, "equal pages of different guests are not merged (KSM is off)");
        }
}

static void look_at_threads(const struct doctor_host *host, struct doctor_finding *f)
{
        uint64_t active = 0;

        if (read_number(host, "/sys/devices/system/cpu/smt/active", &active) && active) {
                find(f, DOCTOR_NOTE, "guests of different users may share a processor core (SMT is on)");
                advise(f, "where sandboxes of different people run: echo off > "
                          "/sys/devices/system/cpu/smt/control");
        } else {
                find(f, DOCTOR_OK, "no two guests share a processor core at a time");
        }
}

static void look_at_clock(const struct doctor_host *host, struct doctor_finding *f)
{
        cleanup(freep) char *source =
                read_text(host, "/sys/devices/system/clocksource/clocksource0/current_clocksource");

        if (source && strcmp(source, "tsc") && strcmp(source, "kvm-clock")) {
                find(f, DOCTOR_WARN,
                     "the clock is %.32s: reading the time is a system call, here and in guests", source);
                advise(f, "see why the kernel gave up its tsc: dmesg | grep -i tsc");
        } else {
                find(f, DOCTOR_OK, "the clock is read without a system call%s%.32s", source ? ": " : "",
                     source ? source : "");
        }
}

static bool may_write(const struct doctor_host *host, const char *path)
{
        char whole[512];

        (void)snprintf(whole, sizeof(whole), "%s%s", host->root, path);
        return access(whole, W_OK) == 0;
}

static void look_at_cgroups(const struct doctor_host *host, struct doctor_finding *f)
{
        cleanup(freep) char *controllers = read_text(host, "/sys/fs/cgroup/cgroup.controllers");
        cleanup(freep) char *delegated = NULL;
        char path[160];

        if (!controllers) {
                find(f, DOCTOR_WARN,
                     "there is no cgroup version 2 at /sys/fs/cgroup: --cpus below a whole vCPU and limits "
                     "of the "
                     "process are not held");
                advise(f, "boot with systemd.unified_cgroup_hierarchy=1, or mount -t cgroup2 none "
                          "/sys/fs/cgroup");
                return;
        }
        if (!host->uid) {
                if (may_write(host, "/sys/fs/cgroup/cgroup.subtree_control")) {
                        find(f, DOCTOR_OK, "each sandbox can have a cgroup of its own");
                        return;
                }
                find(f, DOCTOR_WARN, "/sys/fs/cgroup cannot be written: limits of the process are not held");
                advise(f, "run where the cgroup file system is mounted read-write");
                return;
        }
        (void)snprintf(path, sizeof(path),
                       "/sys/fs/cgroup/user.slice/user-%u.slice/user@%u.service/cgroup.controllers",
                       host->uid, host->uid);
        delegated = read_text(host, path);
        if (!delegated) {
                find(f, DOCTOR_WARN,
                     "systemd runs no manager for this user: limits of the process are not held");
                advise(f, "log in through systemd, or as root: loginctl enable-linger %u", host->uid);
        } else if (!has_word(delegated, "cpu") || !has_word(delegated, "memory") ||
                   !has_word(delegated, "pids")) {
                find(f, DOCTOR_WARN, "systemd hands this user only these controllers: %.100s",
                     *delegated ? delegated : "(none)");
                advise(f, "as root: systemctl edit user@.service, [Service] Delegate=cpu cpuset io memory "
                          "pids; log in again");
        } else {
                find(f, DOCTOR_OK, "systemd hands this user the controllers cpu, memory and pids");
        }
}

static void look_at_folder(const char *folder, const char *what, uint64_t least, struct doctor_finding *f)
{
        struct statvfs st;

        if (statvfs(folder, &st)) {
                find(f, DOCTOR_WARN, "%s %s: %s", what, folder, strerror(errno));
                advise(f, "let this user in, or name another place: XDG_DATA_HOME, XDG_RUNTIME_DIR");
                return;
        }

        double free_gib = (double)st.f_bavail * (double)st.f_frsize / (double)GIB;

        if (free_gib * (double)GIB < (double)least) {
                find(f, DOCTOR_WARN, "%s %s has %.2f GiB left", what, folder, free_gib);
                advise(f, "make room: vmlet system df, vmlet system prune");
        } else {
                find(f, DOCTOR_OK, "%s %s has %.1f GiB left", what, folder, free_gib);
        }
}

static void look_at_data(const struct doctor_host *host, struct doctor_finding *f)
{
        look_at_folder(host->data ? host->data : "/", "the folder of sandboxes", 2 * GIB, f);
}

static void look_at_runtime(const struct doctor_host *host, struct doctor_finding *f)
{
        if (!host->runtime) {
                find(f, DOCTOR_BAD, "no folder for sockets could be found or made");
                advise(f, "set XDG_RUNTIME_DIR to a folder of yours with mode 0700");
                return;
        }
        look_at_folder(host->runtime, "the folder of sockets", 16u << 20, f);
        if (host->uid && !getenv("XDG_RUNTIME_DIR") && f->level == DOCTOR_OK) {
                find(f, DOCTOR_NOTE, "XDG_RUNTIME_DIR is not set: sockets are in %s", host->runtime);
                advise(f, "log in through systemd, which sets it, so that all your sessions see the same "
                          "sandboxes");
        }
}

/* Return: the number behind @name in /proc/meminfo, in bytes. */
static uint64_t meminfo(const char *text, const char *name)
{
        const char *at = text ? strstr(text, name) : NULL;

        return at ? strtoull(at + strlen(name), NULL, 10) << 10 : 0;
}

static void look_at_memory(const struct doctor_host *host, struct doctor_finding *f)
{
        cleanup(freep) char *info = read_text(host, "/proc/meminfo");
        uint64_t available = meminfo(info, "MemAvailable:"), policy = 0;

        if (read_number(host, "/proc/sys/vm/overcommit_memory", &policy) && policy == 2) {
                find(f, DOCTOR_WARN,
                     "the kernel promises no more memory than it has: guests count in full, used or not");
                advise(f, "sysctl vm.overcommit_memory=0");
        } else if (available < GIB / 2) {
                find(f, DOCTOR_WARN, "%.2f GiB of memory are available", (double)available / (double)GIB);
                advise(f, "a sandbox takes up to 512 MiB unless --memory says less; "
                          "vmlet stats tells which takes how much");
        } else {
                find(f, DOCTOR_OK, "%.1f GiB of memory are available", (double)available / (double)GIB);
        }
}

static void look_at_limits(const struct doctor_host *host, struct doctor_finding *f)
{
        struct rlimit files = { 0 };
        uint64_t pids = 0;

        if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_max < 4096) {
                find(f, DOCTOR_WARN, "a process may open %llu files only: each connection to a guest is one",
                     (unsigned long long)files.rlim_max);
                advise(f, "raise the hard limit: ulimit -Hn, or nofile in /etc/security/limits.conf");
        } else if (read_number(host, "/proc/sys/kernel/pid_max", &pids) && pids <= 32768) {
                find(f, DOCTOR_NOTE, "there can be %llu threads on this host; a sandbox has about three",
                     (unsigned long long)pids);
                advise(f, "for thousands of sandboxes: sysctl kernel.pid_max=4194304");
        } else {
                find(f, DOCTOR_OK, "enough files and threads for thousands of sandboxes");
        }
}

/* What gateways need of the host: a resolver to ask, and the kernel's leave to ping without privileges. */
static void look_at_network(const struct doctor_host *host, struct doctor_finding *f)
{
        cleanup(freep) char *resolver = read_text(host, "/etc/resolv.conf");
        cleanup(freep) char *groups = read_text(host, "/proc/sys/net/ipv4/ping_group_range");
        unsigned long first = 1, last = 0;

        if (!resolver || !strstr(resolver, "nameserver")) {
                find(f, DOCTOR_WARN,
                     "/etc/resolv.conf names no resolver: sandboxes with a network resolve no names");
                advise(f, "add a line such as: nameserver 192.0.2.53");
        } else if (!groups || sscanf(groups, "%lu %lu", &first, &last) != 2 || first > host->gid ||
                   last < host->gid) {
                find(f, DOCTOR_NOTE, "this user may not ping: nor may sandboxes with a network");
                advise(f, "sysctl net.ipv4.ping_group_range='0 2147483647'");
        } else {
                find(f, DOCTOR_OK, "sandboxes with a network can resolve names and ping");
        }
}

const struct doctor_check doctor_checks[] = {
        { "processor", look_at_processor },
        { "kernel", look_at_kernel },
        { "rcu", look_at_rcu },
        { "nx", look_at_nx },
        { "huge-pages", look_at_huge_pages },
        { "memory", look_at_memory },
        { "clock", look_at_clock },
        { "cgroups", look_at_cgroups },
        { "limits", look_at_limits },
        { "network", look_at_network },
        { "disk", look_at_data },
        { "sockets", look_at_runtime },
        { "ksm", look_at_sharing },
        { "smt", look_at_threads },
        { 0 },
};
