#pragma once
/*
 * Names of sandboxes: symbolic links in data/sandboxes/by-name, made by symlink(2), so that the kernel
 * keeps them apart. Who changes one holds a lock on the folder, for a moment.
 */
#include "sandbox/sandbox.h"

/*
 * names_take() - give @name to @id
 * A link that leads to no sandbox, not even to one that is just being made, is replaced.
 * Return: 0, or -1 with @p: the name is in use.
 */
int must_check names_take(const struct paths *paths, const char *name, const char *id, struct problem *p);

/* names_drop() - every name of @id; of all that lead nowhere if @id is NULL. What cannot be done is left. */
void names_drop(const struct paths *paths, const char *id);
