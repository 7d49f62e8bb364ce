/*
 * Names and numbers of owners, by /etc/passwd and /etc/group of where this runs. The last few are remembered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OWNER_NAME_MAX   31u
#define OWNER_REMEMBERED 16u

enum owner_kind { OWNER_USER, OWNER_GROUP };

struct owner_entry {
        bool used, found;
        uint8_t len;
        uint32_t id;
        char name[OWNER_NAME_MAX + 1];
};
struct owner_cache { /* all zeros to begin with; one for each direction */
        unsigned next[2];
        struct owner_entry entries[2][OWNER_REMEMBERED];
};

/* owner_name() - Return: the name of @id, "" if it has none. */
const char *owner_name(struct owner_cache *c, enum owner_kind kind, uint32_t id);

/* owner_id() - Return: the number of @name, or @otherwise. */
uint32_t owner_id(struct owner_cache *c, enum owner_kind kind, const char *name, size_t len,
                  uint32_t otherwise);
