/*
 * The pool of control groups, in a folder that looks like one: files with texts as the kernel writes them.
 */
#include "guest/cgroup.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/run.h"

static char folder[64], top[96];

static void put_file(const char *path, const char *text)
{
        char whole[256];
        FILE *f;

        snprintf(whole, sizeof(whole), "%s/%s", top, path);
        f = fopen(whole, "w");
        ck_assert_ptr_nonnull(f);
        fputs(text, f);
        fclose(f);
}

/* What the kernel would put into a new group. */
static void fill(const struct cgroup *cg, unsigned long cpu_us, unsigned long memory)
{
        static const char *const names[] = { "cgroup.events",  "cpu.stat",      "memory.peak",
                                             "memory.current", "memory.events", "io.stat" };
        char texts[6][160], path[64];

        snprintf(texts[0], 160, "populated 0\nfrozen 0\n");
        snprintf(texts[1], 160, "usage_usec %lu\nuser_usec %lu\nsystem_usec %lu\n", 3 * cpu_us, 2 * cpu_us,
                 cpu_us);
        snprintf(texts[2], 160, "%lu\n", 2 * memory);
        snprintf(texts[3], 160, "%lu\n", memory);
        snprintf(texts[4], 160, "low 0\nhigh 0\nmax 0\noom 7\noom_kill %lu\noom_group_kill 9\n",
                 cpu_us / 100);
        snprintf(texts[5], 160, "254:0 rbytes=%lu wbytes=5 rios=1 wios=1\n254:16 rbytes=1 wbytes=2 rios=3\n",
                 memory);
        for (size_t i = 0; i < array_size(names); i++) {
                snprintf(path, sizeof(path), "user/%u/%s", cgroup_number(cg), names[i]);
                put_file(path, texts[i]);
        }
}

static void begin(void)
{
        strcpy(folder, "/tmp/vmlet-test-XXXXXX");
        ck_assert_ptr_nonnull(mkdtemp(folder));
        snprintf(top, sizeof(top), "%s/vmlet", folder);
        ck_assert_int_eq(mkdir(top, 0700), 0);
        snprintf(top, sizeof(top), "%s", folder);
        put_file("cgroup.procs", "");
        put_file("cgroup.subtree_control", "");
        snprintf(top, sizeof(top), "%s/vmlet", folder);
        put_file("cgroup.subtree_control", "");
        cgroup_init(top, 0);
}

static void end(void)
{
        char command[128];

        close(cgroup_user()); /* the agent keeps it for good */
        snprintf(command, sizeof(command), "rm -rf %s", folder);
        ck_assert_int_eq(system(command), 0);
}

START_TEST(test_counters)
{
        struct cgroup_usage u;
        struct cgroup *cg;

        begin();
        cg = cgroup_take();
        ck_assert_ptr_nonnull(cg);
        ck_assert_uint_eq(cgroup_number(cg), 1);
        ck_assert_int_ge(cgroup_folder(cg), 0);
        cgroup_started(cg);
        fill(cg, 100, 4096);
        ck_assert(cgroup_is_empty(cg));
        cgroup_read(cg, &u);
        ck_assert_uint_eq(u.user_us, 200);
        ck_assert_uint_eq(u.system_us, 100);
        ck_assert_uint_eq(u.peak_bytes, 8192);
        ck_assert_uint_eq(u.memory_bytes, 4096);
        ck_assert_uint_eq(u.oom_kills, 1);
        ck_assert_uint_eq(u.read_bytes, 4097);
        ck_assert_uint_eq(u.write_bytes, 7);
        cgroup_give_back(cg, true);

        /* The next has the same one, and counts from there. */
        ck_assert_ptr_eq(cgroup_take(), cg);
        ck_assert_uint_eq(cgroup_number(cg), 1);
        fill(cg, 150, 5000);
        cgroup_read(cg, &u);
        ck_assert_uint_eq(u.user_us, 100);
        ck_assert_uint_eq(u.memory_bytes, 904);
        ck_assert_uint_eq(u.peak_bytes, 10000 - 4096);
        ck_assert_uint_eq(u.oom_kills, 0);
        ck_assert_uint_eq(u.write_bytes, 0);
        cgroup_give_back(cg, false); /* what is broken is not used again, and numbers neither */
        ck_assert_ptr_eq(cgroup_take(), cg);
        ck_assert_uint_eq(cgroup_number(cg), 2);
        cgroup_give_back(cg, false);
        end();
}
END_TEST

START_TEST(test_strange_groups)
{
        struct cgroup_usage u;
        struct cgroup *cg;

        begin();
        cg = cgroup_take();
        cgroup_read(cg, &u); /* without any file */
        ck_assert_uint_eq(u.user_us + u.peak_bytes + u.oom_kills, 0);
        fill(cg, 1, 1);
        put_file("user/1/cgroup.events", "populated 1\nfrozen 0\n");
        ck_assert(!cgroup_is_empty(cg));
        put_file("user/1/cgroup.events", "populated 0\nfrozen 1\n");
        ck_assert(cgroup_is_empty(cg));
        cgroup_give_back(cg, true);        /* frozen: a command would stop before its program */
        for (uint32_t i = 2; i < 4; i++) { /* one with a limit: the next is not to live with it */
                ck_assert_ptr_eq(cgroup_take(), cg);
                ck_assert_uint_eq(cgroup_number(cg), i);
                fill(cg, 1, 1);
                put_file(i == 2 ? "user/2/memory.max" : "user/3/memory.high", "4096\n");
                cgroup_give_back(cg, true);
        }
        ck_assert_ptr_eq(cgroup_take(), cg);
        ck_assert_uint_eq(cgroup_number(cg), 4);
        put_file("user/4/cpu.stat", "user_usec 99999999999999999999999999\nsystem_usec x\n");
        cgroup_read(cg, &u);
        ck_assert_uint_eq(u.system_us, 0);
        cgroup_give_back(cg, false);
        end();
}
END_TEST

START_TEST(test_many_at_once)
{
        static struct cgroup *all[CGROUPS_MAX];

        begin();
        for (unsigned i = 0; i < CGROUPS_MAX; i++) {
                all[i] = cgroup_take();
                ck_assert_ptr_nonnull(all[i]);
                ck_assert_int_ge(cgroup_folder(all[i]), 0);
                cgroup_started(all[i]);
        }
        ck_assert_ptr_null(cgroup_take());
        for (unsigned i = 0; i < CGROUPS_MAX; i++)
                cgroup_give_back(all[i], true);
        /* the first are kept, the others removed */
        for (unsigned i = 0; i <= 32; i++) {
                ck_assert_ptr_eq(cgroup_take(), all[i]);
                ck_assert_uint_eq(cgroup_number(all[i]), i < 32 ? i + 1 : CGROUPS_MAX + 1);
        }
        for (unsigned i = 0; i <= 32; i++)
                cgroup_give_back(all[i], false);
        end();
}
END_TEST

START_TEST(test_without)
{
        cgroup_init(NULL, 0);
        ck_assert_int_eq(cgroup_user(), -1);
        ck_assert_ptr_null(cgroup_take());
        cgroup_init("/no/such/folder", 5);
        ck_assert_ptr_null(cgroup_take());
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_counters, test_strange_groups, test_many_at_once, test_without };

        return run_tests("cgroup", tests, array_size(tests));
}
