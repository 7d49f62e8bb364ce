#pragma once
/*
 * The user's own settings, config.toml, as far as it is ours: of TOML, tables, keys, strings in one line and
 * whole numbers. Pure; a mistake has a line and words.
 *
 *   [limits]               of all sandboxes of this user that run
 *   sandboxes = 20
 *   memory = "16G"
 *   disk = "100G"          that all may take, running or not
 *   [defaults]
 *   image = "debian"
 *   kernel = "mine"
 *   memory = "512M"
 *   cpus = "1.5"
 *   disk = "8G"            or "none"
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTINGS_TEXT_MAX 255u

typedef char settings_text_t[SETTINGS_TEXT_MAX + 1];

struct settings {
        uint64_t max_sandboxes, max_memory_bytes, max_disk_bytes; /* 0 = no limit */
        /* "" = not set */
        settings_text_t image, kernel, memory, cpus, disk;
};

enum {
        SETTINGS_OK,
        SETTINGS_E_SYNTAX, /* not TOML, or a kind of it that is not used here */
        SETTINGS_E_TABLE,  /* [name] that is not known */
        SETTINGS_E_KEY,    /* a key that is not known in its table */
        SETTINGS_E_TWICE,  /* a key or a table said twice */
        SETTINGS_E_VALUE,  /* of the wrong kind or out of range */
        SETTINGS_E_LONG,   /* a string of more than SETTINGS_TEXT_MAX bytes */
        SETTINGS_E_NR
};

/*
 * settings_parse() - a whole file
 * @ret: zeroed first. @ret_line: of the mistake, from 1
 */
int settings_parse(const char *text, size_t len, struct settings *ret, unsigned *ret_line);
const char *settings_strerror(int error);
