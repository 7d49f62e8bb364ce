/*
 * vmlet stop, kill, rm, wait, pause, unpause: what is done to sandboxes that are there.
 * Input:  the command line (the user).
 * Runs:   the tool's only thread, which waits.
 * Limits: none of its own.
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/each.h"
#include "sandbox/events.h"
#include "sandbox/life.h"
#include "sandbox/lock.h"
#include "sandbox/monitor.h"
#include "sandbox/store.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/parse.h"

#define GRACE_MS 10000
#define TOOL_MS  2000

struct options {
        const char *time;
        bool force;
};

static int stop(const struct paths *paths, struct sandbox *s, void *options, struct problem *p)
{
        const struct options *o = options;
        uint64_t ns, ms = GRACE_MS;

        (void)paths;
        if (o->time && parse_u64(o->time, &ns)) /* seconds, as docker has them */
                ms = ns < UINT32_MAX ? ns * 1000 : UINT32_MAX;
        else if (o->time && parse_duration(o->time, &ns))
                ms = ns / 1000000;
        else if (o->time)
                return problem_set(p, CLI_FAILED, "--time %.32s: write seconds, or 500ms, 30s, 5m", o->time);
        return life_stop(s, ms, p);
}

static int end(const struct paths *paths, struct sandbox *s, void *options, struct problem *p)
{
        (void)paths, (void)options;
        return life_kill(s, p);
}

/* Who watches a temporary one tells its end and removes it; one who is held up is not waited for. */
static bool is_removed_by_its_tool(const struct sandbox *s)
{
        static const struct timespec moment = { .tv_nsec = 10000000 };

        for (int ms = 0; s->temporary && ms < TOOL_MS && lock_is_attended(s->folder); ms += 10)
                (void)nanosleep(&moment, NULL);
        return s->temporary && access(s->folder, F_OK) < 0;
}

static int remove_it(const struct paths *paths, struct sandbox *s, void *options, struct problem *p)
{
        const struct options *o = options;

        if (o->force) {
                if (life_kill(s, p))
                        return -1;
                if (is_removed_by_its_tool(s))
                        return 0;
                events_tell_end(paths, s);
        } else if (s->temporary && lock_is_attended(s->folder)) {
                return problem_set(p, CLI_FAILED,
                                   "sandbox %s: the tool that runs it is to remove it; or use rm -f", s->id);
        }
        return store_remove(paths, s, p);
}

static int wait_for(const struct paths *paths, struct sandbox *s, void *options, struct problem *p)
{
        cleanup(fd_closep) int wait = -1;
        struct life_status status;

        (void)paths, (void)options;
        if (s->temporary && lock_wait(s->folder, &wait))
                return problem_set(p, CLI_FAILED, "sandbox %s has ended, and is just being removed", s->id);
        if (life_wait(s, -1, p))
                return -1;
        if (s->temporary) /* who watches it knows how its command ended */
                lock_wait_unattended(wait);
        life_look(s, &status);
        if (status.state == LIFE_CREATED)
                return problem_set(p, CLI_FAILED, "sandbox %s was never started", s->id);
        printf("%d\n", status.code);
        return 0;
}

static int pause_it(const struct paths *paths, struct sandbox *s, void *options, struct problem *p)
{
        (void)options;
        if (monitor_ask(s, "pause", NULL, p))
                return -1;
        events_tell(paths, s, "paused", NULL);
        return 0;
}

static int resume(const struct paths *paths, struct sandbox *s, void *options, struct problem *p)
{
        (void)options;
        if (monitor_ask(s, "resume", NULL, p))
                return -1;
        events_tell(paths, s, "resumed", NULL);
        return 0;
}

static int run_stop(const struct cli_command *command, int argc, char **argv)
{
        struct options o = { 0 };

        return each_run(command, argc, argv, stop, &o, true);
}

static int run_kill(const struct cli_command *command, int argc, char **argv)
{
        return each_run(command, argc, argv, end, NULL, true);
}

static int run_rm(const struct cli_command *command, int argc, char **argv)
{
        struct options o = { 0 };

        return each_run(command, argc, argv, remove_it, &o, true);
}

static int run_wait(const struct cli_command *command, int argc, char **argv)
{
        return each_run(command, argc, argv, wait_for, NULL, false);
}

static int run_pause(const struct cli_command *command, int argc, char **argv)
{
        return each_run(command, argc, argv, pause_it, NULL, true);
}

static int run_unpause(const struct cli_command *command, int argc, char **argv)
{
        return each_run(command, argc, argv, resume, NULL, true);
}

static const struct cli_option stop_options[] = {
        { 't', "time", CLI_TEXT, "SECONDS", offsetof(struct options, time),
          "for its processes to end after SIGTERM (10); also 500ms, 5m" },
        { 0 },
};
static const struct cli_option rm_options[] = {
        { 'f', "force", CLI_FLAG, NULL, offsetof(struct options, force), "end those that run" },
        { 0 },
};
static const struct cli_option no_options[] = { { 0 } };

const struct cli_command cli_stop = {
        .name = "stop",
        .usage = "[OPTION]... SANDBOX...",
        .summary = "Power sandboxes off",
        .details = "Processes of the guest get SIGTERM, and after the time SIGKILL; disks are written back. "
                   "What\n"
                   "has not ended shortly after that is killed. One that does not run is no mistake.\n",
        .options = stop_options,
        .run = run_stop,
};

const struct cli_command cli_kill = {
        .name = "kill",
        .usage = "SANDBOX...",
        .summary = "End sandboxes at once",
        .details = "As if the power were cut: what the guest has not written to its disk is lost.\n",
        .options = no_options,
        .run = run_kill,
};

const struct cli_command cli_rm = {
        .name = "rm",
        .usage = "[OPTION]... SANDBOX...",
        .summary = "Remove sandboxes with all that is in them",
        .options = rm_options,
        .run = run_rm,
};

const struct cli_command cli_wait = {
        .name = "wait",
        .usage = "SANDBOX...",
        .summary = "Wait for the end of sandboxes and print their exit codes",
        .options = no_options,
        .run = run_wait,
};

const struct cli_command cli_pause = {
        .name = "pause",
        .usage = "SANDBOX...",
        .summary = "Hold sandboxes: their processors and devices stand still",
        .options = no_options,
        .run = run_pause,
};

const struct cli_command cli_unpause = {
        .name = "unpause",
        .usage = "SANDBOX...",
        .summary = "Let paused sandboxes go on",
        .options = no_options,
        .run = run_unpause,
};
