/*
 * What the kernel command line tells the agent: words that begin with "vmlet.".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct settings {
        char root[64];     /* device of the root image; "" = /dev/vda if there is one */
        char fstype[16];   /* its file system; "" = look at its superblock */
        char upper[64];    /* device of an ext4 that holds the overlay's changes; "" = they stay in memory */
        char hostname[65]; /* "" = what the image says */
        uint32_t pids;     /* tasks that all commands together may have; 0 = no limit of ours */
        bool overlay;      /* image read-only, changes elsewhere (default) */
        bool once;         /* reboot as soon as ready: benches */
};

/* settings_parse() - pure. Unknown words and values that are too long are left aside. */
void settings_parse(const char *cmdline, size_t len, struct settings *ret);
