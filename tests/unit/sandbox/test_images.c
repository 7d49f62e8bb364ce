/*
 * Images of this machine: added, found, removed.
 */
#include "sandbox/images.h"

#include <stdio.h>
#include <string.h>
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

int main(void)
{
        const struct run_test tests[] = {
                { test_images, 1 },
        };

        return run_loop_tests("images", tests, array_size(tests));
}
