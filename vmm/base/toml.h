#pragma once
/*
 * The tokens of TOML, as far as files of ours use it: tables, bare keys, strings in one line, whole numbers. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

struct toml {
        const char *at, *end;
        unsigned line; /* of *at, from 1 */
};

enum {
        TOML_OK,
        TOML_E_SYNTAX,
        TOML_E_LONG /* a value that does not fit */
};

void toml_init(struct toml *t, const char *text, size_t len);
/* Blanks and tabs, in this line. */
void toml_skip_blanks(struct toml *t);
/* toml_end_line() - nothing but blanks and a comment: goes on to the next line. False if there is something else. */
bool toml_end_line(struct toml *t);
/* toml_skip_lines() - all lines that hold nothing, and the blanks behind them. False at the end of the text. */
bool toml_skip_lines(struct toml *t);
/* toml_take() - this very character, which may be the next one */
bool toml_take(struct toml *t, char c);
/* toml_word() - a bare key. Return: its length. */
size_t toml_word(struct toml *t, const char **ret);
/*
 * toml_value() - "basic", where a backslash stands before a quote or another, 'literal', or the digits of a number
 * Return: TOML_OK and *ret, TOML_E_SYNTAX or TOML_E_LONG
 */
int toml_value(struct toml *t, char *ret, size_t size, bool *ret_is_text);
