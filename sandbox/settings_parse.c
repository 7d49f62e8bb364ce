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
#include "vmm/base/toml.h"

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

static int read_table(struct state *s, struct toml *t)
{
        static const char *const tables[] = { "limits", "defaults" };
        const char *name;
        size_t n;

        t->at++;
        toml_skip_blanks(t);
        n = toml_word(t, &name);
        toml_skip_blanks(t);
        if (!n || !toml_take(t, ']') || !toml_end_line(t))
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

static int read_key(struct state *s, struct toml *t)
{
        settings_text_t value;
        const char *name;
        size_t n = toml_word(t, &name);
        bool is_text;
        int r;

        toml_skip_blanks(t);
        if (!n || !toml_take(t, '='))
                return SETTINGS_E_SYNTAX;
        toml_skip_blanks(t);
        r = toml_value(t, value, sizeof(value), &is_text);
        if (r)
                return r == TOML_E_LONG ? SETTINGS_E_LONG : SETTINGS_E_SYNTAX;
        if (!toml_end_line(t))
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
        struct toml t;

        *ret = (struct settings){ 0 };
        toml_init(&t, text, len);
        while (toml_skip_lines(&t)) {
                int r;

                *ret_line = t.line;
                r = *t.at == '[' ? read_table(&s, &t) : read_key(&s, &t);
                if (r)
                        return r;
        }
        *ret_line = t.line;
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
