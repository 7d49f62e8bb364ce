/*
 * Users: resolves USER[:GROUP] from the guest's own files.
 * Input:  a request (hostile), /etc/passwd and /etc/group of the image (hostile to nobody but itself).
 * Runs:   the agent's only thread, before the command is started.
 * Limits: files of 4 MiB, lines of 8 KiB (longer ones are skipped), USER_GROUPS_MAX groups, names of 63
 *         characters.
 */
#include "guest/user.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 8192u
#define FILE_MAX_BYTES (4u << 20)  /* more is no list of users */
#define ID_MAX         0xfffffffeu /* the highest number means "leave it as it is" to the kernel */

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

typedef void scan_fn(const char *line, size_t len, struct user_query *q, struct user *u);

static void scan_file(const char *path, scan_fn *scan, struct user_query *q, struct user *u)
{
        static char bytes[LINE_MAX_BYTES];
        size_t have = 0, total = 0;
        bool skip = false; /* the rest of a line that is too long */
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        ssize_t n = 0;

        if (fd < 0)
                return;
        do {
                n = read(fd, bytes + have, sizeof(bytes) - have);
                if (n > 0) {
                        have += (size_t)n;
                        total += (size_t)n;
                }
                if (n <= 0 && have && have < sizeof(bytes))
                        bytes[have++] = '\n'; /* a last line without its end */

                size_t start = 0;

                for (char *end; (end = memchr(bytes + start, '\n', have - start));
                     start = (size_t)(end - bytes) + 1) {
                        if (!skip)
                                scan(bytes + start, (size_t)(end - bytes) - start, q, u);
                        skip = false;
                }
                memmove(bytes, bytes + start, have - start);
                have -= start;
                if (have == sizeof(bytes)) {
                        skip = true;
                        have = 0;
                }
        } while (n > 0 && total < FILE_MAX_BYTES);
        close(fd);
}

bool user_find(const char *spec, struct user *ret, struct text *ret_why)
{
        const char *colon = strchr(spec, ':');
        size_t user_len = colon ? (size_t)(colon - spec) : strlen(spec);
        struct user_query q = { .user = spec, .user_len = user_len, .name = "" };

        *ret = (struct user){ .home = "/root" };
        if (!*spec)
                return true;
        if (colon) {
                q.group = colon + 1;
                q.group_len = strlen(q.group);
                q.group_is_number = text_number(q.group, q.group_len, ID_MAX, &ret->gid);
        }
        if (!user_len) { /* ":GROUP": root with that group */
                q.user = "0";
                q.user_len = 1;
        }
        q.user_is_number = text_number(q.user, q.user_len, ID_MAX, &ret->uid);
        memcpy(ret->home, "/", 2);
        scan_file("/etc/passwd", user_scan_passwd, &q, ret);
        if (!q.user_found && !q.user_is_number) {
                text_set(ret_why, "no such user in the guest's /etc/passwd: ", spec);
                return false;
        }
        scan_file("/etc/group", user_scan_group, &q, ret);
        if (q.group && !q.group_is_number && !q.group_found) {
                text_set(ret_why, "no such group in the guest's /etc/group: ", q.group);
                return false;
        }
        add_group(ret, ret->gid);
        return true;
}
