/*
 * Finding a sandbox by what a person types, and where everything lies.
 */
#include "sandbox/sandbox.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "tests/unit/sandbox/folders.h"
#include "vmm/base/uds.h"

static struct sandbox sandbox;
static struct problem problem;

static int find(const char *word)
{
        problem = (struct problem){ 0 };
        sandbox_fini(&sandbox);
        return sandbox_find(word, &sandbox, &problem);
}

static void name(const char *name, const char *id)
{
        char path[256];

        snprintf(path, sizeof(path), "%s/data/vmlet/sandboxes/by-name/%s", folders_top, name);
        ck_assert_int_eq(symlink(id, path), 0);
}

static void make_some(void)
{
        folders_make();
        folders_add("data/vmlet/sandboxes/0123456789ab");
        folders_write("data/vmlet/sandboxes/0123456789ab/config.json", "{}");
        folders_add("data/vmlet/sandboxes/0123ffffffff");
        folders_write("data/vmlet/sandboxes/0123ffffffff/config.json", "{}");
        folders_add("data/vmlet/sandboxes/by-name");
        folders_add("run/vmlet/0123456789ab");
        folders_add("run/vmlet/abcdefabcdef");
        folders_add("run/vmlet/eeeeeeeeeeee"); /* without config.json: sockets of one that is gone */
        folders_write("run/vmlet/abcdefabcdef/config.json", "{}");
        name("foo", "0123456789ab");
        name("dangling", "999999999999");
        name("hostile", "../../../../etc");
        name("abc", "0123ffffffff");
        sandbox = SANDBOX_NONE;
}

START_TEST(test_find)
{
        make_some();
        ck_assert_int_eq(find("foo"), 0);
        ck_assert_str_eq(sandbox.id, "0123456789ab");
        ck_assert_str_eq(sandbox.name, "foo");
        ck_assert_ptr_nonnull(strstr(sandbox.folder, "/data/vmlet/sandboxes/0123456789ab"));
        ck_assert_ptr_nonnull(strstr(sandbox.agent, "/run/vmlet/0123456789ab/agent"));
        ck_assert_int_eq(find("0123456789ab"), 0);
        ck_assert_int_eq(find("01234"), 0);
        ck_assert(!sandbox.temporary);
        ck_assert_int_eq(find("abcd"), 0); /* a beginning */
        ck_assert(sandbox.temporary);
        ck_assert_ptr_nonnull(strstr(sandbox.folder, "/run/vmlet/abcdefabcdef"));
        ck_assert_int_eq(find("abc"), 0); /* a name comes first */
        ck_assert_str_eq(sandbox.id, "0123ffffffff");
        sandbox_fini(&sandbox);
        folders_remove();
}
END_TEST

START_TEST(test_not_found)
{
        static const struct {
                const char *word, *text;
        } rows[] = {
                { "fo", "sandbox 'fo' not found; did you mean foo?" },
                { "0123", "2 IDs begin so" },
                { "eee", "not found" },
                { "dangling", "not found" },
                { "hostile", "not found" },
                { "", "not found" },
                { "..", "not found" },
                { "a/b", "not found" },
                { "999999999999", "not found" },
                { "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz",
                  "not found" },
        };

        make_some();
        for (size_t i = 0; i < array_size(rows); i++) {
                ck_assert_int_eq(find(rows[i].word), -1);
                ck_assert_int_eq(problem.status, SANDBOX_FAILED);
                ck_assert_msg(strstr(problem.text, rows[i].text), "%s: %s", rows[i].word, problem.text);
        }
        folders_remove();
        ck_assert_int_eq(find("foo"), -1); /* nothing at all is there yet */
}
END_TEST

START_TEST(test_names)
{
        char name[80];

        memset(name, 'a', sizeof(name));
        name[63] = 0;
        ck_assert(sandbox_is_name(name));
        name[63] = 'a', name[64] = 0;
        ck_assert(!sandbox_is_name(name));
        ck_assert(sandbox_is_name("A.b-c_9") && sandbox_is_name("0") && sandbox_is_name("abcdefabcdeg"));
        ck_assert(!sandbox_is_name("") && !sandbox_is_name("-a") && !sandbox_is_name(".a") &&
                  !sandbox_is_name("a b") && !sandbox_is_name("a/b") && !sandbox_is_name("ä") &&
                  !sandbox_is_name("abcdefabcdef"));
}
END_TEST

START_TEST(test_a_long_path_can_be_connected_to)
{
        struct sandbox other = SANDBOX_NONE;
        struct paths paths;
        char below[160] = "run", deep[200];
        struct uds uds = { 0 };
        int listener = -1, fd;

        folders_make();
        while (strlen(below) < 100)
                strcat(below, "/a-folder-deep-down");
        folders_set("XDG_RUNTIME_DIR", below);
        snprintf(deep, sizeof(deep), "%s/vmlet/0123456789ab", below);
        folders_add(deep);
        ck_assert_int_eq(paths_find(&paths, &problem), 0);
        ck_assert_int_eq(sandbox_at(&paths, "0123456789ab", true, &other, &problem), 0);
        ck_assert_int_ge(other.run_fd, 0);
        ck_assert_int_eq(chdir(other.run), 0);
        ck_assert_int_eq(uds_listen("test", "agent", 1, &problem, &uds, &listener), 0);
        fd = uds_connect(other.agent);
        ck_assert_int_ge(fd, 0);
        close(fd);
        close(listener);
        sandbox_fini(&other);
        ck_assert_int_eq(chdir("/"), 0);
        folders_remove();
}
END_TEST

START_TEST(test_paths)
{
        struct paths paths;
        char text[2000];

        folders_make();
        ck_assert_int_eq(paths_find(&paths, &problem), 0);
        ck_assert_ptr_nonnull(strstr(paths.data, "/data/vmlet"));
        ck_assert_ptr_nonnull(strstr(paths.config, "/config/vmlet"));
        setenv("XDG_RUNTIME_DIR", "relative", 1);
        setenv("XDG_CACHE_HOME", "", 1);
        unsetenv("XDG_DATA_HOME");
        ck_assert_int_eq(paths_find(&paths, &problem), 0);
        ck_assert_ptr_nonnull(strstr(paths.cache, "/home/.cache/vmlet"));
        if (!geteuid()) {
                ck_assert_str_eq(paths.run, "/run/vmlet");
                ck_assert_str_eq(paths.data, "/var/lib/vmlet");
        }
        setenv("VMLET_CACHE", "/x", 1);
        ck_assert_int_eq(paths_find(&paths, &problem), 0);
        ck_assert_str_eq(paths.cache, "/x");
        unsetenv("HOME");
        unsetenv("VMLET_CACHE");
        ck_assert_int_eq(paths_find(&paths, &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "HOME"));
        memset(text, 'a', sizeof(text));
        text[0] = '/', text[sizeof(text) - 1] = 0;
        setenv("XDG_CACHE_HOME", text, 1);
        problem = (struct problem){ 0 };
        ck_assert_int_eq(paths_find(&paths, &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "more than"));
        folders_remove();
}
END_TEST

START_TEST(test_folders_that_cannot_be_trusted)
{
        char path[200], other[200];
        struct stat st;

        folders_make();
        snprintf(path, sizeof(path), "%s/a/b/c", folders_top);
        ck_assert_int_eq(paths_make_private(path, &problem), 0);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_mode & 07777, 0700);
        ck_assert_int_eq(paths_make_private(path, &problem), 0);
        snprintf(other, sizeof(other), "%s/link", folders_top);
        ck_assert_int_eq(symlink(path, other), 0);
        ck_assert_int_eq(paths_make(other, &problem), 0);
        ck_assert_int_eq(paths_make_private(other, &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "not a folder"));
        ck_assert_int_eq(chmod(path, 0755), 0);
        problem = (struct problem){ 0 };
        ck_assert_int_eq(paths_make_private(path, &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "chmod 700"));
        if (!geteuid()) {
                ck_assert_int_eq(chown(path, 12345, 12345), 0);
                problem = (struct problem){ 0 };
                ck_assert_int_eq(paths_make(path, &problem), -1);
                ck_assert_ptr_nonnull(strstr(problem.text, "belongs to"));
        }
        problem = (struct problem){ 0 };
        ck_assert_int_eq(paths_make("/proc/no/such", &problem), -1);
        folders_remove();
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_find,  test_not_found,
                                       test_names, test_a_long_path_can_be_connected_to,
                                       test_paths, test_folders_that_cannot_be_trusted };

        return run_tests("sandbox", tests, array_size(tests));
}
