#pragma once
/*
 * Root file systems and kernels that are there on this machine.
 *
 * data/images/NAME/ holds one: `image` or `kernel`, a file or, of one that was added by --link, a symbolic
 * link. A word with a slash in it is the path of a file. What nobody added is looked for where it was
 * installed and where the scripts of the source tree leave it in the cache.
 */
#include "sandbox/sandbox.h"

enum images_kind { IMAGES_ROOT, IMAGES_KERNEL };

/* images_find() - the file of an image that a person named. Return: 0 and an absolute path, or -1 with @p. */
int must_check images_find(const struct paths *paths, const char *word, char **ret, struct problem *p);

/*
 * images_find_kernel() - likewise; NULL means the default: $VMLET_KERNEL (a file, or a folder with vmlinux), the
 * installed one, the newest of the cache.
 */
int must_check images_find_kernel(const struct paths *paths, const char *word, char **ret, struct problem *p);

/* images_program_file() - "@name beside our own program", such as "../libexec/vmlet/vmlinux". Return: 0 or -1. */
int must_check images_program_file(const char *name, char ret[static PATHS_MAX]);
