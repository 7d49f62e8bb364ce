/*
 * Bodies of requests, read by tables.
 * Input:  JSON of a client, hostile.
 * Runs:   loop thread.
 * Limits: those of the tables; the server's size of a body.
 */
#include "api/vm/schema.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "vmm/base/assert.h"
#include "vmm/base/compiler.h"

struct reading {
        const struct schema *schema;
        char *body; /* the struct being filled */
        struct problem *p;
};

static int read_object(const struct schema *s, struct json_t *v, void *body, struct problem *p);

static int refuse(const struct reading *r, const struct schema_field *f, const char *wanted)
{
        return problem_set(
                r->p, SCHEMA_REFUSED,
                "An error occurred when deserializing the json body of a request: `%s` must be %s.", f->name,
                wanted);
}

static int refuse_choice(const struct reading *r, const struct schema_field *f)
{
        char words[256];
        size_t n = 0;

        for (unsigned i = 0; f->choices[i] && n < sizeof(words); i++)
                n += (size_t)snprintf(words + n, sizeof(words) - n, "%s\"%s\"", i ? ", " : "one of ",
                                      f->choices[i]);
        return refuse(r, f, words);
}

static int read_number(const struct reading *r, const struct schema_field *f, const struct json_t *v,
                       struct schema_number *ret)
{
        uint64_t max = f->max ? f->max : INT64_MAX;
        char words[96];
        int64_t n = json_kind(v) == JSON_IS_NUMBER ? json_number(v) : -1;

        if (n < 0 || (uint64_t)n < f->min || (uint64_t)n > max) {
                (void)snprintf(words, sizeof(words), "a whole number from %" PRIu64 " to %" PRIu64, f->min,
                               max);
                return refuse(r, f, words);
        }
        *ret = (struct schema_number){ .given = true, .v = (uint64_t)n };
        return 0;
}

static int read_choice(const struct reading *r, const struct schema_field *f, const struct json_t *v,
                       struct schema_number *ret)
{
        if (json_kind(v) != JSON_IS_TEXT)
                return refuse_choice(r, f);
        for (unsigned i = 0; f->choices[i]; i++) {
                if (f->any_case ? strcasecmp(f->choices[i], json_text(v))
                                : strcmp(f->choices[i], json_text(v)))
                        continue;
                *ret = (struct schema_number){ .given = true, .v = i };
                return 0;
        }
        return refuse_choice(r, f);
}

/* SAFETY: the table pairs each offset with the kind of its field. */
static int read_field(const struct reading *r, const struct schema_field *f, struct json_t *v)
{
        enum json_kind kind = json_kind(v);
        void *at = r->body + f->offset;

        if (kind == JSON_IS_NULL)
                return 0;
        switch (f->kind) {
        case SCHEMA_TEXT:
                if (kind != JSON_IS_TEXT)
                        return refuse(r, f, "a string");
                *(struct schema_text *)at = (struct schema_text){ .given = true, .v = json_text(v) };
                return 0;
        case SCHEMA_FLAG:
                if (kind != JSON_IS_FLAG)
                        return refuse(r, f, "true or false");
                *(struct schema_flag *)at = (struct schema_flag){ .given = true, .v = json_flag(v) };
                return 0;
        case SCHEMA_NUMBER:
                return read_number(r, f, v, at);
        case SCHEMA_CHOICE:
                return read_choice(r, f, v, at);
        case SCHEMA_LIST:
                if (kind != JSON_IS_LIST)
                        return refuse(r, f, "a list");
                *(struct schema_number *)at = (struct schema_number){ .given = true, .v = json_count(v) };
                return 0;
        case SCHEMA_OBJECT:
                if (kind != JSON_IS_OBJECT)
                        return refuse(r, f, "an object");
                return read_object(f->object, v, at, r->p);
        }
        ASSERT(false);
        return -1;
}

static int on_member(void *ctx, const char *key, struct json_t *v)
{
        const struct reading *r = ctx;

        for (unsigned i = 0; i < r->schema->nr_fields; i++)
                if (!strcmp(r->schema->fields[i].name, key))
                        return read_field(r, &r->schema->fields[i], v);
        return problem_set(
                r->p, SCHEMA_REFUSED,
                "An error occurred when deserializing the json body of a request: unknown field `%.64s` "
                "of %s.",
                key, r->schema->name);
}

/* Every one of the types begins with `given`. */
static bool is_given(const void *body, const struct schema_field *f)
{
        return *(const bool *)((const char *)body + f->offset);
}

static int read_object(const struct schema *s, struct json_t *v, void *body, struct problem *p)
{
        struct reading r = { .schema = s, .body = body, .p = p };

        if (json_kind(v) != JSON_IS_OBJECT)
                return problem_set(
                        p, SCHEMA_REFUSED,
                        "An error occurred when deserializing the json body of a request: it must be "
                        "an object.");
        if (json_each(v, on_member, &r))
                return -1;
        for (unsigned i = 0; i < s->nr_fields; i++)
                if (s->fields[i].required && !is_given(body, &s->fields[i]))
                        return problem_set(p, SCHEMA_REFUSED,
                                           "An error occurred when deserializing the json body of a request: "
                                           "missing field `%s`.",
                                           s->fields[i].name);
        *(bool *)body = true;
        return 0;
}

int schema_read(const struct schema *s, const char *text, size_t len, void *ret_body, struct json_t **ret_doc,
                struct problem *p)
{
        char error[256];

        memset(ret_body, 0, s->size);
        *ret_doc = json_read(text, len, error, sizeof(error));
        if (!*ret_doc)
                return problem_set(p, SCHEMA_REFUSED,
                                   "An error occurred when deserializing the json body of a request: %s.",
                                   error);
        if (!read_object(s, *ret_doc, ret_body, p))
                return 0;
        json_free(*ret_doc);
        *ret_doc = NULL;
        memset(ret_body, 0, s->size);
        return -1;
}

static void write_field(const struct schema_field *field, const void *at, FILE *f)
{
        switch (field->kind) {
        case SCHEMA_TEXT:
                json_put_string(f, ((const struct schema_text *)at)->v);
                break;
        case SCHEMA_FLAG:
                (void)fputs(((const struct schema_flag *)at)->v ? "true" : "false", f);
                break;
        case SCHEMA_NUMBER:
                (void)fprintf(f, "%" PRIu64, ((const struct schema_number *)at)->v);
                break;
        case SCHEMA_CHOICE:
                json_put_string(f, field->choices[((const struct schema_number *)at)->v]);
                break;
        case SCHEMA_OBJECT:
                schema_write(field->object, at, f);
                break;
        case SCHEMA_LIST:
                (void)fputs("[]", f);
                break;
        }
}

void schema_write(const struct schema *s, const void *body, FILE *f)
{
        const char *between = "";

        (void)fputc('{', f);
        for (unsigned i = 0; i < s->nr_fields; i++) {
                if (!is_given(body, &s->fields[i]))
                        continue;
                (void)fprintf(f, "%s\"%s\":", between, s->fields[i].name);
                write_field(&s->fields[i], (const char *)body + s->fields[i].offset, f);
                between = ",";
        }
        (void)fputc('}', f);
}
