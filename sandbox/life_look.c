/*
 * How a sandbox is: from its lock, its monitor's answer and the files that were left.
 * Input:  files of the user's own, possibly damaged; answers of monitors.
 * Runs:   any thread of the tool.
 * Limits: STATE_MAX bytes a file.
 */
#include "sandbox/life.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/limits.h"
#include "sandbox/lock.h"
#include "sandbox/monitor.h"
#include "sandbox/text.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/io.h"
#include "vmm/base/json.h"

#define STATE_MAX (64u << 10)

const char *const life_state_names[LIFE_STATE_NR] = { "created", "starting", "running", "paused",
                                                      "ending",  "exited",   "failed",  "killed" };

/* What exit.json and state.json hold, and what a monitor answers. */
struct report {
        struct life_status *status;
        bool is_main, signalled;
        uint64_t vmm_status, main_value;
        char state[16];
};

static void copy_text(char *to, size_t size, const char *text)
{
        text_printable(text, strlen(text), to, size);
}

static int on_value(void *ctx, const char *key, struct json_t *value)
{
        struct report *r = ctx;
        enum json_kind kind = json_kind(value);
        uint64_t number = kind == JSON_IS_NUMBER && json_number(value) > 0 ? (uint64_t)json_number(value) : 0;
        const char *text = kind == JSON_IS_TEXT ? json_text(value) : "";

        if (r->is_main) {
                if (!strcmp(key, "kind"))
                        r->signalled = !strcmp(text, "signalled");
                else if (!strcmp(key, "value"))
                        r->main_value = number & 0xff;
                else if (!strcmp(key, "oom"))
                        r->status->oom = kind == JSON_IS_FLAG && json_flag(value);
        } else if (!strcmp(key, "status")) {
                r->vmm_status = number;
        } else if (!strcmp(key, "ready")) {
                r->status->is_ready = kind == JSON_IS_FLAG && json_flag(value);
        } else if (!strcmp(key, "reason")) {
                copy_text(r->status->reason, sizeof(r->status->reason), text);
        } else if (!strcmp(key, "ended_ns")) {
                r->status->ended_ns = number;
        } else if (!strcmp(key, "started_ns")) {
                r->status->started_ns = number;
        } else if (!strcmp(key, "state")) {
                copy_text(r->state, sizeof(r->state), text);
        } else if (!strcmp(key, "vmm")) {
                copy_text(r->status->vmm, sizeof(r->status->vmm), text);
        } else if (!strcmp(key, "main") && kind == JSON_IS_OBJECT) {
                r->is_main = r->status->has_main = true;
                (void)json_each(value, on_value, r);
                r->is_main = false;
        }
        return 0;
}

static bool parse(const char *text, struct report *r)
{
        char error[200];
        struct json_t *v = json_read(text, strlen(text), error, sizeof(error));
        bool good = v && json_kind(v) == JSON_IS_OBJECT;

        if (good)
                (void)json_each(v, on_value, r);
        json_free(v);
        return good;
}

/* Return: 0, -ENOENT, -EPROTO when it is damaged, or another errno. */
static int read_file(const struct sandbox *s, const char *name, struct report *r)
{
        char path[SANDBOX_FOLDER_MAX + 32];
        cleanup(freep) char *text = NULL;
        int e;

        snprintf(path, sizeof(path), "%s/%s", s->folder, name);
        e = io_read_file(path, STATE_MAX, &text);
        if (e < 0)
                return e;
        return parse(text, r) ? 0 : err_new(-EPROTO);
}

static void look_alive(const struct sandbox *s, struct report *r)
{
        struct problem problem = { 0 };
        cleanup(freep) char *answer = NULL;
        int e;

        r->status->state = LIFE_STARTING;
        e = monitor_status(s, &answer, &problem);
        if (e) {
                r->status->is_mute = e == -EAGAIN;
                copy_text(r->status->reason, sizeof(r->status->reason), problem.text);
                return;
        }
        if (!parse(answer, r))
                copy_text(r->status->reason, sizeof(r->status->reason),
                          "its monitor's answer cannot be understood");
        if (!strcmp(r->state, "running"))
                r->status->state = LIFE_RUNNING;
        else if (!strcmp(r->state, "paused"))
                r->status->state = LIFE_PAUSED;
        else if (!strcmp(r->state, "ending"))
                r->status->state = LIFE_ENDING;
}

/* The last line of its log, if it is that of assert_fail(). */
static bool read_bug(const struct sandbox *s, char *ret, size_t size)
{
        char path[SANDBOX_FOLDER_MAX + 16], text[600] = "", *line;
        cleanup(fd_closep) int fd = -1;
        ssize_t n;

        snprintf(path, sizeof(path), "%s/vmm.log", s->folder);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return false;
        if (lseek(fd, -(off_t)(sizeof(text) - 1), SEEK_END) < 0)
                (void)lseek(fd, 0, SEEK_SET); /* it is shorter */
        n = read(fd, text, sizeof(text) - 1);
        while (n > 0 && text[n - 1] == '\n')
                text[--n] = 0;
        line = strrchr(text, '\n');
        line = line ? line + 1 : text;
        if (strncmp(line, "vmlet: bug: ", 12))
                return false;
        copy_text(ret, size, line + 7);
        return true;
}

static void explain_kill(const struct sandbox *s, char *ret, size_t size)
{
        char bug[200];

        if (limits_killed(s))
                snprintf(ret, size, "the host's kernel killed its monitor for want of memory");
        else if (read_bug(s, bug, sizeof(bug)))
                snprintf(ret, size, "its monitor ended itself: %s", bug);
        else
                snprintf(ret, size, "its monitor was killed, by somebody or for want of memory%s%s",
                         s->temporary ? "" : ": see vmlet logs --monitor ", s->temporary ? "" : s->id);
}

/* exit.json was there, or nothing was although it had been started. */
static void look_ended(const struct sandbox *s, struct report *r, int read)
{
        struct life_status *status = r->status;
        /* VMM_OK and VMM_ENDED of vmm/status.h: what its exit file says is a promise to other programs too. */
        bool as_it_should = r->vmm_status == 0 || r->vmm_status == 13;

        if (read < 0) {
                status->state = LIFE_KILLED;
                status->code = SANDBOX_FAILED;
                if (read == -EPROTO)
                        snprintf(status->reason, sizeof(status->reason), "its exit.json is damaged");
                else
                        explain_kill(s, status->reason, sizeof(status->reason));
                return;
        }
        status->state = as_it_should ? LIFE_EXITED : LIFE_FAILED;
        if (!strcmp(status->reason, "lifetime"))
                status->code = 124;
        else if (status->has_main)
                status->code = (int)r->main_value + (r->signalled ? 128 : 0);
        else if (as_it_should)
                status->code = r->vmm_status ? 128 + SIGKILL : 0; /* its power was cut */
        else
                status->code = SANDBOX_FAILED;
}

static void look(const struct sandbox *s, bool may_live, struct life_status *ret)
{
        struct report r = { .status = ret };
        int state, end;

        *ret = (struct life_status){ .state = LIFE_CREATED };
        state = read_file(s, "state.json", &r);
        if (may_live && lock_is_held(s->folder)) {
                look_alive(s, &r);
                return;
        }
        end = read_file(s, "exit.json", &r);
        if (end == -ENOENT && state == -ENOENT && !s->temporary)
                return;
        look_ended(s, &r, end);
}

void life_look(const struct sandbox *s, struct life_status *ret)
{
        look(s, true, ret);
}

void life_look_ended(const struct sandbox *s, struct life_status *ret)
{
        look(s, false, ret);
}

bool life_is_alive(const struct life_status *status)
{
        return status->state >= LIFE_STARTING && status->state <= LIFE_ENDING;
}
