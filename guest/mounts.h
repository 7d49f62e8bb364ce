/*
 * The file systems of the guest: the root image and what a Linux userland expects beside it.
 */
#pragma once

#include "guest/settings.h"
#include "guest/text.h"

enum { MOUNTS_OK, MOUNTS_NO_ROOT };

/* mounts_first() - /proc and /dev in the initramfs, and the settings; what the root needs and no more. */
void mounts_first(struct settings *ret);

/*
 * mounts_root() - mount the root image and make it the root directory.
 * Return: MOUNTS_OK (also without a root device: the initramfs stays), or MOUNTS_NO_ROOT and why in @ret_why.
 */
int mounts_root(const struct settings *s, struct text *ret_why);

/* mounts_rest() - everything else a program may expect; must be done before the first exec. */
void mounts_rest(const struct settings *s);

/* mounts_finish() - write back and unmount what can be, and make the rest read-only. */
void mounts_finish(void);
