#pragma once
/*
 * JSON in and out. json.c is the only file that includes jansson.
 */
#include <stdbool.h>
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

/* A value that was read: jansson's own. The children and texts of a value live as long as it does. */
struct json_t;

enum json_kind {
        JSON_IS_NULL,
        JSON_IS_FLAG,
        JSON_IS_NUMBER, /* a whole one that fits an int64_t */
        JSON_IS_REAL,
        JSON_IS_TEXT, /* UTF-8 without a zero */
        JSON_IS_LIST,
        JSON_IS_OBJECT,
};

/*
 * json_read() - a text of @len bytes, which is one value and nothing more; a key given twice is refused
 * @error: words and place of what is wrong
 * Return: NULL if it is not JSON. The value is freed by json_free().
 */
struct json_t *json_read(const char *text, size_t len, char *error, size_t error_size);
void json_free(struct json_t *value);

enum json_kind json_kind(const struct json_t *value);
/* Of the kind that they name, and no other. */
bool json_flag(const struct json_t *value);
int64_t json_number(const struct json_t *value);
const char *json_text(const struct json_t *value);
size_t json_count(const struct json_t *list);
/* json_each() - each member of an object; @call returns 0 or -1, which ends the walk and is returned */
int json_each(struct json_t *object, int (*call)(void *ctx, const char *key, struct json_t *value),
              void *ctx);

/* json_put_string() - a string in quotes, escaped */
void json_put_string(FILE *f, const char *text);
