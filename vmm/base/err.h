#pragma once
/*
 * Three classes of error, never mixed.
 *
 * - A bug of ours is an ASSERT.
 * - Trouble of the host (kernel, memory, disk) is a negative errno. It is raised once by err_new()
 *   and passed up by err_trace(); nobody matches on its value but where a header names one (-EAGAIN of
 *   vmm/mem/gio.h). The place where it was raised is kept for the one who reports it.
 * - A mistake of a peer (guest, client, file) is a positive enum of the module that found it. The
 *   caller decides at once what it means, and never passes it to somebody who does not document it.
 *
 * A person's mistake ends a program with a `struct problem`: an exit status and one line of words.
 */
#include "vmm/base/compiler.h"

#define err_new(code)   err_origin((code), __FILE__, __LINE__)
#define err_trace(code) (code)

/*
 * Where the calling thread last raised a negative error ("vmm/mem/gmem.c:42"); "" when it never did.
 * err_trace() marks the way up for the reader.
 */
const char *err_where(void);

int err_origin(int code, const char *file, int line);

struct problem {
        int status;     /* exit status; 0: none */
        char text[512]; /* one line: what is wrong, where, what to do */
};

/*
 * problem_set() - describe a problem; the first one set stays
 * Return: -1 always, for `return problem_set(…)`.
 */
int problem_set(struct problem *p, int status, const char *format, ...) format_printf(3, 4);
