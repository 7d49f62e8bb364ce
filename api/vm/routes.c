/*
 * The API's requests, in one table.
 * Input:  method, path and body of a client, hostile.
 * Runs:   loop thread.
 * Limits: ROUTES_BODY_MAX bytes of body, ID_MAX bytes of an id.
 */
#include "api/vm/routes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"

#define ID_MAX 64u

#define NO_SNAPSHOT "snapshots are not supported by this version of vmlet"
#define NO_MMDS     "the metadata service (mmds) is not supported by this version of vmlet"
#define NO_PMEM     "pmem devices are not supported by this version of vmlet"
#define NO_HOTPLUG  "memory hotplug is not supported by this version of vmlet"
#define NO_HINTING  "free page hinting is not supported by this version of vmlet"

#define DO(m, p, w, s, h)                                                                                    \
        {                                                                                                    \
                .method = (m), .path = (p), .when = (w), .schema = (s), .handle = (h)                        \
        }
#define REFUSE(m, p, words)                                                                                  \
        {                                                                                                    \
                .method = (m), .path = (p), .refusal = (words)                                               \
        }

const struct route routes_table[] = {
        DO("GET", "/", ROUTE_ALWAYS, NULL, handle_describe),
        DO("GET", "/version", ROUTE_ALWAYS, NULL, handle_version),
        DO("GET", "/vm/config", ROUTE_ALWAYS, NULL, handle_get_config),
        DO("PATCH", "/vm", ROUTE_AFTER, &body_vm_schema, handle_state),
        DO("PUT", "/actions", ROUTE_ALWAYS, &body_action_schema, handle_action),
        DO("PUT", "/boot-source", ROUTE_BEFORE, &body_boot_schema, handle_boot),
        DO("GET", "/machine-config", ROUTE_ALWAYS, NULL, handle_get_machine),
        DO("PUT", "/machine-config", ROUTE_BEFORE, &body_machine_schema, handle_put_machine),
        DO("PATCH", "/machine-config", ROUTE_BEFORE, &body_machine_update_schema, handle_patch_machine),
        DO("PUT", "/cpu-config", ROUTE_BEFORE, &body_cpu_schema, handle_cpu),
        DO("PUT", "/drives/{drive_id}", ROUTE_BEFORE, &body_drive_schema, handle_put_drive),
        DO("PATCH", "/drives/{drive_id}", ROUTE_AFTER, &body_drive_update_schema, handle_patch_drive),
        DO("PUT", "/network-interfaces/{iface_id}", ROUTE_BEFORE, &body_net_schema, handle_put_net),
        DO("PATCH", "/network-interfaces/{iface_id}", ROUTE_AFTER, &body_net_update_schema, handle_patch_net),
        DO("PUT", "/vsock", ROUTE_BEFORE, &body_vsock_schema, handle_vsock),
        DO("PUT", "/entropy", ROUTE_BEFORE, &body_entropy_schema, handle_entropy),
        DO("PUT", "/serial", ROUTE_BEFORE, &body_serial_schema, handle_serial),
        DO("PUT", "/logger", ROUTE_BEFORE, &body_logger_schema, handle_logger),
        DO("PUT", "/metrics", ROUTE_BEFORE, &body_metrics_schema, handle_metrics),
        DO("GET", "/balloon", ROUTE_ALWAYS, NULL, handle_get_balloon),
        DO("PUT", "/balloon", ROUTE_BEFORE, &body_balloon_schema, handle_put_balloon),
        DO("PATCH", "/balloon", ROUTE_AFTER, &body_balloon_update_schema, handle_patch_balloon),
        DO("GET", "/balloon/statistics", ROUTE_AFTER, NULL, handle_get_balloon_stats),
        DO("PATCH", "/balloon/statistics", ROUTE_AFTER, &body_balloon_stats_update_schema,
           handle_patch_balloon_stats),
        REFUSE("PATCH", "/balloon/hinting/start", NO_HINTING),
        REFUSE("GET", "/balloon/hinting/status", NO_HINTING),
        REFUSE("PATCH", "/balloon/hinting/stop", NO_HINTING),
        REFUSE("PUT", "/pmem/{id}", NO_PMEM),
        REFUSE("PATCH", "/pmem/{id}", NO_PMEM),
        REFUSE("GET", "/hotplug/memory", NO_HOTPLUG),
        REFUSE("PUT", "/hotplug/memory", NO_HOTPLUG),
        REFUSE("PATCH", "/hotplug/memory", NO_HOTPLUG),
        REFUSE("GET", "/mmds", NO_MMDS),
        REFUSE("PUT", "/mmds", NO_MMDS),
        REFUSE("PATCH", "/mmds", NO_MMDS),
        REFUSE("PUT", "/mmds/config", NO_MMDS),
        REFUSE("PUT", "/snapshot/create", NO_SNAPSHOT),
        REFUSE("PUT", "/snapshot/load", NO_SNAPSHOT),
};
const unsigned routes_count = array_size(routes_table);

/* What a problem quotes may be anything, and cut: it must not break the answer's UTF-8. */
void routes_fault(unsigned status, const char *words, struct routes_answer *ret)
{
        char text[sizeof(((struct problem *)0)->text)];
        FILE *f;
        size_t n = 0;

        for (; n < sizeof(text) - 1 && words[n]; n++)
                text[n] = (unsigned char)words[n] < 0x80 ? words[n] : '?';
        text[n] = 0;
        *ret = (struct routes_answer){ .status = status };
        f = open_memstream(&ret->body, &ret->len);
        if (!f)
                return;
        (void)fputs("{\"fault_message\":", f);
        json_put_string(f, text);
        (void)fputc('}', f);
        (void)fclose(f);
}

enum match { MATCH_NO, MATCH_YES, MATCH_NO_ID, MATCH_BAD_ID };

/* An id is the last part of a path; ids are what Firecracker takes. */
static enum match match_id(const char *rest, char *ret_id)
{
        size_t n = strcspn(rest, "/");

        if (strcmp(rest + n, "") && strcmp(rest + n, "/"))
                return MATCH_NO;
        if (!n)
                return MATCH_NO_ID;
        for (size_t i = 0; i < n; i++)
                if (n > ID_MAX || (!isalnum((unsigned char)rest[i]) && rest[i] != '_'))
                        return MATCH_BAD_ID;
        memcpy(ret_id, rest, n);
        ret_id[n] = 0;
        return MATCH_YES;
}

static enum match match(const struct route *route, const char *path, char *ret_id)
{
        const char *brace = strchr(route->path, '{');
        size_t n = brace ? (size_t)(brace - route->path) : strlen(route->path);

        *ret_id = 0;
        if (!brace)
                return !strncmp(path, route->path, n) && (!path[n] || (n > 1 && !strcmp(path + n, "/")))
                               ? MATCH_YES
                               : MATCH_NO;
        /* "/drives" is as good as "/drives/". */
        if (!strncmp(path, route->path, n - 1) && !path[n - 1])
                return MATCH_NO_ID;
        return strncmp(path, route->path, n) ? MATCH_NO : match_id(path + n, ret_id);
}

static const struct route *find(const char *method, const char *path, char *ret_id, struct problem *p)
{
        for (unsigned i = 0; i < routes_count; i++) {
                if (strcmp(routes_table[i].method, method))
                        continue;
                switch (match(&routes_table[i], path, ret_id)) {
                case MATCH_YES:
                        return &routes_table[i];
                case MATCH_NO_ID:
                        (void)problem_set(p, VM_REFUSED, "The ID cannot be empty.");
                        return NULL;
                case MATCH_BAD_ID:
                        (void)problem_set(p, VM_REFUSED,
                                          "API Resource IDs can only contain alphanumeric characters and "
                                          "underscores, and at most %u of them.",
                                          ID_MAX);
                        return NULL;
                case MATCH_NO:
                        break;
                }
        }
        (void)problem_set(p, VM_REFUSED, "Invalid request method and/or path: %.16s %.128s.", method, path);
        return NULL;
}

/* What can be said without the body's content. */
static int check(const struct vm *vm, const struct route *route, size_t len, struct problem *p)
{
        bool is_get = !strcmp(route->method, "GET");

        if (is_get && len)
                return problem_set(p, VM_REFUSED, "GET request cannot have a body.");
        if (route->refusal)
                return problem_set(p, VM_REFUSED, "%s", route->refusal);
        if (!is_get && !len)
                return problem_set(p, VM_REFUSED, "Empty %s request.", route->method);
        if (route->when != ROUTE_ALWAYS && (route->when == ROUTE_AFTER) != (vm->control != NULL))
                return problem_set(p, VM_REFUSED,
                                   "The requested operation is not supported %s starting the microVM.",
                                   vm->control ? "after" : "before");
        return 0;
}

static int act(struct vm *vm, const struct route *route, const char *body, size_t len, struct request *q)
{
        union body_any any;
        int r;

        if (route->schema && schema_read(route->schema, body, len, &any, &q->doc, q->p))
                return -1;
        q->body = route->schema ? &any : NULL;
        r = route->handle(vm, q);
        q->body = NULL;
        json_free(q->doc);
        return r;
}

void routes_answer(struct vm *vm, const char *method, const char *path, const char *body, size_t len,
                   struct routes_answer *ret)
{
        char id[ID_MAX + 1];
        struct problem p = { 0 };
        struct request q = { .id = id, .p = &p };
        const struct route *route = find(method, path, id, &p);
        int r;

        *ret = (struct routes_answer){ .status = 204 };
        if (!route || check(vm, route, len, &p)) {
                routes_fault(400, p.text, ret);
                return;
        }
        q.out = open_memstream(&ret->body, &ret->len);
        if (!q.out) {
                routes_fault(400, "out of memory", ret);
                return;
        }
        r = act(vm, route, body, len, &q);
        (void)fclose(q.out);
        if (r || !ret->len) {
                free(ret->body);
                *ret = (struct routes_answer){ .status = 204 };
        }
        if (r)
                routes_fault(400, p.text, ret);
        else if (ret->len)
                ret->status = 200;
}
