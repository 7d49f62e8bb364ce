/*
 * Folders of sandboxes: made, listed, removed, and put in order whatever state a killed tool left.
 */
#include "sandbox/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sandbox/disk.h"
#include "sandbox/life.h"
#include "sandbox/lock.h"
#include "sandbox/names.h"
#include "sandbox/settings.h"
#include "tests/unit/run.h"
#include "tests/unit/sandbox/folders.h"

static struct paths paths;
static struct problem problem;
static struct sandbox sandbox;
static int lock;

static struct record asked(const char *name, bool temporary)
{
        return (struct record){ .name = name,
                                .image = "image",
                                .image_path = "/image",
                                .kernel = "/kernel",
                                .temporary = temporary,
                                .memory_bytes = 1 << 30 };
}

static int make(const char *name, bool temporary)
{
        struct record r = asked(name, temporary);

        problem = (struct problem){ 0 };
        return store_new(&paths, &r, &sandbox, &lock, &problem);
}

static void set_up(void)
{
        folders_make();
        ck_assert_int_eq(paths_find(&paths, &problem), 0);
}

static bool exists(const char *below, const char *id)
{
        char path[512];

        snprintf(path, sizeof(path), "%s/%s%s", folders_top, below, id);
        return !access(path, F_OK);
}

static void make_old(const char *below)
{
        char path[512];
        struct timespec times[2] = { { .tv_sec = time(NULL) - 60 }, { .tv_sec = time(NULL) - 60 } };

        snprintf(path, sizeof(path), "%s/%s", folders_top, below);
        ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

START_TEST(test_life_of_a_folder)
{
        struct store_entry *entries;
        struct record back;
        size_t nr;

        set_up();
        ck_assert_int_eq(make("foo", _i), 0);
        ck_assert(lock_is_held(sandbox.folder));
        ck_assert_int_eq(store_list(&paths, &entries, &nr, &problem), 0);
        ck_assert_uint_eq(nr, 1);
        ck_assert_str_eq(entries[0].id, sandbox.id);
        ck_assert_int_eq(entries[0].temporary, _i);
        free(entries);
        ck_assert_int_eq(record_read(sandbox.folder, &back, &problem), 0);
        ck_assert_str_eq(back.name, "foo");
        ck_assert_uint_eq(back.memory_bytes, 1 << 30);
        record_fini(&back);
        /* One that runs is left alone by everybody. */
        ck_assert_int_eq(store_remove(&paths, &sandbox, &problem), -1);
        store_repair(&paths);
        ck_assert_int_eq(sandbox_find("foo", &sandbox, &problem), 0);
        close(lock);
        ck_assert(!lock_is_held(sandbox.folder));
        ck_assert_int_eq(store_remove(&paths, &sandbox, &problem), 0);
        ck_assert(!exists("data/vmlet/sandboxes/by-name/", "foo"));
        ck_assert(!exists("data/vmlet/sandboxes/", sandbox.id));
        ck_assert(!exists("data/vmlet/sandboxes/.tmp-", sandbox.id));
        ck_assert(!exists("run/vmlet/", sandbox.id));
        ck_assert_int_eq(make("foo", _i), 0); /* the name is free again */
        close(lock);
        folders_remove();
}
END_TEST

START_TEST(test_names_are_unique)
{
        char first[SANDBOX_ID_SIZE];

        set_up();
        ck_assert_int_eq(make("foo", false), 0);
        memcpy(first, sandbox.id, sizeof(first));
        close(lock);
        ck_assert_int_eq(make("foo", true), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "in use"));
        ck_assert_int_eq(sandbox_find("foo", &sandbox, &problem), 0);
        ck_assert_str_eq(sandbox.id, first);
        ck_assert(!exists("run/vmlet/.new-", first));
        folders_remove();
}
END_TEST

START_TEST(test_one_of_many_gets_the_name)
{
        int won = 0;

        set_up();
        for (int i = 0; i < 20; i++)
                if (!fork())
                        _exit(make("foo", i % 2) ? 1 : 0);
        for (int i = 0; i < 20; i++) {
                int status;

                ck_assert_int_gt(wait(&status), 0);
                won += !status;
        }
        /* The winner's lock is gone with its process: a temporary one may be swept, but not before it is looked at. */
        ck_assert_int_eq(won, 1);
        folders_remove();
}
END_TEST

/* Every state in which a tool may have been killed. */
START_TEST(test_repair)
{
        set_up();
        ck_assert_int_eq(make("kept", false), 0);
        close(lock);
        folders_add("data/vmlet/sandboxes/.new-0123456789ab");
        folders_write("data/vmlet/sandboxes/.new-0123456789ab/config.json", "{\"id\":");
        folders_write("data/vmlet/sandboxes/.new-0123456789ab/running", "");
        folders_add("data/vmlet/sandboxes/.new-ba9876543210");
        folders_add("data/vmlet/sandboxes/.del-111111111111");
        folders_write("data/vmlet/sandboxes/.del-111111111111/disk.img", "x");
        ck_assert_int_eq(symlinkat("0123456789ab", AT_FDCWD,
                                   strcat(strcpy((char[256]){ 0 }, paths.data), "/sandboxes/by-name/half")),
                         0);
        folders_add("run/vmlet/222222222222"); /* sockets of one that is gone */
        folders_write("run/vmlet/222222222222/agent", "");
        folders_add("run/vmlet/333333333333"); /* a temporary one that has ended */
        folders_write("run/vmlet/333333333333/config.json", "{}");
        folders_write("run/vmlet/333333333333/running", "");
        folders_add("run/vmlet/.new-444444444444");
        make_old("data/vmlet/sandboxes/.new-0123456789ab");
        store_repair(&paths);
        ck_assert(!exists("data/vmlet/sandboxes/.new-", "0123456789ab"));
        ck_assert(exists("data/vmlet/sandboxes/.new-", "ba9876543210")); /* young: its maker may be at work */
        ck_assert(!exists("data/vmlet/sandboxes/.del-", "111111111111"));
        ck_assert(!exists("data/vmlet/sandboxes/by-name/", "half"));
        ck_assert(!exists("run/vmlet/", "222222222222"));
        ck_assert(!exists("run/vmlet/", "333333333333"));
        ck_assert(exists("run/vmlet/.new-", "444444444444"));
        ck_assert_int_eq(sandbox_find("kept", &sandbox, &problem), 0);
        make_old("data/vmlet/sandboxes/.new-ba9876543210");
        make_old("run/vmlet/.new-444444444444");
        store_repair(&paths);
        ck_assert(!exists("data/vmlet/sandboxes/.new-", "ba9876543210"));
        ck_assert(!exists("run/vmlet/.new-", "444444444444"));
        folders_remove();
}
END_TEST

/* A tool for which the data folder, or the runtime one, is elsewhere: what lives is not its to remove. */
START_TEST(test_repair_from_elsewhere)
{
        const char *variable = _i ? "XDG_RUNTIME_DIR" : "XDG_DATA_HOME", *other = _i ? "run-2" : "data-2";
        struct paths elsewhere;
        char below[64];
        int beside;

        set_up();
        ck_assert_int_eq(make("foo", _i), 0);
        if (!_i)
                ck_assert_int_eq(mkdir(sandbox.run, 0700), 0);
        snprintf(below, sizeof(below), _i ? "data/vmlet/sandboxes/.tmp-%s" : "run/vmlet/%s", sandbox.id);
        ck_assert_int_eq(lock_take(sandbox.beside, &beside), 0); /* as life_start() does for the monitor */
        make_old(below);
        folders_set(variable, other);
        ck_assert_int_eq(paths_find(&elsewhere, &problem), 0);
        store_repair(&elsewhere);
        ck_assert(exists("", below));
        ck_assert_int_eq(names_take(&paths, "foo", "0123456789ab", &problem), -1);
        folders_set(variable, _i ? "run" : "data");
        ck_assert_int_eq(sandbox_find("foo", &sandbox, &problem), 0);
        close(beside);
        store_repair(&elsewhere);
        ck_assert(!exists("", below));
        if (_i)
                ck_assert_int_eq(names_take(&elsewhere, "foo", "0123456789ab", &problem), 0);
        close(lock);
        folders_remove();
}
END_TEST

/* Of a monitor that is gone without an exit file, its log's last line is told if it is an assertion's. */
START_TEST(test_bug_of_a_monitor_is_told)
{
        static const char *const logs[] = {
                "",
                "\n",
                "vmlet: bug: 'x' does not hold (y.c:1)\nanother line\n",
                "a line\nvmlet: bug: 'x' does not hold (y.c:1)\n",
                "vmlet: bug: 'x' does not hold (y.c:1)",
        };
        struct life_status status;
        char below[64];

        set_up();
        ck_assert_int_eq(make(NULL, false), 0);
        close(lock);
        snprintf(below, sizeof(below), "data/vmlet/sandboxes/%s/state.json", sandbox.id);
        folders_write(below, "{\"started_ns\": 1}");
        snprintf(below, sizeof(below), "data/vmlet/sandboxes/%s/vmm.log", sandbox.id);
        for (size_t i = 0; i < array_size(logs); i++) {
                folders_write(below, logs[i]);
                life_look(&sandbox, &status);
                ck_assert_int_eq(status.state, LIFE_KILLED);
                ck_assert_ptr_nonnull(
                        strstr(status.reason, i < 3 ? "see vmlet logs" : "bug: 'x' does not hold (y.c:1)"));
        }
        folders_remove();
}
END_TEST

/* What nobody needs any more is no reason to refuse. */
START_TEST(test_limits_do_not_count_what_is_over)
{
        struct record r = asked(NULL, true);

        set_up();
        folders_add("config/vmlet");
        folders_write("config/vmlet/config.toml", "[limits]\ndisk = \"100M\"\n");
        folders_add("run/vmlet/333333333333"); /* a temporary one that has ended */
        folders_write(
                "run/vmlet/333333333333/config.json",
                "{\"id\":\"333333333333\",\"image_path\":\"/i\",\"kernel\":\"/k\",\"disk_bytes\":67108864}");
        folders_write("run/vmlet/333333333333/running", "");
        r.id = "0123456789ab";
        r.disk_bytes = 64 << 20;
        ck_assert_int_eq(settings_allow_disk(&paths, &r, &problem), 0);
        ck_assert(!exists("run/vmlet/", "333333333333"));
        r.disk_bytes = 128 << 20;
        ck_assert_int_eq(settings_allow_disk(&paths, &r, &problem), -1);
        folders_remove();
}
END_TEST

START_TEST(test_nothing_is_left_of_what_cannot_be_made)
{
        struct record r = asked("foo", false);

        set_up();
        ck_assert_int_eq(record_add(&r.args, "not \xff UTF-8"), 0);
        ck_assert_int_eq(store_new(&paths, &r, &sandbox, &lock, &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "UTF-8"));
        ck_assert(!exists("data/vmlet/sandboxes/by-name/", "foo"));
        ck_assert(!exists("data/vmlet/sandboxes/.new-", r.id));
        record_fini(&r);
        folders_remove();
}
END_TEST

START_TEST(test_record_cut_at_every_length)
{
        struct record r = asked("foo", false), back;
        char whole[4096], path[SANDBOX_FOLDER_MAX + 16];
        size_t len;
        FILE *f;

        set_up();
        ck_assert_int_eq(record_add(&r.args, "a \"quoted\" word"), 0);
        ck_assert_int_eq(record_add(&r.env, "A=\xc3\xa4"), 0);
        ck_assert_int_eq(store_new(&paths, &r, &sandbox, &lock, &problem), 0);
        close(lock);
        snprintf(path, sizeof(path), "%s/config.json", sandbox.folder);
        f = fopen(path, "r");
        ck_assert_ptr_nonnull(f);
        len = fread(whole, 1, sizeof(whole) - 1, f);
        fclose(f);
        whole[len] = 0;
        ck_assert_int_eq(record_parse(whole, "it", &back, &problem), 0);
        ck_assert_str_eq(back.args.items[0], "a \"quoted\" word");
        ck_assert_str_eq(back.env.items[0], "A=\xc3\xa4");
        record_fini(&back);
        len--; /* the last line feed is not missed */
        while (len--) {
                whole[len] = 0;
                problem = (struct problem){ 0 };
                ck_assert_int_eq(record_parse(whole, "it", &back, &problem), -1);
                ck_assert_int_ne(problem.status, 0);
        }
        record_fini(&r);
        folders_remove();
}
END_TEST

START_TEST(test_record_refuses)
{
        static const char *const texts[] = {
                "",
                "[]",
                "{}",
                "null",
                "{\"id\": 5}",
                "{\"id\":\"../../../etc1\",\"image_path\":\"/i\",\"kernel\":\"/k\"}",
                "{\"id\":\"0123456789ab\",\"name\":\"../x\",\"image_path\":\"/i\",\"kernel\":\"/k\"}",
                "{\"id\":\"0123456789ab\",\"image_path\":\"/i\",\"kernel\":\"/k\",\"memory_bytes\":\"much\"}",
        };
        struct record back;

        for (size_t i = 0; i < array_size(texts); i++) {
                problem = (struct problem){ 0 };
                ck_assert_msg(record_parse(texts[i], "it", &back, &problem) == -1, "%s", texts[i]);
        }
        /* What a newer tool wrote is passed over. */
        ck_assert_int_eq(
                record_parse("{\"id\":\"0123456789ab\",\"image_path\":\"/i\",\"kernel\":\"/k\",\"later\":1}",
                             "it", &back, &problem),
                0);
        record_fini(&back);
}
END_TEST

/* Where anybody could have made it first: what lies there is neither believed nor put in order. */
START_TEST(test_run_folder_of_somebody_else)
{
        char victim[256], trap[PATHS_MAX + 32];

        set_up();
        folders_add("victim");
        folders_write("victim/precious", "x");
        folders_add("run/vmlet");
        snprintf(victim, sizeof(victim), "%s/victim", folders_top);
        snprintf(trap, sizeof(trap), "%s/.del-0123456789ab", paths.run);
        ck_assert_int_eq(symlink(victim, trap), 0);
        store_repair(&paths);
        ck_assert(exists("victim/", "precious"));
        ck_assert_int_eq(chmod(paths.run, 0770), 0);
        ck_assert_int_eq(paths_find(&paths, &problem), -1);
        ck_assert_int_eq(chmod(paths.run, 0700), 0);
        ck_assert_int_eq(paths_find(&paths, &problem), 0);
        if (!geteuid()) {
                problem = (struct problem){ 0 };
                ck_assert_int_eq(chown(paths.run, 12345, 12345), 0);
                ck_assert_int_eq(sandbox_find("0123456789ab", &sandbox, &problem), -1);
                ck_assert_ptr_nonnull(strstr(problem.text, "belongs to user 12345"));
        }
        snprintf(victim, sizeof(victim), "%s/moved", folders_top);
        ck_assert_int_eq(rename(paths.run, victim), 0);
        ck_assert_int_eq(symlink(victim, paths.run), 0);
        ck_assert_int_eq(paths_find(&paths, &problem), -1);
        folders_remove();
}
END_TEST

START_TEST(test_read_only_folder)
{
        if (!geteuid())
                return; /* root writes everywhere; the functional tests have a read-only mount */
        set_up();
        folders_add("data/vmlet/sandboxes");
        ck_assert_int_eq(chmod(paths.data, 0500), 0);
        ck_assert_int_eq(make("foo", false), -1);
        ck_assert_int_eq(chmod(paths.data, 0700), 0);
        folders_remove();
}
END_TEST

START_TEST(test_locks)
{
        int other = -1, begun;

        set_up();
        ck_assert_int_eq(make(NULL, true), 0);
        ck_assert_int_eq(lock_take(sandbox.folder, &other), LOCK_HELD);
        ck_assert(lock_is_orphan(sandbox.folder)); /* nobody is at work on its command */
        begun = lock_begin(sandbox.folder);
        ck_assert_int_ge(begun, 0);
        ck_assert(!lock_is_orphan(sandbox.folder));
        ck_assert_int_lt(lock_begin(sandbox.folder), 0);
        ck_assert(lock_is_held(sandbox.folder));
        close(begun);
        ck_assert(lock_is_orphan(sandbox.folder)); /* it was killed */
        begun = lock_begin(sandbox.folder);
        lock_mark(begun);
        close(begun);
        ck_assert(!lock_is_orphan(sandbox.folder));
        close(lock);
        ck_assert(!lock_is_held(sandbox.folder));
        ck_assert_int_eq(lock_take(sandbox.folder, &other), 0);
        close(other);
        folders_remove();
}
END_TEST

/* A temporary one that has ended is there for the tool that watches it and for those who wait, until they are done. */
START_TEST(test_ended_ones_are_kept_for_their_tools)
{
        int begun, first = -1, second = -1;
        char path[SANDBOX_FOLDER_MAX + 16];

        set_up();
        ck_assert_int_eq(make(NULL, true), 0);
        snprintf(path, sizeof(path), "%s/.told", sandbox.folder);
        begun = lock_begin(sandbox.folder);
        ck_assert_int_ge(begun, 0);
        ck_assert(lock_is_attended(sandbox.folder));
        close(lock); /* its monitor has ended */
        store_repair(&paths);
        ck_assert(exists("run/vmlet/", sandbox.id) && access(path, F_OK)); /* its end is the tool's to tell */
        ck_assert_int_eq(lock_wait(sandbox.folder, &first), 0);
        ck_assert_int_eq(lock_wait(sandbox.folder, &second), 0);
        ck_assert(!lock_shut(begun));
        close(begun);
        store_repair(&paths);
        ck_assert(exists("run/vmlet/", sandbox.id) && !access(path, F_OK));
        close(first);
        store_repair(&paths);
        ck_assert(exists("run/vmlet/", sandbox.id));
        close(second);
        ck_assert_int_eq(lock_take(sandbox.folder, &lock), 0);
        ck_assert(lock_shut(lock));
        ck_assert_int_eq(lock_wait(sandbox.folder, &first), LOCK_HELD);
        close(lock);
        store_repair(&paths);
        ck_assert(!exists("run/vmlet/", sandbox.id));
        ck_assert_int_lt(lock_wait(sandbox.folder, &first), 0);
        folders_remove();
}
END_TEST

START_TEST(test_disks)
{
        char path[SANDBOX_FOLDER_MAX + 16], from[600], to[600], byte = 0;
        struct record r = asked(NULL, false);
        struct stat st;
        int fd;

        set_up();
        snprintf(from, sizeof(from), "%s/sparse", folders_top);
        snprintf(to, sizeof(to), "%s/copy", folders_top);
        fd = open(from, O_RDWR | O_CREAT, 0600);
        ck_assert_int_eq(ftruncate(fd, 100 << 20), 0);
        ck_assert_int_eq(pwrite(fd, "x", 1, 50 << 20), 1);
        close(fd);
        ck_assert_int_eq(disk_copy(from, to), 0);
        ck_assert_int_eq(disk_copy(from, to), -EEXIST);
        ck_assert_int_eq(stat(to, &st), 0);
        ck_assert(st.st_size == 100 << 20 && st.st_blocks < 4096);
        fd = open(to, O_RDONLY);
        ck_assert_int_eq(pread(fd, &byte, 1, 50 << 20), 1);
        ck_assert_int_eq(byte, 'x');
        close(fd);
        r.disk_bytes = DISK_MIN - 1;
        problem = (struct problem){ 0 };
        ck_assert_int_eq(store_new(&paths, &r, &sandbox, &lock, &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "64M"));
        if (!access("/sbin/mkfs.ext4", X_OK)) {
                r.disk_bytes = DISK_MIN;
                ck_assert_int_eq(store_new(&paths, &r, &sandbox, &lock, &problem), 0);
                close(lock);
                snprintf(path, sizeof(path), "%s/disk.img", sandbox.folder);
                ck_assert_int_eq(stat(path, &st), 0);
                ck_assert(st.st_size == (off_t)DISK_MIN && st.st_blocks * 512 < (off_t)DISK_MIN / 2);
                r.temporary = true;
                ck_assert_int_eq(store_new(&paths, &r, &sandbox, &lock, &problem), 0);
                snprintf(path, sizeof(path), "%s/sandboxes/.tmp-%s/disk.img", paths.data, sandbox.id);
                ck_assert_int_eq(access(path, F_OK), 0);
                close(lock);
                store_repair(&paths);
                ck_assert_int_lt(access(path, F_OK), 0);
        }
        folders_remove();
}
END_TEST

int main(void)
{
        const struct run_test tests[] = {
                { test_life_of_a_folder, 2 },
                { test_names_are_unique, 1 },
                { test_one_of_many_gets_the_name, 1 },
                { test_repair, 1 },
                { test_repair_from_elsewhere, 2 },
                { test_limits_do_not_count_what_is_over, 1 },
                { test_bug_of_a_monitor_is_told, 1 },
                { test_nothing_is_left_of_what_cannot_be_made, 1 },
                { test_record_cut_at_every_length, 1 },
                { test_record_refuses, 1 },
                { test_run_folder_of_somebody_else, 1 },
                { test_read_only_folder, 1 },
                { test_locks, 1 },
                { test_ended_ones_are_kept_for_their_tools, 1 },
                { test_disks, 1 },
        };

        return run_loop_tests("store", tests, array_size(tests));
}
