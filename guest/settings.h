/*
 * What the kernel command line tells the agent: words that begin with "vmlet.".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "10.0.2.15/24,10.0.2.2": of one family */
struct settings_net {
        uint8_t family; /* AF_INET or AF_INET6; 0 = not said */
        uint8_t prefix;
        uint8_t address[16], gateway[16];
        char resolver[46]; /* the gateway, as text */
};

struct settings {
        char root[64];     /* device of the root image; "" = /dev/vda if there is one */
        char fstype[16];   /* its file system; "" = look at its superblock */
        char upper[64];    /* device of an ext4 that holds the overlay's changes; "" = they stay in memory */
        char hostname[65]; /* "" = what the image says */
        uint32_t pids;     /* tasks that all commands together may have; 0 = no limit of ours */
        struct settings_net
                net[2]; /* IPv4 and IPv6 of the first network device; the gateway resolves names too */
        bool overlay;   /* image read-only, changes elsewhere (default) */
        bool once;      /* reboot as soon as ready: benches */
};

/* settings_parse() - pure. Unknown words and values that are too long are left aside. */
void settings_parse(const char *cmdline, size_t len, struct settings *ret);
