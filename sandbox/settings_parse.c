/*
 * Reads config.toml.
 * Input:  a file of the user.
 * Runs:   anywhere; pure.
 * Limits: SETTINGS_TEXT_MAX bytes a string.
 */
#include "sandbox/settings_parse.h"

#include <string.h>

#include "vmm/base/compiler.h"
#include "vmm/base/parse.h"

enum kind { TEXT, NUMBER, SIZE };

struct key {
        const char *table, *name;
        enum kind kind;
        size_t offset;
};

static const struct key keys[] = {
        { "limits", "sandboxes", NUMBER, offsetof(struct settings, max_sandboxes) },
        { "limits", "memory", SIZE, offsetof(struct settings, max_memory_bytes) },
        { "limits", "disk", SIZE, offsetof(struct settings, max_disk_bytes) },
        { "defaults", "image", TEXT, offsetof(struct settings, image) },
        { "defaults", "kernel", TEXT, offsetof(struct settings, kernel) },
        { "defaults", "memory", TEXT, offsetof(struct settings, memory) },
        { "defaults", "cpus", TEXT, offsetof(struct settings, cpus) },
        { "defaults", "disk", TEXT, offsetof(struct settings, disk) },
};

struct line {
        const char *at, *end;
};

static void skip_blanks(struct line *l)
{
        while (l->at < l->end && (*l->at == ' ' || *l->at == '\t'))
                l->at++;
}

/* Nothing but blanks and a comment may follow. */
static bool is_over(struct line *l)
{
        skip_blanks(l);
        if (l->at < l->end && *l->at != '#')
                return false;
        for (; l->at < l->end; l->at++)
                if ((unsigned char)*l->at < ' ' && *l->at != '\t')
                        return false;
        return true;
}

static bool is_bare(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
               c == '-';
}

/* A bare key. Return: its length. */
static size_t take_word(struct line *l, const char **ret)
{
        *ret = l->at;
        while (l->at < l->end && is_bare(*l->at))
                l->at++;
        return (size_t)(l->at - *ret);
}

/* "basic", where a backslash stands before a quote or another, or 'literal'. */
static int take_string(struct line *l, settings_text_t ret)
{
        char quote = *l->at++;
        size_t n = 0;

        for (;; l->at++) {
                if (l->at == l->end || ((unsigned char)*l->at < ' ' && *l->at != '\t'))
                        return SETTINGS_E_SYNTAX;
                if (*l->at == quote)
                        break;
                if (quote == '"' && *l->at == '\\' && (++l->at == l->end || !strchr("\\\"", *l->at)))
                        return SETTINGS_E_SYNTAX;
                if (n == SETTINGS_TEXT_MAX)
                        return SETTINGS_E_LONG;
                ret[n++] = *l->at;
        }
        l->at++;
        ret[n] = 0;
        return SETTINGS_OK;
}

/* A string, or the digits of a number as one. */
static int take_value(struct line *l, settings_text_t ret, bool *ret_is_text)
{
        const char *digits;
        size_t n;

        *ret_is_text = l->at < l->end && (*l->at == '"' || *l->at == '\'');
        if (*ret_is_text)
                return take_string(l, ret);
        n = take_word(l, &digits);
        if (!n)
                return SETTINGS_E_SYNTAX;
        if (n > SETTINGS_TEXT_MAX)
                return SETTINGS_E_LONG;
        memcpy(ret, digits, n);
        ret[n] = 0;
        return SETTINGS_OK;
}

/* SAFETY: the table pairs each offset with the kind of its field. */
static int set(struct settings *s, const struct key *key, const settings_text_t value, bool is_text)
{
        char *field = (char *)s + key->offset;
        uint64_t number;

        if (key->kind == TEXT) {
                if (!is_text || !*value)
                        return SETTINGS_E_VALUE;
                memcpy(field, value, strlen(value) + 1);
                return SETTINGS_OK;
        }
        if (key->kind == SIZE ? !parse_size(value, &number) : is_text || !parse_u64(value, &number))
                return SETTINGS_E_VALUE;
        if (!number)
                return SETTINGS_E_VALUE; /* no limit is said by saying none */
        memcpy(field, &number, sizeof(number));
        return SETTINGS_OK;
}

struct state {
        struct settings *settings;
        const char *table; /* of the table of keys; NULL before the first */
        bool seen_tables[2], seen_keys[array_size(keys)];
};

static int read_table(struct state *s, struct line *l)
{
        static const char *const tables[] = { "limits", "defaults" };
        const char *name;
        size_t n;

        l->at++;
        skip_blanks(l);
        n = take_word(l, &name);
        skip_blanks(l);
        if (!n || l->at == l->end || *l->at++ != ']' || !is_over(l))
                return SETTINGS_E_SYNTAX;
        for (size_t i = 0; i < array_size(tables); i++) {
                if (strlen(tables[i]) != n || memcmp(tables[i], name, n))
                        continue;
                if (s->seen_tables[i])
                        return SETTINGS_E_TWICE;
                s->seen_tables[i] = true;
                s->table = tables[i];
                return SETTINGS_OK;
        }
        return SETTINGS_E_TABLE;
}

static int read_key(struct state *s, struct line *l)
{
        settings_text_t value;
        const char *name;
        size_t n = take_word(l, &name);
        bool is_text;
        int r;

        skip_blanks(l);
        if (!n || l->at == l->end || *l->at++ != '=')
                return SETTINGS_E_SYNTAX;
        skip_blanks(l);
        r = take_value(l, value, &is_text);
        if (r)
                return r;
        if (!is_over(l))
                return SETTINGS_E_SYNTAX;
        for (size_t i = 0; i < array_size(keys); i++) {
                if (!s->table || strcmp(keys[i].table, s->table) || strlen(keys[i].name) != n ||
                    memcmp(keys[i].name, name, n))
                        continue;
                if (s->seen_keys[i])
                        return SETTINGS_E_TWICE;
                s->seen_keys[i] = true;
                return set(s->settings, &keys[i], value, is_text);
        }
        return SETTINGS_E_KEY;
}

int settings_parse(const char *text, size_t len, struct settings *ret, unsigned *ret_line)
{
        struct state s = { .settings = ret };
        const char *end = text + len;

        *ret = (struct settings){ 0 };
        *ret_line = 0;
        while (text < end) {
                const char *nl = memchr(text, '\n', (size_t)(end - text));
                struct line l = { text, nl ? nl : end }, rest;
                int r = SETTINGS_OK;

                ++*ret_line;
                text = l.end + 1;
                if (nl && l.end > l.at && l.end[-1] == '\r')
                        l.end--;
                skip_blanks(&l);
                rest = l;
                if (!is_over(&rest))
                        r = *l.at == '[' ? read_table(&s, &l) : read_key(&s, &l);
                if (r)
                        return r;
        }
        return SETTINGS_OK;
}

const char *settings_strerror(int error)
{
        static const char *const words[SETTINGS_E_NR] = {
                "no mistake",
                "neither [table], nor key = \"text\", nor key = number",
                "unknown table: [limits] and [defaults] are known",
                "unknown key of this table",
                "said twice",
                "a value that cannot be",
                "a text of more than 255 bytes",
        };

        return error >= 0 && error < SETTINGS_E_NR ? words[error] : "unknown";
}
