#pragma once
/*
 * What vmlet doctor looks at: one function a check, each with one finding and, unless all is well, what to
 * do about it. They read the host through a root folder, so that a test can lay one out. Waits for nothing.
 */
#include <stddef.h>

enum doctor_level {
        DOCTOR_OK,
        DOCTOR_NOTE, /* nothing is wrong, but it is worth knowing */
        DOCTOR_WARN, /* works, but slower, with less or less safely */
        DOCTOR_BAD,  /* sandboxes do not run */
        DOCTOR_LEVEL_NR
};
extern const char *const doctor_level_names[];

struct doctor_finding {
        enum doctor_level level;
        char what[320];
        char advice[320]; /* "" = none */
};

struct doctor_host {
        const char *root;    /* "" = this host */
        const char *runtime; /* folder of sockets, NULL: could not be found */
        const char *data;    /* folder of sandboxes */
        unsigned uid, gid;
};

struct doctor_check {
        const char *name;
        void (*look)(const struct doctor_host *host, struct doctor_finding *ret);
};

/* All that only read files; ends with a row without name. */
extern const struct doctor_check doctor_checks[];
