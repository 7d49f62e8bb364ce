#pragma once
/*
 * Programs that stand for a sandbox: their words, and how they are started, in a session of their own.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"

#define PROCESS_WORDS_MAX 160u

struct process_words {
        char *items[PROCESS_WORDS_MAX]; /* ends with NULL */
        size_t nr;
        bool failed; /* too many, or no memory */
};

/* process_add() - @option, which may be NULL, and its value */
void process_add(struct process_words *w, const char *option, const char *format, ...) format_printf(3, 4);
void process_words_fini(struct process_words *w);

struct process_files {
        const char *folder; /* to work in */
        const char *log;    /* for its standard error, begun anew; NULL: nowhere */
        const int *keep;    /* descriptors that stay open, up to a negative one */
};

/* process_spawn() - no signal blocked or ignored, nothing inherited but what is named. Return: 0 or errno. */
int must_check process_spawn(struct process_words *w, const struct process_files *files, pid_t *ret);
