#pragma once
/*
 * What the compiler can be told: attributes and the few macros that the language lacks.
 */
#include <stddef.h>

#define must_check          __attribute__((warn_unused_result))
#define format_printf(a, b) __attribute__((format(printf, a, b)))
#define noinline            __attribute__((noinline))
#define cold                __attribute__((cold))

#define array_size(a) (sizeof(a) / sizeof((a)[0]))

#define container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
