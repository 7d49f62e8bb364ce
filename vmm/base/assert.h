#pragma once
/*
 * ASSERT: a bug of ours ends the process, in release builds too. Never reachable from guest, client
 * or file bytes: those are answered by error codes.
 */

#define ASSERT(x)                                                                                            \
        do {                                                                                                 \
                if (__builtin_expect(!(x), 0))                                                               \
                        assert_fail(#x, __FILE__, __LINE__);                                                 \
        } while (0)

_Noreturn void assert_fail(const char *what, const char *file, int line);
