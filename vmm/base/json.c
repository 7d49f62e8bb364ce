/*
 * JSON in and out.
 * Input:  configuration files of a person, bodies of an API's clients.
 * Runs:   main thread.
 * Limits: jansson's depth (2048); the caller's size.
 */
#include "vmm/base/json.h"

#include <inttypes.h>
#include <jansson.h>

#include "vmm/base/cleanup.h"

static void put(json_t **v)
{
        json_decref(*v);
}

struct walk {
        const char *name;
        int status;
        int (*set)(void *ctx, const char *key, const char *value, struct problem *p);
        void *ctx;
};

static int set_scalar(const struct walk *w, const char *key, const json_t *v, struct problem *p)
{
        char number[32];

        if (json_is_string(v))
                return w->set(w->ctx, key, json_string_value(v), p);
        if (json_is_boolean(v))
                return w->set(w->ctx, key, json_is_true(v) ? "on" : "off", p);
        if (json_is_integer(v)) {
                (void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
                return w->set(w->ctx, key, number, p);
        }
        return problem_set(p, w->status, "%s: '%s' is neither text, nor a whole number, nor true or false",
                           w->name, key);
}

static int set_value(const struct walk *w, const char *key, const json_t *v, struct problem *p)
{
        const json_t *item;
        size_t i;

        if (!json_is_array(v))
                return set_scalar(w, key, v, p);
        json_array_foreach(v, i, item) if (set_scalar(w, key, item, p)) return -1;
        return 0;
}

int json_each_setting(const char *text, const char *name, int status,
                      int (*set)(void *ctx, const char *key, const char *value, struct problem *p), void *ctx,
                      struct problem *p)
{
        struct walk w = { .name = name, .status = status, .set = set, .ctx = ctx };
        json_error_t error;
        cleanup(put) json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        const char *key;
        json_t *v;

        if (!root)
                return problem_set(p, status, "%s:%d: not JSON: %s", name, error.line, error.text);
        if (!json_is_object(root))
                return problem_set(p, status, "%s: not a JSON object ({\"option\": value, …})", name);
        json_object_foreach(root, key, v) if (set_value(&w, key, v, p)) return -1;
        return 0;
}

struct json_t *json_read(const char *text, size_t len, char *error, size_t error_size)
{
        json_error_t e;
        json_t *v = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);

        if (!v)
                (void)snprintf(error, error_size, "%s at line %d column %d", e.text, e.line, e.column);
        return v;
}

void json_free(struct json_t *value)
{
        json_decref(value);
}

enum json_kind json_kind(const struct json_t *value)
{
        switch (json_typeof(value)) {
        case JSON_OBJECT:
                return JSON_IS_OBJECT;
        case JSON_ARRAY:
                return JSON_IS_LIST;
        case JSON_STRING:
                return JSON_IS_TEXT;
        case JSON_INTEGER:
                return JSON_IS_NUMBER;
        case JSON_REAL:
                return JSON_IS_REAL;
        case JSON_TRUE:
        case JSON_FALSE:
                return JSON_IS_FLAG;
        case JSON_NULL:
                break;
        }
        return JSON_IS_NULL;
}

bool json_flag(const struct json_t *value)
{
        return json_is_true(value);
}

int64_t json_number(const struct json_t *value)
{
        return json_integer_value(value);
}

const char *json_text(const struct json_t *value)
{
        return json_string_value(value);
}

size_t json_count(const struct json_t *list)
{
        return json_array_size(list);
}

int json_each(struct json_t *object, int (*call)(void *ctx, const char *key, struct json_t *value), void *ctx)
{
        const char *key;
        json_t *v;
        int r;

        json_object_foreach(object, key, v)
        {
                r = call(ctx, key, v);
                if (r)
                        return r;
        }
        return 0;
}

void json_put_string(FILE *f, const char *text)
{
        (void)fputc('"', f);
        for (; *text; text++) {
                unsigned char c = (unsigned char)*text;

                if (c < 0x20)
                        (void)fprintf(f, "\\u%04x", c);
                else if (c == '"' || c == '\\')
                        (void)fprintf(f, "\\%c", c);
                else
                        (void)fputc(c, f);
        }
        (void)fputc('"', f);
}
