/*
 * Images of this machine: added, found, removed.
 */
#include "sandbox/images.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "tests/unit/sandbox/folders.h"

static struct paths paths;
static struct problem problem;

static void set_up(void)
{
        folders_make();
        ck_assert_int_eq(paths_find(&paths, &problem), 0);
}

START_TEST(test_images)
{
        struct images_entry *list;
        char from[600], *found;
        size_t nr;

        set_up();
        setenv("VMLET_KERNEL", "/no/such/kernel", 1);
        folders_write("rootfs", "no file system, which is vmm's to say");
        snprintf(from, sizeof(from), "%s/rootfs", folders_top);
        ck_assert_int_eq(images_add(&paths, IMAGES_ROOT, "odd", from, false, &problem),
                         -1); /* no whole sectors */
        ck_assert_int_eq(truncate(from, 1024), 0);
        problem = (struct problem){ 0 };
        ck_assert_int_eq(images_add(&paths, IMAGES_ROOT, "copied", from, false, &problem), 0);
        ck_assert_int_eq(images_add(&paths, IMAGES_ROOT, "linked", from, true, &problem), 0);
        ck_assert_int_eq(images_add(&paths, IMAGES_KERNEL, "kernel", from, true, &problem), 0);
        ck_assert_int_eq(images_add(&paths, IMAGES_ROOT, "copied", from, true, &problem), -1);
        ck_assert_int_eq(images_list(&paths, &list, &nr, &problem), 0);
        ck_assert_uint_eq(nr, 3);
        images_free(list, nr);
        ck_assert_int_eq(images_find(&paths, "linked", &found, &problem), 0);
        ck_assert_str_eq(found, from);
        free(found);
        ck_assert_int_eq(images_find(&paths, from, &found, &problem), 0);
        free(found);
        ck_assert_int_eq(images_find_kernel(&paths, "kernel", &found, &problem), 0);
        free(found);
        problem = (struct problem){ 0 };
        ck_assert_int_eq(images_find(&paths, "kernel", &found, &problem), -1); /* not an image */
        problem = (struct problem){ 0 };
        ck_assert_int_eq(images_find(&paths, "linkd", &found, &problem), -1);
        ck_assert_ptr_nonnull(strstr(problem.text, "did you mean linked"));
        ck_assert_int_eq(images_remove(&paths, "copied", false, &problem), 0);
        ck_assert_int_eq(images_remove(&paths, "../images/linked", true, &problem), -1);
        folders_remove();
}
END_TEST

static unsigned nr_rests(void)
{
        char path[PATHS_MAX + 16];
        const struct dirent *e;
        unsigned n = 0;
        DIR *d;

        snprintf(path, sizeof(path), "%s/images", paths.data);
        d = opendir(path);
        while (d && (e = readdir(d)))
                n += !strncmp(e->d_name, ".new-", 5) || !strncmp(e->d_name, ".del-", 5);
        if (d)
                closedir(d);
        return n;
}

/* A child that adds @from and is ended by its signal in the middle of the copy. */
static void add_and_be_killed(const char *from)
{
        const struct rlimit little = { .rlim_cur = 4096, .rlim_max = 4096 }, none = { 0 };
        int status = 0;
        pid_t pid = fork();

        if (!pid) {
                (void)signal(SIGXFSZ, SIG_DFL);
                (void)setrlimit(RLIMIT_CORE, &none);
                (void)setrlimit(RLIMIT_FSIZE, &little);
                _exit(!images_add(&paths, IMAGES_ROOT, "box", from, false, &problem));
        }
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
}

START_TEST(test_rests_of_tools_that_were_killed)
{
        char from[600], path[PATHS_MAX + 16];
        int at_work;

        set_up();
        snprintf(from, sizeof(from), "%s/rootfs", folders_top);
        folders_write("rootfs", "x");
        ck_assert_int_eq(truncate(from, 1 << 20), 0);
        images_repair(&paths); /* there is no folder yet */
        add_and_be_killed(from);
        ck_assert_uint_eq(nr_rests(), 1);
        snprintf(path, sizeof(path), "%s/images", paths.data);
        at_work = open(path, O_RDONLY | O_DIRECTORY);
        ck_assert_int_eq(flock(at_work, LOCK_SH), 0);
        images_repair(&paths); /* it may be that one's */
        ck_assert_uint_eq(nr_rests(), 1);
        ck_assert_int_eq(images_add(&paths, IMAGES_ROOT, "box", from, false, &problem), 0);
        folders_add(
                "data/vmlet/images/.del-box"); /* of one that was removed before, by an older tool, and killed */
        folders_write("data/vmlet/images/.del-box/image", "x");
        ck_assert_int_eq(images_remove(&paths, "box", false, &problem), 0);
        close(at_work);
        ck_assert_uint_eq(nr_rests(), 2);
        images_repair(&paths);
        ck_assert_uint_eq(nr_rests(), 0);
        folders_remove();
}
END_TEST

int main(void)
{
        const struct run_test tests[] = {
                { test_images, 1 },
                { test_rests_of_tools_that_were_killed, 1 },
        };

        return run_loop_tests("images", tests, array_size(tests));
}
