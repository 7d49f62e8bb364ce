#pragma once
/*
 * What each request does. A handler returns 0, having written the answer's JSON to q->out if it has one, or -1
 * with the words of the refusal in *q->p.
 */
#include "api/vm/vm.h"

struct request {
        const char *id;             /* what stands for {…} in the path; NULL: nothing */
        const union body_any *body; /* NULL: none */
        struct json_t *doc;         /* of the body; a handler that keeps it sets NULL here */
        FILE *out;
        struct problem *p;
};

int handle_describe(struct vm *vm, struct request *q);
int handle_version(struct vm *vm, struct request *q);
int handle_get_config(struct vm *vm, struct request *q);
int handle_action(struct vm *vm, struct request *q);
int handle_state(struct vm *vm, struct request *q);
int handle_logger(struct vm *vm, struct request *q);
int handle_metrics(struct vm *vm, struct request *q);

int handle_boot(struct vm *vm, struct request *q);
int handle_get_machine(struct vm *vm, struct request *q);
int handle_put_machine(struct vm *vm, struct request *q);
int handle_patch_machine(struct vm *vm, struct request *q);
int handle_cpu(struct vm *vm, struct request *q);

int handle_put_drive(struct vm *vm, struct request *q);
int handle_patch_drive(struct vm *vm, struct request *q);
int handle_put_net(struct vm *vm, struct request *q);
int handle_patch_net(struct vm *vm, struct request *q);
int handle_vsock(struct vm *vm, struct request *q);
int handle_entropy(struct vm *vm, struct request *q);
int handle_serial(struct vm *vm, struct request *q);

int handle_get_balloon(struct vm *vm, struct request *q);
int handle_put_balloon(struct vm *vm, struct request *q);
int handle_patch_balloon(struct vm *vm, struct request *q);
int handle_get_balloon_stats(struct vm *vm, struct request *q);
int handle_patch_balloon_stats(struct vm *vm, struct request *q);

/* The document of @q lives on in *@at, in place of the one there. */
void handle_keep(struct json_t **at, struct request *q);
/* handle_check_id() - is the path's id that of the body? Return: 0, or -1 and *q->p */
int must_check handle_check_id(const struct request *q, const char *id);
/* handle_readable() - Return: 0 if there is a file at @path that can be read, or -1 and *p */
int must_check handle_readable(const char *what, const char *path, struct problem *p);
