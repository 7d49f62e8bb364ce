#pragma once
/*
 * What the body of a request may hold, as tables: they read a body into a struct and write one out again. The
 * structs have a field of these types for each field of the body; an absent field is `given` false.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/base/err.h"
#include "vmm/base/json.h"

/* The status of a problem of a body; nobody's exit status. */
#define SCHEMA_REFUSED 400

struct schema_text {
        bool given;
        const char *v; /* lives as long as the document that it was read from */
};
struct schema_flag {
        bool given;
        bool v;
};
struct schema_number {
        bool given;
        uint64_t v; /* of a choice: its index; of a list: how many items it has */
};

enum schema_kind {
        SCHEMA_TEXT,
        SCHEMA_FLAG,
        SCHEMA_NUMBER, /* max 0: up to INT64_MAX */
        SCHEMA_CHOICE,
        SCHEMA_OBJECT, /* a struct that begins with `bool given` */
        SCHEMA_LIST,   /* of anything: only counted, for what is refused when it is not empty */
};

struct schema_field {
        const char *name;
        enum schema_kind kind;
        bool required;
        size_t offset;
        uint64_t min, max;
        const char *const *choices; /* NULL-terminated */
        bool any_case;              /* of a choice */
        const struct schema *object;
};

struct schema {
        const char *name; /* as openapi.yaml calls it */
        size_t size;      /* of the struct, which begins with `bool given` */
        const struct schema_field *fields;
        unsigned nr_fields;
};

/*
 * schema_read() - read a body; pure
 * @ret_body: a struct of @s->size bytes
 * @ret_doc: what the texts of @ret_body live in; the caller's, to be given to json_free()
 *
 * An unknown field, a field of another kind or out of its limits, a field given twice and a required one that is
 * absent are refused, and so is what is not JSON. A null is as good as absent.
 *
 * Return: 0, or -1 and *p, and both results are empty.
 */
int must_check schema_read(const struct schema *s, const char *text, size_t len, void *ret_body,
                           struct json_t **ret_doc, struct problem *p);

/* schema_write() - a body as JSON: the fields that are given */
void schema_write(const struct schema *s, const void *body, FILE *f);
