/*
 * The agent's small parts: settings, users, numbers and texts, held bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/held.h"
#include "guest/settings.h"
#include "guest/text.h"
#include "guest/user.h"
#include "tests/unit/run.h"

START_TEST(test_settings)
{
        static const struct {
                const char *cmdline, *root, *fstype;
                bool overlay, once;
        } rows[] = {
                { "", "", "", true, false },
                { "quiet vmlet.once\n", "", "", true, true },
                { "vmlet.overlay=0 vmlet.root=/dev/vdb vmlet.fstype=erofs", "/dev/vdb", "erofs", false,
                  false },
                { "vmlet.overlay=1", "", "", true, false },
                { "vmlet.overlay= vmlet.onceagain vmlet.unknown=1 novmlet.once", "", "", true, false },
                { "vmlet.root=/dev/a vmlet.root=/dev/b", "/dev/b", "", true, false },
                { "  vmlet.once  ", "", "", true, true },
                { "vmlet.fstype=0123456789abcde", "", "0123456789abcde", true, false },
                { "vmlet.fstype=0123456789abcdef", "", "", true, false },
                { "vmlet. vmlet", "", "", true, false },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct settings s;

                settings_parse(rows[i].cmdline, strlen(rows[i].cmdline), &s);
                ck_assert_str_eq(s.root, rows[i].root);
                ck_assert_str_eq(s.fstype, rows[i].fstype);
                ck_assert_msg(s.overlay == rows[i].overlay && s.once == rows[i].once, "%s", rows[i].cmdline);
        }
}
END_TEST

START_TEST(test_settings_of_sandboxes)
{
        static const struct {
                const char *cmdline, *upper, *hostname;
                uint32_t pids;
        } rows[] = {
                { "", "", "", 0 },
                { "vmlet.upper=/dev/vdb vmlet.hostname=a.b vmlet.pids=100", "/dev/vdb", "a.b", 100 },
                { "vmlet.pids=4194304", "", "", 4194304 },
                { "vmlet.pids=4194305", "", "", 0 },
                { "vmlet.pids= vmlet.upper= vmlet.hostname=", "", "", 0 },
                { "vmlet.pids=-1 vmlet.pids=1x", "", "", 0 },
        };
        char line[128] = "vmlet.hostname=";
        struct settings s;

        for (size_t i = 0; i < array_size(rows); i++) {
                settings_parse(rows[i].cmdline, strlen(rows[i].cmdline), &s);
                ck_assert_str_eq(s.upper, rows[i].upper);
                ck_assert_str_eq(s.hostname, rows[i].hostname);
                ck_assert_uint_eq(s.pids, rows[i].pids);
        }
        memset(line + 15, 'h', 65);
        settings_parse(line, 15 + 64, &s); /* as long as the kernel takes it */
        ck_assert_uint_eq(strlen(s.hostname), 64);
        settings_parse(line, 15 + 65, &s);
        ck_assert_str_eq(s.hostname, "");
}
END_TEST

START_TEST(test_settings_of_networks)
{
        static const char *const bad[] = {
                "vmlet.net4=",
                "vmlet.net4=10.0.2.15",
                "vmlet.net4=10.0.2.15/24",
                "vmlet.net4=10.0.2.15/24,",
                "vmlet.net4=10.0.2.15/33,10.0.2.2",
                "vmlet.net4=10.0.2.15/,10.0.2.2",
                "vmlet.net4=10.0.2.15/24,fd00::2",
                "vmlet.net4=10.0.2.15/24,10.0.2.2,",
                "vmlet.net6=fd00::15/129,fd00::2",
                "vmlet.net6=fd00::15/64,10.0.2.2",
        };
        static const char good[] = "vmlet.net4=10.0.2.15/32,10.0.2.2 vmlet.net6=fd00:0:0:2::15/128,fd00::2 "
                                   "vmlet.net4=garbage";
        struct settings s;

        for (size_t i = 0; i < array_size(bad); i++) {
                settings_parse(bad[i], strlen(bad[i]), &s);
                ck_assert_msg(!s.net[0].family && !s.net[1].family, "%s", bad[i]);
        }
        settings_parse(good, strlen(good), &s);
        ck_assert(s.net[0].family == AF_INET && s.net[0].prefix == 32);
        ck_assert(!memcmp(s.net[0].address, (const uint8_t[]){ 10, 0, 2, 15 }, 4));
        ck_assert(!memcmp(s.net[0].gateway, (const uint8_t[]){ 10, 0, 2, 2 }, 4));
        ck_assert_str_eq(s.net[0].resolver, "10.0.2.2");
        ck_assert(s.net[1].family == AF_INET6 && s.net[1].prefix == 128);
        ck_assert(!s.net[1].address[8] && s.net[1].address[15] == 0x15 && s.net[1].address[7] == 2);
        ck_assert_str_eq(s.net[1].resolver, "fd00::2");
}
END_TEST

START_TEST(test_numbers)
{
        static const struct {
                const char *s;
                bool ok;
        } rows[] = {
                { "0", true },           { "4294967294", true },
                { "4294967295", false }, { "42949672940", false },
                { "", false },           { "-1", false },
                { "1x", false },         { " 1", false },
                { "0000000001", true },  { "00000000001", false },
        };
        uint32_t n;

        for (size_t i = 0; i < array_size(rows); i++)
                ck_assert_msg(text_number(rows[i].s, strlen(rows[i].s), 0xfffffffe, &n) == rows[i].ok, "%s",
                              rows[i].s);
}
END_TEST

START_TEST(test_text)
{
        static char longest[2 * PROTOCOL_TEXT_MAX];
        struct text t;

        text_set(&t, "a", "", "bc");
        ck_assert_str_eq(t.s, "abc");
        memset(longest, 'x', sizeof(longest) - 1);
        text_set(&t, "a", longest, "b");
        ck_assert_uint_eq(strlen(t.s), PROTOCOL_TEXT_MAX);
}
END_TEST

static void scan(void (*fn)(const char *, size_t, struct user_query *, struct user *), const char *line,
                 struct user_query *q, struct user *u)
{
        fn(line, strlen(line), q, u);
}

START_TEST(test_passwd_lines)
{
        static const struct {
                const char *line;
                bool found;
        } rows[] = {
                { "bob:x:1000:100:Bob:/home/bob:/bin/sh", true },
                { "bob:x:1000:100:Bob:/home/bob", true },
                { "bobby:x:1000:100:Bob:/home/bob:/bin/sh", false },
                { "bo:x:1000:100:Bob:/home/bob:/bin/sh", false },
                { "bob:x:1000:100:Bob", false },
                { "bob:x::100:Bob:/home/bob:/bin/sh", false },
                { "bob:x:-1:100:Bob:/home/bob:/bin/sh", false },
                { "bob:x:4294967295:100:Bob:/home/bob:/bin/sh", false },
                { "", false },
                { ":::::::::::", false },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct user_query q = { .user = "bob", .user_len = 3 };
                struct user u = { .home = "/" };

                scan(user_scan_passwd, rows[i].line, &q, &u);
                ck_assert_msg(q.user_found == rows[i].found, "%s", rows[i].line);
                if (!q.user_found)
                        continue;
                ck_assert_uint_eq(u.uid, 1000);
                ck_assert_uint_eq(u.gid, 100);
                ck_assert_str_eq(u.home, "/home/bob");
                ck_assert_str_eq(q.name, "bob");
        }
}
END_TEST

START_TEST(test_passwd_number)
{
        struct user_query q = {
                .user = "7", .user_len = 1, .user_is_number = true, .group = "g", .group_len = 1
        };
        struct user u = { .uid = 7, .gid = 55 };
        char home[400];

        scan(user_scan_passwd, "x:x:8:9:::", &q, &u);
        ck_assert(!q.user_found);
        memset(home, 'h', sizeof(home));
        memcpy(home, "lp:x:7:9::/", 11);
        home[sizeof(home) - 1] = 0;
        scan(user_scan_passwd, home, &q, &u); /* a home that is too long is left aside */
        ck_assert(q.user_found);
        ck_assert_uint_eq(u.gid, 55);
        ck_assert_str_eq(u.home, "");
}
END_TEST

START_TEST(test_group_lines)
{
        struct user_query q = {
                .user = "bob", .user_len = 3, .group = "wheel", .group_len = 5, .name = "bob"
        };
        struct user u = { .gid = 1 };

        scan(user_scan_group, "whee:x:9:", &q, &u);
        scan(user_scan_group, "wheel:x", &q, &u);
        scan(user_scan_group, "wheel:x:bad:", &q, &u);
        ck_assert(!q.group_found);
        scan(user_scan_group, "wheel:x:10:root,bobby", &q, &u);
        ck_assert(q.group_found);
        ck_assert_uint_eq(u.gid, 10);
        ck_assert_uint_eq(u.nr_groups, 0);
        scan(user_scan_group, "a:x:11:bob", &q, &u);
        scan(user_scan_group, "b:x:12:root,bob,x", &q, &u);
        scan(user_scan_group, "b2:x:12:bob", &q, &u);
        ck_assert_uint_eq(u.nr_groups, 2);
        for (uint32_t i = 0; i < 2 * USER_GROUPS_MAX; i++) {
                char line[32];

                snprintf(line, sizeof(line), "g:x:%u:bob", 100 + i);
                scan(user_scan_group, line, &q, &u);
        }
        ck_assert_uint_eq(u.nr_groups, USER_GROUPS_MAX);
}
END_TEST

START_TEST(test_find_user)
{
        struct user u;
        struct text why;

        ck_assert(user_find("", &u, &why));
        ck_assert_str_eq(u.home, "/root");
        ck_assert(user_find("root", &u, &why));
        ck_assert_uint_eq(u.uid, 0);
        ck_assert_uint_eq(u.nr_groups, 1);
        ck_assert(user_find(":daemon", &u, &why));
        ck_assert_uint_eq(u.uid, 0);
        ck_assert_uint_eq(u.gid, 1);
        ck_assert(user_find("54321", &u, &why)); /* nobody has it: a number needs no name */
        ck_assert_uint_eq(u.uid, 54321);
        ck_assert_uint_eq(u.gid, 0);
        ck_assert_str_eq(u.home, "/");
        ck_assert(user_find("54321:77", &u, &why));
        ck_assert_uint_eq(u.gid, 77);
        ck_assert(!user_find("root:", &u, &why));
        ck_assert(!user_find("nobody-has-this-name", &u, &why));
        ck_assert_ptr_nonnull(strstr(why.s, "nobody-has-this-name"));
}
END_TEST

START_TEST(test_held)
{
        char bytes[8192], got[16384];
        struct held h = { 0 };
        size_t written, total = 0;
        int pipes[2];

        memset(bytes, 'a', sizeof(bytes));
        ck_assert_int_eq(pipe2(pipes, O_NONBLOCK | O_CLOEXEC), 0);
        ck_assert_int_eq(fcntl(pipes[1], F_SETPIPE_SZ, 4096), 4096);
        ck_assert(held_add(&h, bytes, sizeof(bytes)));
        ck_assert(held_add(&h, "tail", 4));
        ck_assert_int_eq(held_write(&h, pipes[1], &written), 0); /* it does not take all */
        ck_assert_uint_eq(written, 4096);
        ck_assert(held_add(&h, bytes, 4096)); /* moves up what is left */
        for (;;) {
                ssize_t n = read(pipes[0], got, sizeof(got));

                ck_assert_int_gt(n, 0);
                total += (size_t)n;
                if (held_write(&h, pipes[1], &written) == 1)
                        break;
        }
        ck_assert_ptr_null(h.bytes); /* nothing is kept when nothing waits */
        total += (size_t)read(pipes[0], got, sizeof(got));
        ck_assert_uint_eq(total, sizeof(bytes) + 4 + 4096);
        ck_assert(held_add(&h, "x", 1));
        close(pipes[0]);
        signal(SIGPIPE, SIG_IGN);
        ck_assert_int_eq(held_write(&h, pipes[1], &written), -1);
        held_free(&h);
        held_free(&h);
        close(pipes[1]);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_settings,
                test_settings_of_sandboxes,
                test_settings_of_networks,
                test_numbers,
                test_text,
                test_passwd_lines,
                test_passwd_number,
                test_group_lines,
                test_find_user,
                test_held,
        };

        return run_tests("parts", tests, array_size(tests));
}
