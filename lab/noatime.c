/*
 * Lets virtiofsd open files that its caller does not own, where it runs without root.
 * The lab's overlay asks for O_NOATIME with every file, which the kernel grants to owners only. Preloaded
 * into virtiofsd, this takes the flag away.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

int openat64(int dir, const char *path, int flags, ...);
int __openat64_2(int dir, const char *path, int flags);

int openat64(int dir, const char *path, int flags, ...)
{
        mode_t mode = 0;

        if (flags & (O_CREAT | __O_TMPFILE)) {
                va_list args;

                va_start(args, flags);
                mode = va_arg(args, mode_t);
                va_end(args);
        }
        return (int)syscall(SYS_openat, dir, path, flags & ~O_NOATIME, mode);
}

/* What _FORTIFY_SOURCE makes of an openat() without a mode. */
int __openat64_2(int dir, const char *path, int flags)
{
        return openat64(dir, path, flags);
}
