/*
 * Owners: looks through the files of users and groups.
 * Input:  /etc/passwd, /etc/group (hostile in a guest), names of a tar stream (hostile).
 * Runs:   worker child of the agent; the host's thread that packs or unpacks.
 * Limits: OWNER_NAME_MAX characters, LINE_MAX of a line; what is longer is not found.
 */
#include "guest/owner.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 1024u

/* "name:password:number:..." Return: does it have what @e looks for: its number, or (by_name) its name? */
static bool match(const char *line, size_t len, struct owner_entry *e, bool by_name)
{
        const char *colon = memchr(line, ':', len), *end = line + len;
        const char *second = colon ? memchr(colon + 1, ':', (size_t)(end - colon - 1)) : NULL;
        size_t name_len = colon ? (size_t)(colon - line) : 0;
        uint64_t id = 0;

        if (!second || !name_len || name_len > OWNER_NAME_MAX)
                return false;
        for (second++; second < end && *second >= '0' && *second <= '9' && id <= UINT32_MAX; second++)
                id = id * 10 + (uint64_t)(*second - '0');
        if (id > UINT32_MAX || second == end || *second != ':')
                return false;
        if (by_name ? name_len != e->len || memcmp(line, e->name, name_len) != 0 : id != e->id)
                return false;
        e->id = (uint32_t)id;
        e->len = (uint8_t)name_len;
        memcpy(e->name, line, name_len);
        e->name[name_len] = 0;
        return true;
}

static void look_up(enum owner_kind kind, struct owner_entry *e, bool by_name)
{
        int fd = open(kind == OWNER_USER ? "/etc/passwd" : "/etc/group", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        char line[LINE_SIZE];
        size_t len = 0;
        ssize_t n = 0;

        while (fd >= 0 && !e->found && (n = read(fd, line + len, sizeof(line) - len)) > 0) {
                size_t start = 0;
                const char *newline;

                len += (size_t)n;
                while (!e->found && (newline = memchr(line + start, '\n', len - start))) {
                        e->found = match(line + start, (size_t)(newline - line) - start, e, by_name);
                        start = (size_t)(newline - line) + 1;
                }
                if (!start && len == sizeof(line))
                        start = len; /* nobody is called so; its rest will not look like a line either */
                memmove(line, line + start, len - start);
                len -= start;
        }
        if (fd >= 0)
                close(fd);
}

static struct owner_entry *replace_oldest(struct owner_cache *c, enum owner_kind kind)
{
        struct owner_entry *e = &c->entries[kind][c->next[kind]++ % OWNER_REMEMBERED];

        *e = (struct owner_entry){ .used = true };
        return e;
}

const char *owner_name(struct owner_cache *c, enum owner_kind kind, uint32_t id)
{
        struct owner_entry *e;

        for (unsigned i = 0; i < OWNER_REMEMBERED; i++) {
                e = &c->entries[kind][i];
                if (e->used && e->id == id)
                        return e->name;
        }
        e = replace_oldest(c, kind);
        e->id = id;
        look_up(kind, e, false);
        return e->name;
}

uint32_t owner_id(struct owner_cache *c, enum owner_kind kind, const char *name, size_t len,
                  uint32_t otherwise)
{
        struct owner_entry *e;

        if (!len || len > OWNER_NAME_MAX)
                return otherwise;
        for (unsigned i = 0; i < OWNER_REMEMBERED; i++) {
                e = &c->entries[kind][i];
                if (e->used && e->len == len && !memcmp(e->name, name, len))
                        return e->found ? e->id : otherwise;
        }
        e = replace_oldest(c, kind);
        e->len = (uint8_t)len;
        memcpy(e->name, name, len);
        look_up(kind, e, true);
        return e->found ? e->id : otherwise;
}
