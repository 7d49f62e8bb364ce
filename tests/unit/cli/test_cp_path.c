/*
 * Where copies go.
 */
#include "cli/cp_path.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/run.h"

START_TEST(test_split)
{
        static const struct {
                const char *word, *sandbox, *path; /* sandbox NULL: a path of this host */
        } rows[] = {
                { "box:/etc/passwd", "box", "/etc/passwd" },
                { "box:", "box", "/" },
                { "box:a:b", "box", "a:b" },
                { "./a:b", NULL, NULL },
                { "/tmp/a:b", NULL, NULL },
                { ":x", NULL, NULL },
                { "plain", NULL, NULL },
                { "dir/a:b", NULL, NULL },
                { "-", NULL, NULL },
                { "", NULL, NULL },
        };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        char sandbox[CP_PATH_MAX], word[256];
        const char *path;
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);

        for (size_t i = 0; i < array_size(rows); i++) {
                bool split = cp_path_split(rows[i].word, sandbox, &path);

                ck_assert_msg(split == !!rows[i].sandbox, "%s", rows[i].word);
                if (split)
                        ck_assert_str_eq(sandbox, rows[i].sandbox);
                if (split)
                        ck_assert_str_eq(path, rows[i].path);
        }
        snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/vmlet-test-cp:%d", getpid());
        ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
        snprintf(word, sizeof(word), "%s:/x", address.sun_path);
        ck_assert(cp_path_split(word, sandbox, &path));
        ck_assert_str_eq(sandbox, address.sun_path);
        unlink(address.sun_path);
        close(fd);
}
END_TEST

START_TEST(test_plan)
{
        enum { NONE, FILE_, FOLDER };
        static const struct {
                const char *from;
                bool from_is_folder;
                const char *to;
                int to_is;
                const char *folder, *top; /* folder NULL: refused; top NULL: the contents */
        } rows[] = {
                { "/a/f", false, "/d", FOLDER, "/d", "f" },   { "/a/f", false, "/d/", FOLDER, "/d/", "f" },
                { "/a/f", false, "/d/g", NONE, "/d/", "g" },  { "/a/f", false, "/d/g", FILE_, "/d/", "g" },
                { "/a/f", false, "g", NONE, ".", "g" },       { "/a/f", false, "/d/g/", NONE, NULL, NULL },
                { "/a/d", true, "/e", FOLDER, "/e", "d" },    { "/a/d/", true, "/e", FOLDER, "/e", "d" },
                { "/a/d/.", true, "/e", FOLDER, "/e", NULL }, { ".", true, "/e", FOLDER, "/e", NULL },
                { "..", true, "/e", FOLDER, "/e", NULL },     { "/", true, "/e", FOLDER, "/e", NULL },
                { "/a/d", true, "/e/n", NONE, "/e/", "n" },   { "/a/d/.", true, "/e/n/", NONE, "/e/", "n" },
                { "/a/d", true, "/e/n", FILE_, NULL, NULL },  { "/a/d", true, "..", NONE, NULL, NULL },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                const struct cp_side to = { rows[i].to, rows[i].to_is != NONE, rows[i].to_is == FOLDER };
                struct problem problem = { 0 };
                struct cp_plan plan;
                int r = cp_plan(rows[i].from, rows[i].from_is_folder, &to, &plan, &problem);

                ck_assert_msg(r == (rows[i].folder ? 0 : -1), "%zu: %s", i, problem.text);
                if (r)
                        continue;
                ck_assert_str_eq(plan.folder, rows[i].folder);
                ck_assert_msg(plan.contents == !rows[i].top, "%zu", i);
                if (rows[i].top)
                        ck_assert_str_eq(plan.top, rows[i].top);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_split, test_plan };

        return run_tests("cp_path", tests, array_size(tests));
}
