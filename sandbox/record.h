#pragma once
/*
 * What was asked for when a sandbox was made: its config.json, a flat object, written once.
 *
 * One table has the fields; keys that are not in it (of a newer tool) are passed over.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"
#include "vmm/base/err.h"

#define RECORD_MAX (1u << 20) /* bytes of a config.json: four times what EXEC can carry */

struct record_list {
        const char **items; /* ends with NULL; NULL when empty */
        size_t nr;
};

/* Texts are borrowed when a command fills it, owned when record_read() did. NULL or 0 = not asked for. */
struct record {
        const char *id, *name;
        const char *image, *image_path, *kernel; /* as asked; the files that were found */
        const char *user, *workdir, *hostname, *disk_rate;
        const char *network; /* the policy's text, for network.toml (network.h); not part of config.json */
        bool temporary, tty, interactive;
        bool watched; /* not kept: who starts it stays, and has all its output */
        uint64_t created_ns;
        uint64_t cpus_milli, cpu_shares; /* 1500 = one and a half */
        uint64_t memory_bytes, disk_bytes, lifetime_ns, boot_timeout_ns, pids;
        struct record_list args, env, labels, ports;
        char **owned;
        size_t nr_owned;
};

/* record_is_beside() - has a temporary sandbox something that must be in the data folder? */
static inline bool record_is_beside(const struct record *r)
{
        return r->name || r->disk_bytes;
}

/* record_write() - to a new file. Return: 0, or -1 with @p: a text that is no UTF-8, or a host's trouble. */
int must_check record_write(const struct record *r, int folder_fd, bool sync, struct problem *p);

/* record_read() - of @folder. Return: 0, or -1 with @p, when it is not there or damaged. */
int must_check record_read(const char *folder, struct record *ret, struct problem *p);

/* record_parse() - the text of one; @name is what words call it. */
int must_check record_parse(const char *text, const char *name, struct record *ret, struct problem *p);

/* record_set() - one field by its key, as record_parse() does it. */
int must_check record_set(struct record *r, const char *key, const char *value, struct problem *p);

/* record_add() - to one of its lists; the text is borrowed. Return: 0 or -ENOMEM. */
int must_check record_add(struct record_list *list, const char *text);

void record_fini(struct record *r);
