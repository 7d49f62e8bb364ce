#pragma once
/*
 * Where a copy goes, by docker's rules.
 */
#include <stdbool.h>

#include "vmm/base/err.h"

#define CP_PATH_MAX 4096

/*
 * cp_path_split() - is @word SANDBOX:PATH?
 *
 * What begins with a slash or a dot is a path of this host, unless a socket stands before the ':'.
 *
 * @sandbox: CP_PATH_MAX bytes
 */
bool cp_path_split(const char *word, char *sandbox, const char **ret_path);

/* cp_path_is_folder() - does its end say so: "/", "/." */
bool cp_path_is_folder(const char *path);

/* The destination as it is now. */
struct cp_side {
        const char *path;
        bool exists, is_folder;
};

/* The source is packed as @top (or as what is in it, with @contents) and unpacked in @folder. */
struct cp_plan {
        char folder[CP_PATH_MAX];
        char name[256];
        const char *top; /* NULL with @contents */
        bool contents;
};

/* cp_plan() - Return: 0, or -1 with @problem. */
int must_check cp_plan(const char *from, bool from_is_folder, const struct cp_side *to, struct cp_plan *ret,
                       struct problem *problem);
