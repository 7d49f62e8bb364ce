#pragma once
/*
 * JSON in and out. json.c is the only file that includes jansson.
 */
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/compiler.h"
#include "vmm/base/err.h"

/*
 * json_each_setting() - read a flat object: every key with every value as the word one would type.
 * Strings stand for themselves, numbers and booleans for their text; a list gives its key several times.
 * @set: returns 0, or -1 with the problem filled, which ends the walk
 * @text, @name: the file's content, and what to call it
 *
 * Return: 0, or -1 with *p filled (@status).
 */
int must_check json_each_setting(const char *text, const char *name, int status,
                                 int (*set)(void *ctx, const char *key, const char *value, struct problem *p),
                                 void *ctx, struct problem *p);

/* json_put_string() - a string in quotes, escaped */
void json_put_string(FILE *f, const char *text);
