/*
 * Tokens of TOML.
 * Input:  files of the user.
 * Runs:   anywhere; pure.
 * Limits: the caller's.
 */
#include "vmm/base/toml.h"

#include <string.h>

void toml_init(struct toml *t, const char *text, size_t len)
{
        *t = (struct toml){ text, text + len, 1 };
}

void toml_skip_blanks(struct toml *t)
{
        while (t->at < t->end && (*t->at == ' ' || *t->at == '\t'))
                t->at++;
}

static size_t newline(const struct toml *t)
{
        if (t->at < t->end && *t->at == '\n')
                return 1;
        return t->end - t->at > 1 && t->at[0] == '\r' && t->at[1] == '\n' ? 2 : 0;
}

bool toml_end_line(struct toml *t)
{
        toml_skip_blanks(t);
        if (t->at < t->end && *t->at == '#') {
                for (; t->at < t->end && !newline(t); t->at++)
                        if ((unsigned char)*t->at < ' ' && *t->at != '\t')
                                return false;
        }
        if (t->at == t->end)
                return true;
        if (!newline(t))
                return false;
        t->at += newline(t);
        t->line++;
        return true;
}

bool toml_skip_lines(struct toml *t)
{
        struct toml next = *t;

        while (t->at < t->end && toml_end_line(&next))
                *t = next;
        toml_skip_blanks(t);
        return t->at < t->end;
}

bool toml_take(struct toml *t, char c)
{
        if (t->at == t->end || *t->at != c)
                return false;
        t->at++;
        return true;
}

static bool is_bare(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
}

size_t toml_word(struct toml *t, const char **ret)
{
        *ret = t->at;
        while (t->at < t->end && is_bare(*t->at))
                t->at++;
        return (size_t)(t->at - *ret);
}

static int take_string(struct toml *t, char *ret, size_t size)
{
        char quote = *t->at++;
        size_t n = 0;

        for (;; t->at++) {
                if (t->at == t->end || ((unsigned char)*t->at < ' ' && *t->at != '\t'))
                        return TOML_E_SYNTAX;
                if (*t->at == quote)
                        break;
                if (quote == '"' && *t->at == '\\' &&
                    (++t->at == t->end || (*t->at != '"' && *t->at != '\\')))
                        return TOML_E_SYNTAX;
                if (n == size - 1)
                        return TOML_E_LONG;
                ret[n++] = *t->at;
        }
        t->at++;
        ret[n] = 0;
        return TOML_OK;
}

int toml_value(struct toml *t, char *ret, size_t size, bool *ret_is_text)
{
        const char *digits;
        size_t n;

        *ret_is_text = t->at < t->end && (*t->at == '"' || *t->at == '\'');
        if (*ret_is_text)
                return take_string(t, ret, size);
        n = toml_word(t, &digits);
        if (!n)
                return TOML_E_SYNTAX;
        if (n > size - 1)
                return TOML_E_LONG;
        memcpy(ret, digits, n);
        ret[n] = 0;
        return TOML_OK;
}
