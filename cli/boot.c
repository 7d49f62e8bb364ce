/*
 * From a sandbox's folder to its running command, and for who watches, to the end.
 * Input:  a record that was checked.
 * Runs:   the tool's only thread.
 * Limits: none of its own.
 */
#include "cli/boot.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/asked.h"
#include "cli/cli.h"
#include "cli/port_forward.h"
#include "cli/session.h"
#include "sandbox/events.h"
#include "sandbox/life.h"
#include "sandbox/lock.h"
#include "sandbox/network.h"
#include "sandbox/store.h"
#include "vmm/base/cleanup.h"

#define ENDING_MS    500
#define POWER_OFF_MS 60000 /* the agent's own waits are some seconds; the rest is to write disks back */

static void reap(pid_t pid)
{
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
}

/* Nothing in it is worth a clean end: it is temporary, or its command was never there. */
static void kill_monitor(const struct boot *b, const struct launch *l)
{
        struct problem ignored = { 0 };

        /* Its own way out tells how it ended; who is told needs no file. */
        if (b->record->temporary || life_kill(b->sandbox, &ignored))
                (void)kill(l->pid, SIGKILL);
        reap(l->pid);
}

static void on_started(void *ctx)
{
        lock_mark(*(const int *)ctx);
}

static int run_session(const struct boot *b, int *begun, struct session_result *ret, struct problem *p)
{
        const struct record *r = b->record;
        struct session_config config = {
                .socket = b->sandbox->agent,
                .sandbox = b->sandbox,
                .name = r->name ? r->name : b->sandbox->id,
                .exec = { .flags = PROTOCOL_EXEC_DETACH | PROTOCOL_EXEC_MAIN,
                          .cwd = r->workdir,
                          .user = r->user,
                          .args = r->args.items,
                          .env = r->env.items },
                .interactive = b->watch && b->interactive && r->interactive,
                .tty = r->tty,
                .background = !b->watch,
                .on_started = on_started,
                .started_ctx = begun,
                .keys = r->tty ? b->keys : NULL,
                .in = 0,
                .out = 1,
                .err = 2,
        };

        if (!r->temporary || !r->watched)
                config.exec.flags |= PROTOCOL_EXEC_LOG;
        return session_run(&config, ret, p);
}

static int open_ports(const struct boot *b, struct problem *p)
{
        const struct record *r = b->record;

        if (network_has(b->sandbox))
                return 0; /* its gateway has them */
        return port_forward_start(b->sandbox, r->name ? r->name : b->sandbox->id, r->ports.items, r->ports.nr,
                                  p);
}

/* The monitor ended under the session's feet: how? Return: as boot_run(). */
static int explain_end(const struct boot *b, struct problem *p)
{
        const char *name = b->record->name ? b->record->name : b->sandbox->id;
        struct life_status status;

        life_look(b->sandbox, &status);
        if (life_is_alive(&status))
                return -1;
        *p = (struct problem){ 0 };
        if (!strcmp(status.reason, "lifetime"))
                return problem_set(p, status.code, "sandbox %s: its lifetime is over", name);
        if (status.has_main)
                return status.code;
        return problem_set(p, CLI_FAILED, "sandbox %s ended: %.400s", name, status.reason);
}

static bool has_ended_within(pid_t pid, int ms)
{
        cleanup(fd_closep) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
        struct pollfd gone = { .fd = fd, .events = POLLIN };

        if (fd < 0 || poll(&gone, 1, ms) <= 0)
                return false;
        reap(pid);
        return true;
}

/* By itself; a guest that says that its command has ended and goes on does not hold us for ever. */
static void wait_for_power_off(const struct boot *b, const struct launch *l)
{
        if (has_ended_within(l->pid, POWER_OFF_MS))
                return;
        fprintf(stderr, "vmlet: sandbox %s does not power off: it is killed\n", b->sandbox->id);
        kill_monitor(b, l);
}

static void tell_end(const struct boot *b, int status, bool alone, const struct problem *p)
{
        struct events_end end = { .code = status < 0 ? p->status : status,
                                  .reason = status < 0 ? p->text : "" };

        if (alone)
                events_tell(b->paths, b->sandbox, "ended", &end);
        else
                events_tell_end(b->paths, b->sandbox);
}

/* The command has ended and with it the guest: did the lifetime end both? Return: as boot_run(). */
static int after_command(const struct boot *b, const struct launch *l, int status, struct problem *p)
{
        struct life_status ended;

        wait_for_power_off(b, l);
        life_look(b->sandbox, &ended);
        return strcmp(ended.reason, "lifetime") ? status : explain_end(b, p);
}

static bool is_told(const struct sandbox *s)
{
        char path[SANDBOX_FOLDER_MAX + 16];

        snprintf(path, sizeof(path), "%s/exit.json", s->folder);
        return !access(path, F_OK);
}

/*
 * The command has ended, was left, or never began. What is temporary leaves nothing, unless somebody waits for its
 * end: he removes it, or the next tool does.
 */
static int end(const struct boot *b, const struct launch *l, int begun, int status, struct problem *p)
{
        bool alone = b->record->temporary && lock_shut(begun);

        /* The session failed because the monitor ends? Its connections go a moment before it does. */
        if (status < 0 && p->status == CLI_FAILED && has_ended_within(l->pid, ENDING_MS))
                status = explain_end(b, p);
        else if (status < 0 || (b->record->temporary && !b->record->lifetime_ns))
                kill_monitor(b, l);
        else
                status = after_command(b, l, status, p);
        if (b->record->temporary && !alone && (status >= 0 || !is_told(b->sandbox)))
                life_write_end(b->sandbox, status < 0 ? p->status : status);
        tell_end(b, status, alone, p);
        if (alone || (b->record->temporary && lock_shut(begun)))
                store_drop(b->paths, b->sandbox);
        return status;
}

static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP };

static void on_signal(int number)
{
        (void)number;
}

/*
 * Until the session is there to pass signals on, they end the wait for the guest, and no other step: they stay
 * blocked, so that what was begun is finished, or undone.
 */
static int start(const struct boot *b, struct launch *ret, struct problem *p)
{
        const struct sigaction ours = { .sa_handler = on_signal };
        struct sigaction before[array_size(ending_signals)];
        int r;

        for (size_t i = 0; i < array_size(ending_signals); i++) {
                (void)sigaction(ending_signals[i], &ours, &before[i]);
                if (before[i].sa_handler == SIG_IGN)
                        (void)sigaction(ending_signals[i], &before[i], NULL);
        }
        r = life_start(b->paths, b->sandbox, b->record, b->lock, ret, p);
        for (size_t i = 0; i < array_size(ending_signals); i++)
                (void)sigaction(ending_signals[i], &before[i], NULL);
        return r;
}

static int run_all(struct boot *b, struct problem *p)
{
        cleanup(fd_closep) int begun = lock_begin(b->sandbox->folder);
        struct session_result result = { 0 };
        struct launch launch = LAUNCH_NONE;
        int status = begun < 0 ? problem_set(p, CLI_FAILED, "cannot lock %.300s: %s", b->sandbox->folder,
                                             strerror(-begun))
                               : start(b, &launch, p);

        if (status < 0 && b->record->temporary)
                store_drop(b->paths, b->sandbox);
        fd_closep(&b->lock);
        if (status < 0)
                return -1;
        if (*launch.note)
                fprintf(stderr, "vmlet: sandbox %s: %s\n", b->sandbox->id, launch.note);
        if (!network_has(b->sandbox) && b->watch && b->interactive && asked_is_shell(&b->record->args))
                fputs("(no network: vmlet run --net public, or --allow NAME, gives one)\n", stderr);
        if (open_ports(b, p)) {
                status = end(b, &launch, begun, -1, p);
        } else if (b->record->args.nr) {
                status = run_session(b, &begun, &result, p);
                if (status < 0 || (b->watch && !result.detached))
                        status = end(b, &launch, begun, status, p);
        }
        if (status >= 0 && b->watch && result.detached)
                fprintf(stderr, "\nleft running: vmlet attach %s\n",
                        b->record->name ? b->record->name : b->sandbox->id);
        launch_fini(&launch);
        return status;
}

int boot_run(struct boot *b, struct problem *p)
{
        sigset_t ours, before;
        int status;

        sigemptyset(&ours);
        for (size_t i = 0; i < array_size(ending_signals); i++)
                sigaddset(&ours, ending_signals[i]);
        sigprocmask(SIG_BLOCK, &ours, &before);
        status = run_all(b, p);
        sigprocmask(SIG_SETMASK, &before, NULL);
        return status;
}
