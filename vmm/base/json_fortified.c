/*
 * What jansson's library calls of the C library that it was built for, for the tool, which has another one.
 * Input:  calls of jansson's compiled code.
 * Runs:   the caller's thread.
 * Limits: the sizes that the caller says.
 *
 * Debian's libjansson.a was built with _FORTIFY_SOURCE, so three of its calls go by names that only glibc has.
 * Everything else that it uses is plain C and POSIX, which is binary compatible on both.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/assert.h"

int __snprintf_chk(char *to, size_t n, int flag, size_t size, const char *format, ...);
int __vsnprintf_chk(char *to, size_t n, int flag, size_t size, const char *format, va_list args);
char *__strncpy_chk(char *to, const char *from, size_t n, size_t size);

int __vsnprintf_chk(char *to, size_t n, int flag, size_t size, const char *format, va_list args)
{
        (void)flag;
        ASSERT(n <= size);
        return vsnprintf(to, n, format, args);
}

int __snprintf_chk(char *to, size_t n, int flag, size_t size, const char *format, ...)
{
        va_list args;
        int r;

        va_start(args, format);
        r = __vsnprintf_chk(to, n, flag, size, format, args);
        va_end(args);
        return r;
}

char *__strncpy_chk(char *to, const char *from, size_t n, size_t size)
{
        ASSERT(n <= size);
        return strncpy(to, from, n);
}
