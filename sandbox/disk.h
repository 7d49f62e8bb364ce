#pragma once
/*
 * The disk that takes what a guest writes: a sparse ext4 file system.
 *
 * mkfs.ext4 makes one of each size, once, in the cache; a sandbox gets a copy of that, by reflink where
 * the file system has them, else of its few written blocks.
 */
#include <stdint.h>

#include "sandbox/paths.h"
#include "vmm/base/err.h"

#define DISK_MIN (64ull << 20)
#define DISK_MAX (16ull << 40)

/* disk_make() - @folder/disk.img of @bytes. Return: 0, or -1 with @p, and it is not there. */
int must_check disk_make(const struct paths *paths, const char *folder, uint64_t bytes, struct problem *p);

/* disk_copy() - a sparse copy of the file @from at @to, which must not be there. Return: 0 or negative errno. */
int must_check disk_copy(const char *from, const char *to);
