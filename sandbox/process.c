/*
 * Starting the programs of a sandbox.
 * Input:  words that were checked.
 * Runs:   any thread of the tool.
 * Limits: PROCESS_WORDS_MAX words of command line.
 */
#include "sandbox/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/assert.h"
#include "vmm/base/io.h"

void process_words_fini(struct process_words *w)
{
        for (size_t i = 0; i < w->nr; i++)
                free(w->items[i]);
}

void process_add(struct process_words *w, const char *option, const char *format, ...)
{
        char *value = NULL;
        va_list args;

        va_start(args, format);
        w->failed |= w->nr + 3 > PROCESS_WORDS_MAX || vasprintf(&value, format, args) < 0;
        va_end(args);
        if (w->failed)
                return;
        if (option && !(w->items[w->nr++] = strdup(option)))
                w->failed = true;
        w->items[w->nr++] = value;
}

static int set_files(posix_spawn_file_actions_t *a, const struct process_files *files)
{
        int e = posix_spawn_file_actions_addopen(a, 0, "/dev/null", O_RDWR, 0);

        if (!e)
                e = posix_spawn_file_actions_adddup2(a, 0, 1);
        if (!e && !files->log)
                e = posix_spawn_file_actions_adddup2(a, 0, 2);
        else if (!e)
                e = posix_spawn_file_actions_addopen(a, 2, files->log,
                                                     O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
        for (const int *keep = files->keep; !e && *keep >= 0; keep++)
                e = posix_spawn_file_actions_adddup2(a, *keep, *keep); /* takes its CLOEXEC away */
        return e ? e : posix_spawn_file_actions_addchdir_np(a, files->folder);
}

int process_spawn(struct process_words *w, const struct process_files *files, pid_t *ret)
{
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attr;
        sigset_t none, all;
        int e;

        ASSERT(w->items[0]);
        /* Locks and pipes that a script left open in us are not for a process that outlives it. */
        (void)!io_close_range(3, ~0u, IO_CLOSE_ON_EXEC);
        sigemptyset(&none);
        sigfillset(&all);
        posix_spawn_file_actions_init(&actions);
        posix_spawnattr_init(&attr);
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setsigdefault(&attr, &all);
        e = set_files(&actions, files);
        if (!e)
                e = posix_spawn(ret, w->items[0], &actions, &attr, w->items, environ);
        posix_spawnattr_destroy(&attr);
        posix_spawn_file_actions_destroy(&actions);
        return e;
}
