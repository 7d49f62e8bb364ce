/*
 * Starting a monitor.
 * Input:  a record that was checked.
 * Runs:   any thread of the tool.
 * Limits: PROCESS_WORDS_MAX words of command line.
 */
#include "sandbox/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/addresses.h"
#include "sandbox/images.h"
#include "sandbox/limits.h"
#include "sandbox/process.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/io.h"

/* What our agent and kernel read on the kernel's command line. */
static void add_kernel_words(struct process_words *w, const struct record *r, bool network)
{
        char line[256] = "";
        size_t n = 0;

        n += (size_t)snprintf(line, sizeof(line), "vmlet.hostname=%.64s", r->hostname ? r->hostname : r->id);
        if (r->pids)
                n += (size_t)snprintf(line + n, sizeof(line) - n, " vmlet.pids=%" PRIu64, r->pids);
        if (network)
                snprintf(line + n, sizeof(line) - n, " vmlet.net4=%s/%d,%s vmlet.net6=%s/%d,%s",
                         ADDRESSES_GUEST_IP4, ADDRESSES_PREFIX_IP4, ADDRESSES_GATEWAY_IP4,
                         ADDRESSES_GUEST_IP6, ADDRESSES_PREFIX_IP6, ADDRESSES_GATEWAY_IP6);
        process_add(w, "--append", "%s", line);
}

static void add_files(struct process_words *w, const struct sandbox *s, const struct record *r)
{
        process_add(w, "--vsock", "agent");
        process_add(w, "--control", "control");
        process_add(w, "--exit-file", "%s/exit.json", s->folder);
        if (r->temporary) {
                process_add(w, "--serial", "off");
        } else {
                process_add(w, "--serial", "%s/console", s->folder);
                process_add(w, "--log", "%s/vmm.log", s->folder);
        }
        if (!r->temporary || !r->watched)
                process_add(w, "--output", "%s/output", s->folder);
        if (r->temporary && !r->watched)
                process_add(w, "--log-limit", "1M"); /* it lies in memory */
        process_add(w, "--image", "%s", r->image_path);
        if (r->disk_bytes)
                process_add(w, "--disk", "%s/disk.img,serial=upper%s%s", sandbox_disk_folder(s),
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

static int make_words(struct process_words *w, const struct sandbox *s, const struct record *r,
                      const struct launch *l, int ready, struct problem *p)
{
        char vmm[PATHS_MAX];

        if (check_paths(s, r, p))
                return -1;
        if (images_program_file("vmm", vmm) || access(vmm, X_OK) < 0)
                return problem_set(p, SANDBOX_FAILED, "vmm is not beside vmlet (%.300s): install both", vmm);
        process_add(w, NULL, "%s", vmm);
        process_add(w, "--id", "%s", r->name ? r->name : r->id);
        process_add(w, "--kernel", "%s", r->kernel);
        add_files(w, s, r);
        process_add(w, "--cpus", "%" PRIu64, (r->cpus_milli + 999) / 1000);
        process_add(w, "--memory", "%" PRIu64, r->memory_bytes);
        process_add(w, "--ready-fd", "%d", ready);
        if (r->lifetime_ns)
                process_add(w, "--lifetime", "%" PRIu64 "ns", r->lifetime_ns);
        if (r->boot_timeout_ns)
                process_add(w, "--boot-timeout", "%" PRIu64 "ns", r->boot_timeout_ns);
        if (l->network.pid)
                process_add(w, "--net", "fd=%d,vnet", l->network.monitor_fd);
        add_kernel_words(w, r, l->network.pid);
        return w->failed ? problem_set(p, SANDBOX_FAILED, "out of memory") : 0;
}

int launch_start(const struct sandbox *s, const struct record *r, const int locks[2], struct launch *ret,
                 struct problem *p)
{
        cleanup(process_words_fini) struct process_words words = { 0 };
        cleanup(limits_fini) struct limits limits;
        cleanup(fd_closep) int ready = -1, told = -1;
        char log[SANDBOX_FOLDER_MAX + 16];
        int keep[5] = { -1, -1, -1, -1, -1 }, ends[2], nr = 0, e;

        if (network_has(s) && network_start(s, r, &ret->network, p))
                return -1;
        limits_make(s, r, &limits);
        for (unsigned i = 0; limits.scope[i]; i++)
                process_add(&words, NULL, "%s", limits.scope[i]);
        if (pipe2(ends, O_CLOEXEC) < 0)
                return problem_set(p, SANDBOX_FAILED, "cannot make a pipe: %s", strerror(errno));
        ready = ends[0];
        told = ends[1];
        if (make_words(&words, s, r, ret, told, p))
                return -1;
        keep[nr++] = told;
        for (int i = 0; i < 2; i++)
                if (locks[i] >= 0)
                        keep[nr++] = locks[i];
        if (ret->network.pid)
                keep[nr++] = ret->network.monitor_fd;
        /*
         * What it says before it has read where its log goes is in vmm.log too. Of a temporary one the exit file has
         * the last words, and nobody reads others.
         */
        snprintf(log, sizeof(log), "%s/vmm.log", s->folder);
        e = process_spawn(
                &words,
                &(struct process_files){ .folder = s->run, .log = s->temporary ? NULL : log, .keep = keep },
                &ret->pid);
        if (e)
                return problem_set(p, SANDBOX_FAILED, "cannot start %.300s: %s", words.items[0], strerror(e));
        limits_join(&limits, ret->pid);
        fd_closep(&ret->network.monitor_fd);
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
        network_fini(&l->network);
}
