#pragma once
/*
 * Scope-bound ownership: `cleanup(fd_closep) int fd = …` closes when fd leaves its scope; steal_fd()
 * and steal_ptr() move the ownership out. Every x_freep accepts a pointer to NULL.
 */
#include <stdlib.h>
#include <unistd.h>

#define cleanup(fn) __attribute__((cleanup(fn)))

#define steal_ptr(p)                                                                                         \
        ({                                                                                                   \
                typeof(*(p)) steal_tmp_ = *(p);                                                              \
                *(p) = NULL;                                                                                 \
                steal_tmp_;                                                                                  \
        })

static inline int steal_fd(int *fd)
{
        int r = *fd;

        *fd = -1;
        return r;
}

static inline void fd_closep(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

/* For void pointers of any type that free(3) ends. */
static inline void freep(void *p)
{
        free(*(void **)p);
}

#define DEFINE_CLEANUP(type, fn)                                                                             \
        static inline void fn##p(type *p)                                                                    \
        {                                                                                                    \
                if (*p)                                                                                      \
                        fn(*p);                                                                              \
                *p = NULL;                                                                                   \
        }
