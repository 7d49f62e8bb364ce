/*
 * Who a command runs as: USER[:GROUP] looked up in the guest's own /etc/passwd and /etc/group.
 */
#pragma once

#include "guest/text.h"

#define USER_GROUPS_MAX 64u

struct user {
        uint32_t uid, gid;
        uint32_t groups[USER_GROUPS_MAX];
        uint32_t nr_groups;
        char home[256];
};

/*
 * user_find() - resolve @spec ("" = root, without a look at any file).
 * Return: true, or false and why in @ret_why.
 */
bool user_find(const char *spec, struct user *ret, struct text *ret_why);

/*
 * user_scan_passwd(), user_scan_group() - the pure part: one line of each file (without its newline) against
 * what is looked for. Public for their tests.
 */
struct user_query {
        const char *user, *group; /* as given; group NULL = the user's own */
        size_t user_len, group_len;
        bool user_is_number, group_is_number, user_found, group_found;
        char name[64]; /* of the user, for the supplementary groups */
};
void user_scan_passwd(const char *line, size_t len, struct user_query *q, struct user *u);
void user_scan_group(const char *line, size_t len, struct user_query *q, struct user *u);
