#pragma once
/*
 * Structured lines on stderr: `vmm ID: LEVEL: message`. One write(2) a line, no allocation, any thread, no
 * waiting: what finds a full pipe is lost.
 *
 * What a guest can cause goes through log_guest(): a token bucket of its own keeps a hostile guest from
 * filling a disk, and the next line that gets through tells how many did not.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/base/compiler.h"

enum log_level { LOG_ERR, LOG_WARN, LOG_INFO, LOG_DEBUG };
#define LOG_NR_LEVELS 4

/* Names by level; NULL-terminated, for option tables. */
extern const char *const log_level_names[LOG_NR_LEVELS + 1];

struct log_bucket {
        uint64_t refilled_ns;
        uint32_t tokens;
        uint32_t suppressed;
};

/* Before any thread starts. @id: shown in every line, as far as it goes; may be "". */
void log_setup(enum log_level level, bool json, const char *id);

/*
 * log_adjust() - another level from now on; before any thread starts
 * @level: enum log_level, or -1: no lines at all
 * @origin: tell file and line of our source
 */
void log_adjust(int level, bool origin);
/*
 * log_redirect() - lines go to @fd from now on, and nowhere else
 * @fd: borrowed; what it does not take at once is lost. -1: back to where they went before.
 * Before any thread starts, and after they ended.
 */
void log_redirect(int fd);

/*
 * log_set_sink() - from now on lines go to @sink instead of a descriptor. Before any thread starts.
 * @sink: any thread, several at once; returns whether the line was written
 */
void log_set_sink(bool (*sink)(void *ctx, const char *line, size_t len), void *ctx);

/* Lines so far; any thread. */
struct log_stats {
        uint64_t written;
        uint64_t dropped; /* a reader did not read, or a guest caused too many */
};
struct log_stats log_stats(void);

void log_line(enum log_level level, const char *origin, const char *format, ...) format_printf(3, 4);
#define log_err(...)   log_line(LOG_ERR, LOG_ORIGIN, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, LOG_ORIGIN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, LOG_ORIGIN, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, LOG_ORIGIN, __VA_ARGS__)
#define LOG_ORIGIN     __FILE__ ":" LOG_WORD(__LINE__)
#define LOG_WORD(n)    LOG_WORD_(n)
#define LOG_WORD_(n)   #n

/* @bucket: the caller's, zeroed at first, of one thread. @device: names the source ("blk0"). */
void log_guest(struct log_bucket *bucket, const char *device, const char *format, ...) format_printf(3, 4);
