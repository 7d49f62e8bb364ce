/*
 * JSON in and out.
 * Input:  configuration files of a person.
 * Runs:   main thread.
 * Limits: jansson's depth; the caller's file size.
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
