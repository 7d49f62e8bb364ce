/*
 * What a client of the API sends: a request as it comes in, answered without a machine behind it. The first line is
 * method and path, the rest is the body.
 */
#include <stdlib.h>
#include <string.h>

#include "api/vm/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
        if (!ok)
                abort();
}

static int on_start(void *ctx, const struct vm_config *c, struct control **ret, struct problem *p)
{
        struct problem judged = { 0 };

        (void)ctx;
        (void)ret;
        /* What comes this far is a machine that could be. */
        check(c->kernel && !config_check(c, &judged) && c->nr_disks <= CONFIG_DISKS_MAX);
        for (unsigned i = 0; i < c->nr_disks; i++)
                check(c->disks[i].path);
        return problem_set(p, VM_REFUSED, "%s: no machine here", c->kernel);
}

/* Whatever was asked, the answer is one that a client can read. */
static void ask(struct vm *vm, const char *method, const char *path, const char *body, size_t len)
{
        struct routes_answer a;
        struct json_t *doc;
        char error[64];

        routes_answer(vm, method, path, body, len, &a);
        check(a.status == 200 || a.status == 204 || a.status == 400);
        check((a.status == 204) == !a.len);
        if (a.len) {
                doc = json_read(a.body, a.len, error, sizeof(error));
                check(doc && json_kind(doc) == JSON_IS_OBJECT);
                json_free(doc);
        }
        free(a.body);
}

/* A file of a client's choice is no part of this. */
static bool opens_files(const char *path)
{
        return !strncmp(path, "/logger", 7) || !strncmp(path, "/metrics", 8);
}

static const struct vm_config base = {
        .id = "", .cpus = 1, .memory_bytes = 128u << 20, .guest_cid = 3, .log_limit_bytes = CONFIG_LOG_MIN
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const char start[] = "{\"action_type\":\"InstanceStart\"}";
        const struct api_config cfg = { .base = &base, .start = on_start };
        char line[256], *path;
        static struct vm vm;

        vm_init(&vm, &cfg);
        while (size) {
                const uint8_t *end = memchr(data, '\n', size), *next;
                size_t n = end ? (size_t)(end - data) : size;

                (void)snprintf(line, sizeof(line), "%.*s", (int)(n < 255 ? n : 255), (const char *)data);
                data += end ? n + 1 : n;
                size -= end ? n + 1 : n;
                path = strchr(line, ' ');
                if (!path)
                        break;
                *path++ = 0;
                /* A body ends at an empty line. */
                next = memmem(data, size, "\n\n", 2);
                n = next ? (size_t)(next - data) : size;
                if (n <= ROUTES_BODY_MAX && !opens_files(path))
                        ask(&vm, line, path, (const char *)data, n);
                data += next ? n + 2 : n;
                size -= next ? n + 2 : n;
        }
        ask(&vm, "GET", "/vm/config", NULL, 0);
        ask(&vm, "PUT", "/actions", start, sizeof(start) - 1);
        vm_fini(&vm);
        return 0;
}
