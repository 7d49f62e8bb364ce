/*
 * docker's rules for the ends of a copy.
 * Input:  the command line (the user).
 * Runs:   the tool's only thread.
 * Limits: CP_PATH_MAX.
 */
#include "cli/cp_path.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

static bool is_socket(const char *path)
{
        struct stat st;

        return !stat(path, &st) && S_ISSOCK(st.st_mode);
}

bool cp_path_split(const char *word, char *sandbox, const char **ret_path)
{
        bool local = *word == '/' || *word == '.';

        for (const char *colon = strchr(word, ':'); colon; colon = strchr(colon + 1, ':')) {
                size_t len = (size_t)(colon - word);

                if (!len || len >= CP_PATH_MAX)
                        return false;
                memcpy(sandbox, word, len);
                sandbox[len] = 0;
                if (local ? is_socket(sandbox) : !strchr(sandbox, '/') || is_socket(sandbox)) {
                        *ret_path = colon[1] ? colon + 1 : "/";
                        return true;
                }
        }
        return false;
}

bool cp_path_is_folder(const char *path)
{
        size_t len = strlen(path);

        return len && (path[len - 1] == '/' || (len > 1 && !strcmp(path + len - 2, "/.")));
}

/* The last name of @path, and the folder that it is in. Return: false if it has none: "/", ".", "..", or too long. */
static bool split(const char *path, char folder[static CP_PATH_MAX], char name[static 256])
{
        size_t end = strlen(path), start;

        while (end > 1 && path[end - 1] == '/')
                end--;
        for (start = end; start && path[start - 1] != '/'; start--)
                continue;
        if (end - start > 255 || start >= CP_PATH_MAX)
                return false;
        memcpy(name, path + start, end - start);
        name[end - start] = 0;
        if (start)
                memcpy(folder, path, start);
        else
                memcpy(folder, ".", start = 1);
        folder[start] = 0;
        return *name && strcmp(name, ".") && strcmp(name, "..");
}

int cp_plan(const char *from, bool from_is_folder, const struct cp_side *to, struct cp_plan *ret,
            struct problem *problem)
{
        char folder[CP_PATH_MAX];
        bool named;

        *ret = (struct cp_plan){ 0 };
        if (strlen(to->path) >= CP_PATH_MAX)
                return problem_set(problem, CLI_FAILED, "a path of %zu characters is too long",
                                   strlen(to->path));
        if (to->exists && to->is_folder) {
                snprintf(ret->folder, sizeof(ret->folder), "%s", to->path);
                named = split(from, folder, ret->name);
                ret->contents = from_is_folder && !named;
                if (!named && !from_is_folder)
                        return problem_set(problem, CLI_FAILED, "%.300s: no name to copy it under", from);
                ret->top = ret->contents ? NULL : ret->name;
                return 0;
        }
        if (to->exists && from_is_folder)
                return problem_set(problem, CLI_FAILED,
                                   "%.300s: a folder cannot be copied over what is no folder", to->path);
        if (!from_is_folder && cp_path_is_folder(to->path))
                return problem_set(problem, CLI_FAILED, "%.300s: no such folder", to->path);
        if (!split(to->path, ret->folder, ret->name))
                return problem_set(problem, CLI_FAILED, "%.300s: no such folder", to->path);
        ret->top = ret->name;
        return 0;
}
