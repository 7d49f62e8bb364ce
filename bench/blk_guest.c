/*
 * The guest of bench/blk: an init that reads a disk and tells how long that took.
 * Input:  the kernel's command line: blk.mode=seq|rand|stream blk.n=READS blk.depth=PROCESSES.
 * Runs:   PID 1, and a process per unit of depth.
 * Limits: DEPTH_MAX processes.
 *
 * seq and rand read BLOCK bytes at a time past the page cache, stream reads as many through it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DISK      "/dev/vda"
#define BLOCK     4096u
#define DEPTH_MAX 64u

static char cmdline[4096];

static _Noreturn void fail(const char *what)
{
        printf("blk_guest: %s: %s\n", what, strerror(errno));
        (void)fflush(stdout);
        for (;;) /* an end would look like a fast disk: the bench's time limit tells */
                (void)pause();
}

static const char *setting(const char *name)
{
        static char value[64];
        const char *at = strstr(cmdline, name);
        size_t n;

        if (!at)
                return "";
        at += strlen(name);
        n = strcspn(at, " \n");
        if (n >= sizeof(value))
                return "";
        memcpy(value, at, n);
        value[n] = 0;
        return value;
}

static void set_up(void)
{
        FILE *f;

        (void)mkdir("/proc", 0755);
        (void)mkdir("/dev", 0755);
        if (mount("proc", "/proc", "proc", 0, NULL) < 0)
                fail("mount /proc");
        if (mount("dev", "/dev", "devtmpfs", 0, NULL) < 0 && errno != EBUSY)
                fail("mount /dev");
        f = fopen("/proc/cmdline", "re");
        if (!f || !fgets(cmdline, sizeof(cmdline), f))
                fail("/proc/cmdline");
        (void)fclose(f);
}

static int open_disk(int flags)
{
        for (unsigned tries = 0; tries < 500; tries++) {
                int fd = open(DISK, O_RDONLY | O_CLOEXEC | flags);

                if (fd >= 0)
                        return fd;
                (void)usleep(10000);
        }
        fail(DISK);
}

static uint64_t now_ns(void)
{
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* Its own generator: the same places in every run. */
static uint64_t next_random(uint64_t *state)
{
        *state = *state * 6364136223846793005ull + 1442695040888963407ull;
        return *state >> 33;
}

static void read_all(int fd, const char *mode, unsigned long n, uint64_t seed)
{
        static uint8_t block[BLOCK] __attribute__((aligned(BLOCK)));
        uint64_t blocks = (uint64_t)lseek(fd, 0, SEEK_END) / BLOCK, state = seed, at = seed * 997;

        for (unsigned long i = 0; i < n; i++, at++) {
                uint64_t b = strcmp(mode, "rand") == 0 ? next_random(&state) : at;

                if (pread(fd, block, BLOCK, (off_t)(b % blocks * BLOCK)) != BLOCK)
                        fail("read");
        }
}

static void run(const char *mode, unsigned long n, unsigned depth)
{
        int fd = open_disk(strcmp(mode, "stream") == 0 ? 0 : O_DIRECT);
        uint64_t began;

        if (n)
                read_all(fd, mode, 16, 12345); /* what is done for the first time */
        began = now_ns();
        for (unsigned i = 1; i < depth; i++) {
                pid_t child = fork();

                if (child < 0)
                        fail("fork");
                if (child == 0) {
                        read_all(fd, mode, n / depth, i);
                        _exit(0);
                }
        }
        read_all(fd, mode, n / depth, 0);
        while (wait(NULL) >= 0)
                ;
        printf("blk_guest: mode=%s depth=%u n=%lu ns=%llu\n", mode, depth, n,
               (unsigned long long)(now_ns() - began));
}

int main(void)
{
        char mode[16];
        unsigned long n;
        unsigned long depth;

        set_up();
        (void)snprintf(mode, sizeof(mode), "%s", setting("blk.mode="));
        n = strtoul(setting("blk.n="), NULL, 10);
        depth = strtoul(setting("blk.depth="), NULL, 10);
        run(mode, n, depth < 1 ? 1 : depth > DEPTH_MAX ? DEPTH_MAX : (unsigned)depth);
        (void)fflush(stdout);
        (void)reboot(RB_AUTOBOOT);
        return EXIT_FAILURE;
}
