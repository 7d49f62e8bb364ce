#pragma once
/*
 * The API of one VM: Firecracker's REST API on a Unix socket (docs/api.md, openapi.yaml). It describes a machine
 * that does not exist yet, has it started, and is then a door to it like the others. Loop thread.
 */
#include "vmm/base/cleanup.h"
#include "vmm/base/loop.h"
#include "vmm/config.h"
#include "vmm/control.h"

struct api;

struct api_config {
        struct loop *loop;
        int listen_fd;                /* taken, non-blocking */
        const struct vm_config *base; /* defaults and options; borrowed for good */
        /*
         * Starts the machine that @c describes; the strings of @c live as long as the API.
         * Return: 0 and *ret, or -1 and *p; then it may be asked again.
         */
        int (*start)(void *ctx, const struct vm_config *c, struct control **ret, struct problem *p);
        void *ctx;
};

/* Return: 0 or a negative errno. */
int must_check api_new(struct api **ret, const struct api_config *cfg);
/* The machine was started without being asked to, as @base describes it. */
void api_set_started(struct api *api, struct control *control);
/* Before the machine goes: the last metrics are written. */
void api_free(struct api *api);
DEFINE_CLEANUP(struct api *, api_free)
