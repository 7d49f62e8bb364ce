/*
 * Finding a sandbox.
 * Input:  a word of the user; the folders of his own.
 * Runs:   any thread of the tool.
 * Limits: NAMES_MAX names are looked at for a suggestion.
 */
#include "sandbox/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"
#include "vmm/base/parse.h"

#define NAMES_MAX 1024u

static bool is_hex(const char *word, size_t *ret_len)
{
        *ret_len = strspn(word, "0123456789abcdef");
        return *ret_len && !word[*ret_len];
}

bool sandbox_is_id(const char *word)
{
        size_t len;

        return is_hex(word, &len) && len == SANDBOX_ID_SIZE - 1;
}

bool sandbox_is_name(const char *word)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
        size_t len = strspn(word, letters);

        return len && !word[len] && len <= SANDBOX_NAME_MAX && !strchr("_.-", *word) && !sandbox_is_id(word);
}

/* Addresses hold 107 characters; a longer path is reached through the folder's descriptor. */
int sandbox_set_sockets(struct sandbox *s, struct problem *p)
{
        char folder[SANDBOX_FOLDER_MAX];

        snprintf(folder, sizeof(folder), "%s", s->run);
        if (strlen(folder) + sizeof("/control") > SANDBOX_SOCKET_SIZE) {
                fd_closep(&s->run_fd);
                s->run_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (s->run_fd < 0 && errno != ENOENT)
                        return problem_set(p, SANDBOX_FAILED, "cannot open %.200s: %s", folder,
                                           strerror(errno));
                snprintf(folder, sizeof(folder), "/proc/self/fd/%d", s->run_fd);
        }
        snprintf(s->agent, sizeof(s->agent), "%.90s/agent", folder);
        snprintf(s->control, sizeof(s->control), "%.90s/control", folder);
        return 0;
}

int sandbox_at(const struct paths *paths, const char *id, bool temporary, struct sandbox *ret,
               struct problem *p)
{
        *ret = (struct sandbox){ .temporary = temporary, .run_fd = -1 };
        snprintf(ret->id, sizeof(ret->id), "%s", id);
        snprintf(ret->run, sizeof(ret->run), "%s/%s", paths->run, id);
        snprintf(ret->folder, sizeof(ret->folder), "%s%s/%s", temporary ? paths->run : paths->data,
                 temporary ? "" : "/sandboxes", id);
        if (temporary)
                snprintf(ret->beside, sizeof(ret->beside), "%s/sandboxes/.tmp-%s", paths->data, id);
        else
                memcpy(ret->beside, ret->run, sizeof(ret->beside));
        return sandbox_set_sockets(ret, p);
}

void sandbox_fini(struct sandbox *s)
{
        fd_closep(&s->run_fd);
}

/* Return: 1 and *ret if there is such a sandbox, 0, or -1. */
static int try_id(const struct paths *paths, const char *id, struct sandbox *ret, struct problem *p)
{
        char path[SANDBOX_FOLDER_MAX + 32];
        struct stat st;

        snprintf(path, sizeof(path), "%s/sandboxes/%s/config.json", paths->data, id);
        if (!stat(path, &st))
                return sandbox_at(paths, id, false, ret, p) ? -1 : 1;
        snprintf(path, sizeof(path), "%s/%s/config.json", paths->run, id);
        if (!stat(path, &st))
                return sandbox_at(paths, id, true, ret, p) ? -1 : 1;
        return 0;
}

static int try_name(const struct paths *paths, const char *name, struct sandbox *ret, struct problem *p)
{
        char path[PATHS_MAX + 32 + SANDBOX_NAME_MAX], id[SANDBOX_ID_SIZE + 1];
        ssize_t n;
        int r;

        if (!sandbox_is_name(name))
                return 0;
        snprintf(path, sizeof(path), "%s/sandboxes/by-name/%s", paths->data, name);
        n = readlink(path, id, sizeof(id));
        if (n != SANDBOX_ID_SIZE - 1)
                return 0;
        id[n] = 0;
        r = sandbox_is_id(id) ? try_id(paths, id, ret, p) : 0;
        if (r > 0)
                snprintf(ret->name, sizeof(ret->name), "%s", name);
        return r;
}

/* Return: how many sandboxes in @folder have IDs that begin with @word; the last one in @ret_id. */
static unsigned match(const char *folder, const char *word, char *ret_id)
{
        DIR *d = opendir(folder);
        const struct dirent *e;
        unsigned n = 0;

        while (d && (e = readdir(d))) {
                char config[SANDBOX_ID_SIZE + 16];

                if (!sandbox_is_id(e->d_name) || strncmp(e->d_name, word, strlen(word)))
                        continue;
                /* In the runtime folder are also the sockets of those whose folder is elsewhere. */
                snprintf(config, sizeof(config), "%.12s/config.json", e->d_name);
                if (faccessat(dirfd(d), config, F_OK, 0) < 0)
                        continue;
                memcpy(ret_id, e->d_name, SANDBOX_ID_SIZE);
                n++;
        }
        if (d)
                closedir(d);
        return n;
}

static int try_beginning(const struct paths *paths, const char *word, struct sandbox *ret, struct problem *p)
{
        char folder[PATHS_MAX + 16], id[SANDBOX_ID_SIZE] = "";
        unsigned n;
        size_t len;

        if (!is_hex(word, &len) || len >= SANDBOX_ID_SIZE - 1)
                return 0;
        snprintf(folder, sizeof(folder), "%s/sandboxes", paths->data);
        n = match(folder, word, id);
        n += match(paths->run, word, id);
        if (n > 1)
                return problem_set(p, SANDBOX_FAILED, "sandbox '%s': %u IDs begin so; give more of it", word,
                                   n);
        return n ? try_id(paths, id, ret, p) : 0;
}

static int not_found(const struct paths *paths, const char *word, struct problem *p)
{
        char folder[PATHS_MAX + 32];
        const char *names[NAMES_MAX + 1], *meant;
        const struct dirent *e;
        unsigned n = 0;
        DIR *d;

        snprintf(folder, sizeof(folder), "%s/sandboxes/by-name", paths->data);
        d = opendir(folder);
        while (d && n < NAMES_MAX && (e = readdir(d)))
                if (sandbox_is_name(e->d_name) && (names[n] = strdup(e->d_name)))
                        n++;
        if (d)
                closedir(d);
        names[n] = NULL;
        meant = parse_closest(word, names);
        if (meant)
                (void)!problem_set(p, SANDBOX_FAILED, "sandbox '%.64s' not found; did you mean %s?", word,
                                   meant);
        else
                (void)!problem_set(p, SANDBOX_FAILED, "sandbox '%.64s' not found; vmlet ps -a lists all",
                                   word);
        while (n)
                freep(&names[--n]);
        return -1;
}

int sandbox_find(const char *word, struct sandbox *ret, struct problem *p)
{
        struct paths paths;
        int r;

        *ret = SANDBOX_NONE;
        if (paths_find(&paths, p))
                return -1;
        r = try_name(&paths, word, ret, p);
        if (!r && sandbox_is_id(word))
                r = try_id(&paths, word, ret, p);
        if (!r)
                r = try_beginning(&paths, word, ret, p);
        if (!r)
                return not_found(&paths, word, p);
        return r < 0 ? -1 : 0;
}
