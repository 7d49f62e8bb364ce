/*
 * Text files line by line, in constant memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define LINES_LONGEST 8192u      /* longer ones are skipped */
#define LINES_MOST    (4u << 20) /* bytes of one file: more is no list of anything */

/* One line without its newline; one more byte behind it may be written to. Return: false = no more of them. */
typedef bool lines_fn(char *line, size_t len, void *owner);

/* lines_each() - call @fn for each line. Not for use inside @fn. Return: false if the file cannot be opened. */
bool lines_each(const char *path, lines_fn *fn, void *owner);
