#pragma once
/*
 * The VM as the API's clients describe it: the bodies they put, until it is started and afterwards.
 */
#include "api/vm/api.h"
#include "api/vm/bodies.h"
#include "vmm/base/rate.h"

/* Bodies with texts keep the document that holds them. */
struct vm_drive {
        struct body_drive body;
        struct json_t *doc;
        struct json_t *patched;         /* where a path of a later PATCH is */
        const struct config_disk *base; /* of the command line; NULL: a client's */
        char id[8];                     /* of one of the command line */
        unsigned disk;                  /* its number in the configuration that vm_describe() made */
};

struct vm_net {
        struct body_net body;
        struct json_t *doc;
        const struct config_net *base; /* of the command line; NULL: a client's */
        char id[8], mac[18];           /* of one of the command line */
};

struct vm {
        struct api_config cfg;
        struct control *control; /* NULL: not started */
        struct vm_config config; /* what it was started with */

        struct body_machine machine;
        struct body_boot boot;
        struct body_vsock vsock;
        struct body_entropy entropy;
        struct body_serial serial;
        struct body_balloon balloon;
        struct body_logger logger;
        struct body_metrics metrics;
        struct json_t *boot_doc, *vsock_doc, *serial_doc, *logger_doc, *metrics_doc;
        unsigned nr_drives;
        struct vm_drive drives[CONFIG_DISKS_MAX];

        unsigned nr_nets;
        struct vm_net nets[CONFIG_NETS_MAX]; /* in the order of the configuration */

        char *boot_args;        /* with PARTUUID in it; NULL: not needed */
        int log_fd, metrics_fd; /* -1: none */
        struct loop_timer flush;
};

void vm_init(struct vm *vm, const struct api_config *cfg);
void vm_fini(struct vm *vm);

/* The machine of the command line runs. */
void vm_set_started(struct vm *vm, struct control *control);

/* vm_describe() - what a machine of it is, to *c; judged as far as it is known: Return 0, or -1 and *p. */
int must_check vm_describe(struct vm *vm, struct vm_config *c, struct problem *p);

/* vm_start() - Return: 0, or -1 and *p */
int must_check vm_start(struct vm *vm, struct problem *p);

/* vm_flush() - a line of metrics; Return: 0, or -1 and *p */
int must_check vm_flush(struct vm *vm, struct problem *p);

#define VM_REFUSED SCHEMA_REFUSED

/* Firecracker's: a bucket or a rate that a client gave. A body that was not given has no limit. */
struct rate_config vm_rate(const struct body_rate *body);
