#pragma once
/*
 * Root file systems and kernels that are there on this machine.
 *
 * data/images/NAME/ holds one: `image` or `kernel`, a file or, of one that was added by --link, a symbolic
 * link. It is filled as .new-XXXXXX and removed as .del-XXXXXX, by who holds a share of the lock on data/images
 * meanwhile: what is called so when nobody holds one was left by a tool that was killed.
 *
 * A word with a slash in it is the path of a file. What nobody added is looked for where it was installed and where
 * the scripts of the source tree leave it in the cache.
 */
#include <stdint.h>

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

struct images_entry {
        char name[SANDBOX_NAME_MAX + 1];
        enum images_kind kind;
        bool linked; /* elsewhere: only its path is kept */
        bool built;  /* not added: found where it was installed or built */
        uint64_t size_bytes, disk_bytes, changed_ns;
        char *path; /* of the file; NULL: a link that leads nowhere */
};

/* images_list() - all of them, in no order. @ret: to be ended with images_free(). */
int must_check images_list(const struct paths *paths, struct images_entry **ret, size_t *ret_nr,
                           struct problem *p);
void images_free(struct images_entry *entries, size_t nr);

/* images_repair() - take away what was left of tools that were killed, if nobody is at work. */
void images_repair(const struct paths *paths);

/* images_add() - the file @from as @name: a copy (reflinked where that can be), or with @link its path. */
int must_check images_add(const struct paths *paths, enum images_kind kind, const char *name,
                          const char *from, bool link, struct problem *p);

/* images_remove() - unless a sandbox needs it; @force: even then. */
int must_check images_remove(const struct paths *paths, const char *name, bool force, struct problem *p);
