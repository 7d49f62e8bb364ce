/*
 * Variables and resource limits from options and files.
 * Input:  the command line and files of the user.
 * Runs:   the tool's only thread.
 * Limits: FILE_MAX bytes of a file; the protocol's own when the request is built.
 */
#include "cli/env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/cli.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/io.h"
#include "vmm/base/parse.h"

#define FILE_MAX (1u << 20)

void env_fini(struct env *e)
{
        for (size_t i = 0; i < e->nr; i++)
                free(e->items[i]);
        free(e->items);
        *e = (struct env){ 0 };
}

/* Takes @item over. */
static int put(struct env *e, char *item, struct problem *problem)
{
        size_t name = (size_t)(strchr(item, '=') - item) + 1;
        char **items;

        for (size_t i = 0; i < e->nr; i++) {
                if (!strncmp(e->items[i], item, name)) {
                        free(e->items[i]);
                        e->items[i] = item;
                        return 0;
                }
        }
        items = reallocarray(e->items, e->nr + 2, sizeof(*items));
        if (!items) {
                free(item);
                return problem_set(problem, CLI_FAILED, "out of memory");
        }
        e->items = items;
        items[e->nr++] = item;
        items[e->nr] = NULL;
        return 0;
}

int env_add(struct env *e, const char *item, const char *where, struct problem *problem)
{
        const char *value = getenv(item);
        char *copy = NULL;

        if (!*item || *item == '=')
                return problem_set(problem, CLI_FAILED, "%s %.64s: write NAME=VALUE or NAME", where, item);
        if (strchr(item, '='))
                copy = strdup(item);
        else if (!value)
                return 0;
        else if (asprintf(&copy, "%s=%s", item, value) < 0)
                copy = NULL;
        return copy ? put(e, copy, problem) : problem_set(problem, CLI_FAILED, "out of memory");
}

int env_add_file(struct env *e, const char *path, struct problem *problem)
{
        cleanup(freep) char *text = NULL;
        int r = io_read_file(path, FILE_MAX, &text);
        unsigned number = 1;
        char where[300];

        if (r < 0)
                return problem_set(problem, CLI_FAILED, "--env-file %.200s: %s", path, strerror(-r));
        for (char *line = text, *next; line; line = next, number++) {
                next = strchr(line, '\n');
                if (next)
                        *next++ = 0;
                line += strspn(line, " \t");
                line[strcspn(line, "\r")] = 0;
                if (!*line || *line == '#')
                        continue;
                snprintf(where, sizeof(where), "--env-file %.200s, line %u:", path, number);
                if (strcspn(line, " \t") < strcspn(line, "="))
                        return problem_set(problem, CLI_FAILED, "%s a name has no blanks: %.64s", where,
                                           line);
                if (env_add(e, line, where, problem))
                        return -1;
        }
        return 0;
}

static const struct {
        const char *name;
        uint32_t resource;
} limits[] = {
        { "as", RLIMIT_AS },           { "core", RLIMIT_CORE },         { "cpu", RLIMIT_CPU },
        { "data", RLIMIT_DATA },       { "fsize", RLIMIT_FSIZE },       { "locks", RLIMIT_LOCKS },
        { "memlock", RLIMIT_MEMLOCK }, { "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE },
        { "nofile", RLIMIT_NOFILE },   { "nproc", RLIMIT_NPROC },       { "rss", RLIMIT_RSS },
        { "rtprio", RLIMIT_RTPRIO },   { "rttime", RLIMIT_RTTIME },     { "sigpending", RLIMIT_SIGPENDING },
        { "stack", RLIMIT_STACK },
};

static bool find_limit(const char *name, uint32_t *ret, const char **ret_closest)
{
        const char *names[array_size(limits) + 1] = { 0 };

        for (size_t i = 0; i < array_size(limits); i++) {
                names[i] = limits[i].name;
                if (!strcmp(name, limits[i].name)) {
                        *ret = limits[i].resource;
                        return true;
                }
        }
        *ret_closest = parse_closest(name, names);
        return false;
}

static bool parse_limit(const char *text, uint64_t *ret)
{
        if (strcmp(text, "unlimited") && strcmp(text, "-1"))
                return parse_u64(text, ret);
        *ret = UINT64_MAX; /* RLIM_INFINITY of a 64-bit Linux */
        return true;
}

int env_limit(const char *text, struct protocol_rlimit *ret, struct problem *problem)
{
        const char *closest = NULL;
        char words[128], *soft, *hard;

        snprintf(words, sizeof(words), "%s", text);
        soft = strchr(words, '=');
        if (!soft || strlen(text) >= sizeof(words))
                return problem_set(problem, CLI_FAILED, "--ulimit %.64s: write NAME=SOFT[:HARD]", text);
        *soft++ = 0;
        hard = strchr(soft, ':');
        if (hard)
                *hard++ = 0;
        if (!find_limit(words, &ret->resource, &closest))
                return problem_set(problem, CLI_FAILED, "--ulimit %.64s: there is no limit %s%s%s%s", text,
                                   words, closest ? ": did you mean " : "", closest ? closest : "",
                                   closest ? "?" : "; nofile, nproc, core, as, … are");
        if (!parse_limit(soft, &ret->soft) || (hard && !parse_limit(hard, &ret->hard)))
                return problem_set(problem, CLI_FAILED, "--ulimit %.64s: a limit is a number or unlimited",
                                   text);
        if (!hard)
                ret->hard = ret->soft;
        if (ret->soft > ret->hard)
                return problem_set(problem, CLI_FAILED,
                                   "--ulimit %.64s: the soft limit is above the hard one", text);
        return 0;
}
