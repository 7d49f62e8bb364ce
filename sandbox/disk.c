/*
 * Disks for what guests write.
 * Input:  sizes of the user; mkfs.ext4 of the host.
 * Runs:   any thread of the tool; any number of tools at once.
 * Limits: DISK_MIN to DISK_MAX bytes.
 */
#include "sandbox/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/base/cleanup.h"

#define FAILED   125
#define PATH_LEN (PATHS_MAX + 128)

static int copy_range(int from, int to, off_t at, off_t end)
{
        static uint8_t bytes[128 << 10];

        while (at < end) {
                size_t most = end - at < (off_t)sizeof(bytes) ? (size_t)(end - at) : sizeof(bytes);
                ssize_t n = pread(from, bytes, most, at),
                        written = n > 0 ? pwrite(to, bytes, (size_t)n, at) : 0;

                if (n < 0 || written < 0)
                        return err_new(-errno);
                if (!written)
                        return err_new(-EIO); /* it became shorter */
                at += written;
        }
        return 0;
}

static int copy_data(int from, int to, off_t size)
{
        off_t at = 0, end;

        if (!ioctl(to, FICLONE, from))
                return 0;
        if (ftruncate(to, size) < 0)
                return err_new(-errno);
        while ((at = lseek(from, at, SEEK_DATA)) >= 0) {
                int r;

                end = lseek(from, at, SEEK_HOLE);
                r = end < 0 ? err_new(-errno) : copy_range(from, to, at, end);
                if (r < 0)
                        return err_trace(r);
                at = end;
        }
        return errno == ENXIO ? 0 : err_new(-errno); /* no data behind the last */
}

int disk_copy(const char *from, const char *to)
{
        cleanup(fd_closep) int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
        struct stat st;
        int r;

        if (in < 0 || fstat(in, &st) < 0)
                return err_new(-errno);
        out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (out < 0)
                return err_new(-errno);
        r = copy_data(in, out, st.st_size);
        if (r < 0)
                (void)unlink(to);
        return r;
}

/*
 * The inode tables of a new sparse file are zero: said so, nobody writes them, neither mkfs nor, later,
 * the guest in the background.
 */
static int run_mkfs(const char *path, struct problem *p)
{
        static const char *const places[] = { "/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4",
                                              "/usr/bin/mkfs.ext4" };
        const char *const argv[] = {
                "mkfs.ext4", "-q", "-F",
                "-m",        "0",  "-J",
                "size=16",   "-E", "lazy_itable_init=1,lazy_journal_init=1,assume_storage_prezeroed=1",
                path,        NULL
        };
        char *const env[] = { NULL };
        int e = ENOENT, status = 0;
        pid_t pid;

        for (size_t i = 0; e == ENOENT && i < array_size(places); i++)
                e = posix_spawn(&pid, places[i], NULL, NULL, (char *const *)(uintptr_t)argv, env);
        if (e)
                return problem_set(
                        p, FAILED,
                        "a disk needs mkfs.ext4 (%s): install the package e2fsprogs, or use --disk none",
                        strerror(e));
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                continue;
        if (!WIFEXITED(status) || WEXITSTATUS(status))
                return problem_set(p, FAILED, "mkfs.ext4 could not make %.300s", path);
        return 0;
}

static int make_template(const char *path, const char *cache, uint64_t bytes, struct problem *p)
{
        char unfinished[PATH_LEN];
        cleanup(fd_closep) int fd = -1;
        int bad;

        if (paths_make(cache, p))
                return -1;
        snprintf(unfinished, sizeof(unfinished), "%s/disk.XXXXXX", cache);
        fd = mkostemp(unfinished, O_CLOEXEC);
        if (fd < 0)
                return problem_set(p, FAILED, "cannot make a file in %.300s: %s", cache, strerror(errno));
        bad = ftruncate(fd, (off_t)bytes) < 0
                      ? problem_set(p, FAILED, "a disk of that size: %s", strerror(errno))
                      : run_mkfs(unfinished, p);
        if (!bad && rename(unfinished, path) < 0)
                bad = problem_set(p, FAILED, "cannot make %.300s: %s", path, strerror(errno));
        if (bad)
                (void)unlink(unfinished);
        return bad;
}

int disk_make(const struct paths *paths, const char *folder, uint64_t bytes, struct problem *p)
{
        char from[PATH_LEN], to[PATH_LEN];
        int r;

        bytes &= ~4095ull;
        if (bytes < DISK_MIN || bytes > DISK_MAX)
                return problem_set(p, FAILED, "a disk has 64M to 16T: --disk SIZE, or --disk none");
        snprintf(from, sizeof(from), "%s/disk-%" PRIu64 ".ext4", paths->cache, bytes);
        snprintf(to, sizeof(to), "%s/disk.img", folder);
        r = disk_copy(from, to);
        if (r == -ENOENT) {
                if (make_template(from, paths->cache, bytes, p))
                        return -1;
                r = disk_copy(from, to);
        }
        if (r < 0)
                return problem_set(p, FAILED, "cannot make the disk %.300s: %s", to, strerror(-r));
        return 0;
}
