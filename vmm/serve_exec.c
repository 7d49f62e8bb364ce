/*
 * --api-sock in the program that has no API: becomes the one that has.
 * Input:  our own words.
 * Runs:   main thread, before a machine exists.
 * Limits: none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/base/compiler.h"
#include "vmm/serve.h"
#include "vmm/status.h"

/* Beside us in a build, in ../libexec/vmlet once installed. */
int serve_run(struct run *run, char **argv, struct problem *p)
{
        static const char *const places[] = { "vmm-api", "../libexec/vmlet/vmm-api" };
        char path[4096];
        ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
        char *slash;

        (void)run;
        path[n > 0 ? n : 0] = 0;
        slash = strrchr(path, '/');
        for (unsigned i = 0; slash && i < array_size(places); i++) {
                (void)snprintf(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "%s", places[i]);
                (void)execv(path, argv);
                if (errno != ENOENT)
                        break;
        }
        (void)problem_set(p, VMM_E_INPUT, "cannot run '%s', which serves --api-sock: %s", path,
                          strerror(errno));
        return p->status;
}
