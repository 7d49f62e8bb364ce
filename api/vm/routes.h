#pragma once
/*
 * The API's requests: one table of method, path, body and handler. No sockets here: a request comes in whole, and
 * its answer goes out whole.
 */
#include "api/vm/handle.h"

/* Firecracker's default. */
#define ROUTES_BODY_MAX 51200u

enum route_when {
        ROUTE_ALWAYS,
        ROUTE_BEFORE, /* the start only */
        ROUTE_AFTER,
};

struct route {
        const char *method;
        const char *path; /* {…} stands for an id */
        enum route_when when;
        const struct schema *schema; /* of the body; NULL: none, or any for what is refused anyway */
        int (*handle)(struct vm *vm, struct request *q);
        const char *refusal; /* instead of a handler: why it is not there */
};
extern const struct route routes_table[];
extern const unsigned routes_count;

struct routes_answer {
        unsigned status; /* 200, 204, 400, 413 */
        char *body;      /* malloc(3)ed JSON; NULL: none */
        size_t len;
};

/*
 * routes_answer() - do what a request asks for
 * @body: @len bytes, of which there may be none
 */
void routes_answer(struct vm *vm, const char *method, const char *path, const char *body, size_t len,
                   struct routes_answer *ret);

/* routes_fault() - {"fault_message": @words} */
void routes_fault(unsigned status, const char *words, struct routes_answer *ret);
