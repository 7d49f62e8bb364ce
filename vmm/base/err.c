/*
 * Errors: where a host error was raised, and the words for a person's mistakes.
 * Input:  none.
 * Runs:   any thread; the origin is kept for each.
 * Limits: one origin a thread, one line a problem.
 */
#include "vmm/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/assert.h"

/* Words are made when somebody asks: -EAGAIN is raised on the data path, and nobody reports it. */
static _Thread_local struct {
        const char *file;
        int line;
        char text[96];
} origin;

int err_origin(int code, const char *file, int line)
{
        ASSERT(code < 0);
        origin.file = file;
        origin.line = line;
        return code;
}

const char *err_where(void)
{
        const char *file = origin.file;

        if (!file)
                return "";
        /* Builds run below the source tree: what is before the project's own folder says nothing. */
        while (!strncmp(file, "../", 3))
                file += 3;
        (void)snprintf(origin.text, sizeof(origin.text), "%s:%d", file, origin.line);
        return origin.text;
}

int problem_set(struct problem *p, int status, const char *format, ...)
{
        va_list ap;

        if (p->status)
                return -1;
        p->status = status;
        va_start(ap, format);
        (void)vsnprintf(p->text, sizeof(p->text), format, ap);
        va_end(ap);
        return -1;
}
