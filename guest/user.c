/*
 * Users: resolves USER[:GROUP] from the guest's own files.
 * Input:  a request (hostile), /etc/passwd and /etc/group of the image (hostile to nobody but itself).
 * Runs:   the agent's only thread, before the command is started.
 * Limits: those of lines.h, USER_GROUPS_MAX groups, names of 63 characters.
 */
#include "guest/user.h"

#include <string.h>

#include "guest/lines.h"

#define ID_MAX 0xfffffffeu /* the highest number means "leave it as it is" to the kernel */

struct field {
        const char *s;
        size_t len;
};

/* Splits at colons; fields that are not there are empty. */
static size_t split(const char *line, size_t len, struct field *fields, size_t max)
{
        size_t n = 0;

        for (size_t i = 0, start = 0; i <= len && n < max; i++) {
                if (i == len || line[i] == ':') {
                        fields[n++] = (struct field){ line + start, i - start };
                        start = i + 1;
                }
        }
        return n;
}

static bool equals(const struct field *f, const char *s, size_t len)
{
        return f->len == len && !memcmp(f->s, s, len);
}

/* name:password:uid:gid:gecos:home:shell */
void user_scan_passwd(const char *line, size_t len, struct user_query *q, struct user *u)
{
        struct field f[7];
        uint32_t uid, gid;

        if (q->user_found || split(line, len, f, 7) < 6 || !text_number(f[2].s, f[2].len, ID_MAX, &uid) ||
            !text_number(f[3].s, f[3].len, ID_MAX, &gid))
                return;
        if (!equals(&f[0], q->user, q->user_len) && !(q->user_is_number && uid == u->uid))
                return;
        u->uid = uid;
        if (!q->group)
                u->gid = gid;
        q->user_found = true;
        if (f[0].len < sizeof(q->name)) {
                memcpy(q->name, f[0].s, f[0].len);
                q->name[f[0].len] = 0;
        }
        if (f[5].len && f[5].len < sizeof(u->home)) {
                memcpy(u->home, f[5].s, f[5].len);
                u->home[f[5].len] = 0;
        }
}

static bool lists(const struct field *members, const char *name)
{
        size_t want = strlen(name);

        for (size_t i = 0, start = 0; want && i <= members->len; i++) {
                if (i == members->len || members->s[i] == ',') {
                        if (i - start == want && !memcmp(members->s + start, name, want))
                                return true;
                        start = i + 1;
                }
        }
        return false;
}

static void add_group(struct user *u, uint32_t gid)
{
        for (uint32_t i = 0; i < u->nr_groups; i++) {
                if (u->groups[i] == gid)
                        return;
        }
        if (u->nr_groups < USER_GROUPS_MAX)
                u->groups[u->nr_groups++] = gid;
}

/* name:password:gid:member,member */
void user_scan_group(const char *line, size_t len, struct user_query *q, struct user *u)
{
        struct field f[4];
        uint32_t gid;

        if (split(line, len, f, 4) < 4 || !text_number(f[2].s, f[2].len, ID_MAX, &gid))
                return;
        if (q->group && !q->group_is_number && !q->group_found && equals(&f[0], q->group, q->group_len)) {
                u->gid = gid;
                q->group_found = true;
        }
        if (lists(&f[3], q->name))
                add_group(u, gid);
}

struct scan {
        struct user_query query;
        struct user *user;
};

static bool on_passwd(char *line, size_t len, void *owner)
{
        struct scan *s = owner;

        user_scan_passwd(line, len, &s->query, s->user);
        return true;
}

static bool on_group(char *line, size_t len, void *owner)
{
        struct scan *s = owner;

        user_scan_group(line, len, &s->query, s->user);
        return true;
}

bool user_find(const char *spec, struct user *ret, struct text *ret_why)
{
        const char *colon = strchr(spec, ':');
        size_t user_len = colon ? (size_t)(colon - spec) : strlen(spec);
        struct scan scan = { .query = { .user = spec, .user_len = user_len, .name = "" }, .user = ret };
        struct user_query *q = &scan.query;

        *ret = (struct user){ .home = "/root" };
        if (!*spec)
                return true;
        if (colon) {
                q->group = colon + 1;
                q->group_len = strlen(q->group);
                q->group_is_number = text_number(q->group, q->group_len, ID_MAX, &ret->gid);
        }
        if (!user_len) { /* ":GROUP": root with that group */
                q->user = "0";
                q->user_len = 1;
        }
        q->user_is_number = text_number(q->user, q->user_len, ID_MAX, &ret->uid);
        memcpy(ret->home, "/", 2);
        (void)!lines_each("/etc/passwd", on_passwd, &scan); /* numbers need no file */
        if (!q->user_found && !q->user_is_number) {
                text_set(ret_why, "no such user in the guest's /etc/passwd: ", spec);
                return false;
        }
        (void)!lines_each("/etc/group", on_group, &scan);
        if (q->group && !q->group_is_number && !q->group_found) {
                text_set(ret_why, "no such group in the guest's /etc/group: ", q->group);
                return false;
        }
        add_group(ret, ret->gid);
        return true;
}
