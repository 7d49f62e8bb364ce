#pragma once
/*
 * What happens to the sandboxes of a user: a line of JSON each, in run/events.jsonl.
 *
 *   {"time_ns":…,"event":"ended","id":"…","name":"…","exit_code":0,"reason":"…"}
 *
 * Events: created, started, paused, resumed, ended, removed. The tool that does it tells it; the end of a monitor is
 * told by the first tool that sees it, once. The file is capped: the older half is in events.jsonl.1.
 */
#include <stdint.h>

#include "sandbox/sandbox.h"

#define EVENTS_FILE_MAX (512u << 10) /* of each of the two */

struct events_end {
        int code;
        const char *reason; /* NULL or "" = none */
        uint64_t ended_ns;  /* 0 = now */
};

/* events_tell() - what cannot be written is lost. @end: of "ended", else NULL. */
void events_tell(const struct paths *paths, const struct sandbox *s, const char *event,
                 const struct events_end *end);

/* events_tell_end() - if @s has ended and nobody has told it */
void events_tell_end(const struct paths *paths, const struct sandbox *s);
/* events_forget_end() - it is started once more */
void events_forget_end(const struct sandbox *s);

/*
 * events_read() - hand over lines, each with its newline
 * @past: all that is kept, and then return; else those that come, until @on_line says so. Meanwhile the ends of all
 *        sandboxes are seen, and temporary ones that ended are removed.
 * Return: 0, or -1 with @p.
 */
int must_check events_read(const struct paths *paths, bool past,
                           int (*on_line)(void *ctx, const char *line, size_t len), void *ctx,
                           struct problem *p);
