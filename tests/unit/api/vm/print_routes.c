/* Prints the tables of the API as JSON, for test_openapi.py. */
#include <inttypes.h>
#include <stdio.h>

#include "api/vm/routes.h"

static const char *const kinds[] = {
        [SCHEMA_TEXT] = "text",     [SCHEMA_FLAG] = "flag",     [SCHEMA_NUMBER] = "number",
        [SCHEMA_CHOICE] = "choice", [SCHEMA_OBJECT] = "object", [SCHEMA_LIST] = "list",
};
static const char *const whens[] = {
        [ROUTE_ALWAYS] = "always", [ROUTE_BEFORE] = "before", [ROUTE_AFTER] = "after"
};

static void print_schema(const struct schema *s)
{
        (void)printf("{\"name\":\"%s\",\"fields\":{", s->name);
        for (unsigned i = 0; i < s->nr_fields; i++) {
                const struct schema_field *f = &s->fields[i];

                (void)printf("%s\"%s\":{\"kind\":\"%s\",\"required\":%s,\"min\":%" PRIu64 ",\"max\":%" PRIu64
                             ",\"choices\":[",
                             i ? "," : "", f->name, kinds[f->kind], f->required ? "true" : "false", f->min,
                             f->max);
                for (unsigned c = 0; f->choices && f->choices[c]; c++)
                        (void)printf("%s\"%s\"", c ? "," : "", f->choices[c]);
                (void)printf("],\"object\":");
                if (f->object)
                        print_schema(f->object);
                else
                        (void)printf("null");
                (void)printf("}");
        }
        (void)printf("}}");
}

int main(void)
{
        (void)printf("[");
        for (unsigned i = 0; i < routes_count; i++) {
                const struct route *r = &routes_table[i];

                (void)printf("%s{\"method\":\"%s\",\"path\":\"%s\",\"when\":\"%s\",\"refused\":",
                             i ? "," : "", r->method, r->path, whens[r->when]);
                if (r->refusal)
                        json_put_string(stdout, r->refusal);
                else
                        (void)printf("null");
                (void)printf(",\"schema\":");
                if (r->schema)
                        print_schema(r->schema);
                else
                        (void)printf("null");
                (void)printf("}\n");
        }
        (void)printf("]\n");
        return 0;
}
