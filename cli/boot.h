#pragma once
/*
 * Starting a sandbox and its main command: what run and start have in common.
 */
#include "cli/keys.h"
#include "sandbox/record.h"
#include "sandbox/sandbox.h"

struct boot {
        const struct paths *paths;
        struct sandbox *sandbox;
        const struct record *record;
        int lock;                /* of the sandbox, held; taken over */
        bool watch;              /* stay until the main command has ended */
        bool interactive;        /* and pass it standard input */
        const struct keys *keys; /* NULL = none */
};

/*
 * boot_run() - start it, and its main command if it has one
 *
 * A temporary sandbox that was watched to its end, or could not be started, is removed.
 *
 * Return: 0 when it runs, or once it was watched the exit status of `vmlet run`; -1 with @p.
 */
int must_check boot_run(struct boot *b, struct problem *p);
