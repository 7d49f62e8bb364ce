#pragma once
/*
 * What commands print: tables for people, JSON for programs, quantities in words.
 *
 * Whatever comes out of a guest may be given as it is: cells are made printable, JSON is escaped.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"

/* A column; columns of numbers stand to the right. */
struct out_column {
        const char *name;
        bool right;
};

/* Filled cell by cell, row after row, then printed: widths are those of the widest cell. */
struct out_table;

int must_check out_table_new(const struct out_column *columns, size_t nr, struct out_table **ret);
void out_table_free(struct out_table *t);
DEFINE_CLEANUP(struct out_table *, out_table_free)
/* out_cell() - the next cell. Return: 0, or a negative errno that out_table_print() tells too. */
int out_cell(struct out_table *t, const char *format, ...) format_printf(2, 3);
/* out_table_print() - head and rows. Return: 0 or a negative errno. */
int must_check out_table_print(struct out_table *t, FILE *to);

/*
 * JSON, written as it comes: out_json_open(j, NULL, '{') … out_json_close(j, '}'), then a newline of the caller's.
 * @key: NULL within '[' and at the outermost level. At most 32 levels.
 */
struct out_json {
        FILE *to;
        bool indented; /* for people too: a value a line; else all in one */
        unsigned depth;
        uint32_t filled; /* a bit for each level: something stands there already */
};
void out_json_open(struct out_json *j, const char *key, char bracket);
void out_json_close(struct out_json *j, char bracket);
/* @text: NULL = null; bytes that are no UTF-8 become U+FFFD */
void out_json_text(struct out_json *j, const char *key, const char *text);
void out_json_number(struct out_json *j, const char *key, uint64_t value);
void out_json_bool(struct out_json *j, const char *key, bool value);

#define OUT_WORD 32 /* bytes for one of these */
/* out_size() - "512 B", "1.5 GiB". Return: @word. */
const char *out_size(char word[static OUT_WORD], uint64_t bytes);
/* out_duration() - "3 s", "5 minutes", "2 days": the largest unit alone. Return: @word. */
const char *out_duration(char word[static OUT_WORD], uint64_t ns);
/* out_time() - a moment since 1970 as RFC 3339 in UTC. Return: @word. */
const char *out_time(char word[static OUT_WORD], uint64_t ns);

/* out_has_colours() - a terminal that wants them: NO_COLOR unset, TERM not dumb. */
bool out_has_colours(FILE *to);
