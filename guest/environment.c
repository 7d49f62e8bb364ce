/*
 * Environment: a bounded list of variables.
 * Input:  a checked ENVIRONMENT request (client, hostile).
 * Runs:   the agent's only thread.
 * Limits: ENVIRONMENT_BYTES_MAX, ENVIRONMENT_ITEMS_MAX; so a change takes at most a million comparisons.
 *
 * The strings stand behind each other in one of two buffers. A change writes the new list into the other one
 * and then turns to it.
 */
#include "guest/environment.h"

#include <string.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define HOME_PREFIX  "HOME="

struct list {
        char strings[ENVIRONMENT_BYTES_MAX];
        size_t len;
        uint32_t nr;
};

static struct list lists[2];
static unsigned current;

static bool add(struct list *l, const char *item)
{
        size_t size = strlen(item) + 1;

        if (l->nr == ENVIRONMENT_ITEMS_MAX || size > sizeof(l->strings) - l->len)
                return false;
        memcpy(l->strings + l->len, item, size);
        l->len += size;
        l->nr++;
        return true;
}

static bool has_same_name(const char *a, const char *b)
{
        size_t len = strcspn(a, "=");

        return !strncmp(a, b, len) && (b[len] == '=' || !b[len]);
}

/* Is the variable of @item among the @n strings from @items on? */
static bool is_among(const char *item, const char *items, uint32_t n)
{
        for (; n--; items += strlen(items) + 1) {
                if (has_same_name(item, items))
                        return true;
        }
        return false;
}

bool environment_change(const struct protocol_environment *e)
{
        const struct list *old = &lists[current];
        struct list *new = &lists[!current];
        const char *item = old->strings;

        if (e->nr > ENVIRONMENT_ITEMS_MAX)
                return false;
        new->len = new->nr = 0;
        for (uint32_t i = 0; i < old->nr; i++, item += strlen(item) + 1) {
                if (!is_among(item, e->items, e->nr) && !add(new, item))
                        return false;
        }
        item = e->items;
        for (uint32_t i = 0; i < e->nr; i++) {
                const char *next = item + strlen(item) + 1;

                /* of two with one name the last counts */
                if (strchr(item, '=') && !is_among(item, next, e->nr - i - 1) && !add(new, item))
                        return false;
                item = next;
        }
        current = !current;
        return true;
}

uint32_t environment_complete(const char **env, uint32_t n)
{
        const struct list *l = &lists[current];
        const char *item = l->strings;
        uint32_t own = n;

        for (uint32_t i = 0; i < l->nr; i++, item += strlen(item) + 1) {
                uint32_t k = 0;

                while (k < own && !has_same_name(item, env[k]))
                        k++;
                if (k == own)
                        env[n++] = item;
        }
        env[n] = NULL;
        return n;
}

static const char *find_variable(const char *const *env, const char *name)
{
        size_t len = strlen(name);

        for (; *env; env++) {
                if (!strncmp(*env, name, len))
                        return *env + len;
        }
        return NULL;
}

const char *environment_finish(const char **env, uint32_t n, const char *home)
{
        static char variable[sizeof(HOME_PREFIX) + ENVIRONMENT_HOME_MAX];

        if (!find_variable(env, "PATH="))
                env[n++] = DEFAULT_PATH;
        env[n] = NULL;
        if (!find_variable(env, HOME_PREFIX)) {
                memcpy(variable, HOME_PREFIX, sizeof(HOME_PREFIX));
                memcpy(variable + sizeof(HOME_PREFIX) - 1, home, strlen(home) + 1);
                env[n++] = variable;
        }
        env[n] = NULL;
        return find_variable(env, "PATH=");
}
