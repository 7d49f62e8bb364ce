/*
 * The end of a process that found a bug in itself.
 * Input:  none.
 * Runs:   any thread.
 * Limits: write(2) and abort(3) only, so that it works under any seccomp filter that lets logs through.
 */
#include "vmm/base/assert.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void assert_fail(const char *what, const char *file, int line)
{
        char text[512];
        int n = snprintf(text, sizeof(text), "vmlet: bug: '%s' does not hold (%s:%d)\n", what, file, line);

        if (n > 0)
                (void)!write(STDERR_FILENO, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
        abort();
}
