#pragma once
/*
 * One sandbox, found by what a person calls it.
 *
 * A sandbox is a folder: data/sandboxes/ID, or, of one that is --rm, run/ID. Its sockets are always in
 * run/ID: `agent` leads into the guest (vsock), `control` to the monitor. Names are symbolic links in
 * data/sandboxes/by-name. sandbox/store.h makes and removes them, sandbox/life.h starts and ends them.
 *
 * What it has on the other side, of run and data, is in a second folder beside: run/ID, where the sockets are, or of
 * one that is --rm and has a name or a disk, data/sandboxes/.tmp-ID. Its monitor holds a lock in both (lock.h), so
 * that a tool for which one of the two sides is elsewhere knows too that it lives.
 */
#include <stdbool.h>

#include "sandbox/paths.h"
#include "vmm/base/err.h"

#define SANDBOX_ID_SIZE     13u /* 12 hexadecimal digits */
#define SANDBOX_NAME_MAX    63u
#define SANDBOX_FAILED      125
#define SANDBOX_FOLDER_MAX  (PATHS_MAX + 32u)
#define SANDBOX_SOCKET_SIZE 108u /* what a Unix socket's address holds */

struct sandbox {
        char id[SANDBOX_ID_SIZE];
        char name[SANDBOX_NAME_MAX + 1]; /* "" = none, or not known: it was found by its ID */
        bool temporary;                  /* --rm: everything is in the runtime folder */
        char folder[SANDBOX_FOLDER_MAX]; /* config.json, state.json, … */
        char run[SANDBOX_FOLDER_MAX];    /* where its sockets are */
        char beside[SANDBOX_FOLDER_MAX]; /* its second folder */
        /* Where to connect() to; good until sandbox_fini(), however long the real path is. */
        char agent[SANDBOX_SOCKET_SIZE], control[SANDBOX_SOCKET_SIZE];
        int run_fd; /* -1, or keeps the two usable */
};
#define SANDBOX_NONE ((struct sandbox){ .run_fd = -1 })

/*
 * sandbox_find() - by name, by ID, or by the beginning of an ID that no other has
 * @ret: to be ended with sandbox_fini(), also after a failure
 *
 * A sandbox that is found need not run: connect to its sockets to know.
 *
 * Return: 0, or -1 with @p: "sandbox 'fo' not found; did you mean foo?"
 */
int must_check sandbox_find(const char *word, struct sandbox *ret, struct problem *p);

void sandbox_fini(struct sandbox *s);

/* sandbox_at() - fill *ret for @id in @paths, whether it is there or not; for those who list and create */
int must_check sandbox_at(const struct paths *paths, const char *id, bool temporary, struct sandbox *ret,
                          struct problem *p);

/* sandbox_set_sockets() - once more, after the folder of its sockets was made. */
int must_check sandbox_set_sockets(struct sandbox *s, struct problem *p);

/* sandbox_disk_folder() - where its disk.img is: never in the runtime folder, which takes the host's memory. */
static inline const char *sandbox_disk_folder(const struct sandbox *s)
{
        return s->temporary ? s->beside : s->folder;
}

/* Is it an ID in full? A name must not be. */
bool sandbox_is_id(const char *word);
/* [a-zA-Z0-9][a-zA-Z0-9_.-]{0,62}, and not an ID */
bool sandbox_is_name(const char *word);
