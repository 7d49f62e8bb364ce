/*
 * What the files of unpacking share.
 */
#pragma once

#include <sys/types.h>

#include "guest/tree.h"

/* tree_parent() - Return: the folder of u->path, made if missing, and the last name in @ret_name; or an error. */
int tree_parent(struct tree_unpack *u, const char **ret_name);

/* tree_open_folder() - open a folder beneath the root; nothing is made. Return: a descriptor or an errno. */
int tree_open_folder(const struct tree_unpack *u, const char *path, size_t len, int flags);

/* tree_forget_parent() - what was there may have been replaced. */
void tree_forget_parent(struct tree_unpack *u);

/*
 * tree_set_name() - make a name of the stream one beneath the root: no slash at its ends, no "." in it.
 * Return: 0 or TREE_E_NAME; "" = the root itself.
 */
int tree_set_name(char *out, struct tar_text prefix, struct tar_text name);

/* tree_read() - exactly @len bytes. tree_skip() - the same, to nowhere. Return: 0 or an error. */
int tree_read(struct tree_unpack *u, void *to, size_t len);
int tree_skip(struct tree_unpack *u, uint64_t len);

/* tree_write_data() - the data of a member to @fd, by its map if it has one. Return: 0 or an error. */
int tree_write_data(struct tree_unpack *u, int fd, uint64_t size);

/* tree_read_sparse() - what the records and the header @block say of holes. */
int tree_read_sparse(struct tree_unpack *u, struct tar_header *h);
