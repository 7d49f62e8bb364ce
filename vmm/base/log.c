/*
 * Log lines: one write(2) each, plain or as JSON.
 * Input:  text of ours; what a guest caused is bounded in rate.
 * Runs:   any thread.
 * Limits: LINE_MAX_BYTES a line; a guest's bucket holds GUEST_BURST lines and gains one a second.
 */
#include "vmm/base/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024
#define ID_MAX_BYTES   128
#define GUEST_BURST    10
#define NS_PER_TOKEN   1000000000ull

const char *const log_level_names[LOG_NR_LEVELS + 1] = { "error", "warning", "info", "debug", NULL };

static struct {
        int level; /* enum log_level, or -1 */
        int fd;
        bool json, origin;
        char id[ID_MAX_BYTES];
        bool (*write)(void *ctx, const char *line, size_t len); /* NULL: fd */
        void *ctx;
} conf = { .level = LOG_WARN, .fd = -1 }; /* const once threads run */

static _Atomic uint64_t nr_written, nr_dropped;

/* Control characters, quotes and backslashes would break a line of either form. */
static size_t escape(char *dst, size_t size, const char *src)
{
        size_t n = 0;

        for (; *src && n + 7 < size; src++) {
                unsigned char c = (unsigned char)*src;

                if (c < 0x20 || c == 0x7f)
                        n += (size_t)snprintf(dst + n, size - n, "\\u%04x", c);
                else if (conf.json && (c == '"' || c == '\\'))
                        n += (size_t)snprintf(dst + n, size - n, "\\%c", c);
                else
                        dst[n++] = (char)c;
        }
        dst[n] = 0;
        return n;
}

void log_setup(enum log_level level, bool json, const char *id)
{
        conf.level = (int)level;
        conf.json = json;
        (void)escape(conf.id, sizeof(conf.id), id);
}

void log_adjust(int level, bool origin)
{
        conf.level = level;
        conf.origin = origin;
}

void log_redirect(int fd)
{
        conf.fd = fd;
}

void log_set_sink(bool (*sink)(void *ctx, const char *line, size_t len), void *ctx)
{
        conf.write = sink;
        conf.ctx = ctx;
}

/* A reader who does not read loses lines: a guest that causes them must not stop the loop so. */
static bool put_line(const char *line, size_t len)
{
        struct pollfd out = { .fd = conf.fd >= 0 ? conf.fd : STDERR_FILENO, .events = POLLOUT };

        if (conf.fd < 0 && conf.write)
                return conf.write(conf.ctx, line, len);
        return poll(&out, 1, 0) && write(out.fd, line, len) > 0;
}

/* @origin: "" for what a guest caused. */
static void emit(enum log_level level, const char *origin, const char *message)
{
        char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES + 512];
        struct timespec now;
        int n;

        (void)escape(text, sizeof(text), message);
        if (!conf.origin)
                origin = "";
        while (!strncmp(origin, "../", 3)) /* where the build stands */
                origin += 3;
        if (conf.json) {
                (void)clock_gettime(CLOCK_REALTIME, &now);
                n = snprintf(
                        line, sizeof(line),
                        "{\"time\":%lld.%06ld,\"level\":\"%s\",\"vm\":\"%s\",%s%s%s\"message\":\"%s\"}\n",
                        (long long)now.tv_sec, now.tv_nsec / 1000, log_level_names[level], conf.id,
                        *origin ? "\"origin\":\"" : "", origin, *origin ? "\"," : "", text);
        } else {
                n = snprintf(line, sizeof(line), "vmm%s%s: %s: %s%s%s\n", *conf.id ? " " : "", conf.id,
                             log_level_names[level], origin, *origin ? ": " : "", text);
        }
        if (n > 0 && put_line(line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1))
                atomic_fetch_add_explicit(&nr_written, 1, memory_order_relaxed);
        else
                atomic_fetch_add_explicit(&nr_dropped, 1, memory_order_relaxed);
}

struct log_stats log_stats(void)
{
        return (struct log_stats){
                .written = atomic_load_explicit(&nr_written, memory_order_relaxed),
                .dropped = atomic_load_explicit(&nr_dropped, memory_order_relaxed),
        };
}

void log_line(enum log_level level, const char *origin, const char *format, ...)
{
        char message[LINE_MAX_BYTES];
        va_list ap;

        if ((int)level > conf.level)
                return;
        va_start(ap, format);
        (void)vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        emit(level, origin, message);
}

static bool take_token(struct log_bucket *b)
{
        struct timespec t;
        uint64_t now, gained;

        (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
        now = (uint64_t)t.tv_sec * NS_PER_TOKEN + (uint64_t)t.tv_nsec;
        if (!b->refilled_ns) {
                b->refilled_ns = now;
                b->tokens = GUEST_BURST;
        }
        gained = (now - b->refilled_ns) / NS_PER_TOKEN;
        b->refilled_ns += gained * NS_PER_TOKEN;
        b->tokens = gained > GUEST_BURST - b->tokens ? GUEST_BURST : b->tokens + (uint32_t)gained;
        if (!b->tokens)
                return false;
        b->tokens--;
        return true;
}

void log_guest(struct log_bucket *bucket, const char *device, const char *format, ...)
{
        char message[LINE_MAX_BYTES / 2], full[LINE_MAX_BYTES];
        va_list ap;

        if ((int)LOG_WARN > conf.level)
                return;
        if (!take_token(bucket)) {
                bucket->suppressed++;
                atomic_fetch_add_explicit(&nr_dropped, 1, memory_order_relaxed);
                return;
        }
        va_start(ap, format);
        (void)vsnprintf(message, sizeof(message), format, ap);
        va_end(ap);
        if (bucket->suppressed)
                (void)snprintf(full, sizeof(full), "%s: %s (%u more like it not shown)", device, message,
                               bucket->suppressed);
        else
                (void)snprintf(full, sizeof(full), "%s: %s", device, message);
        bucket->suppressed = 0;
        emit(LOG_WARN, "", full);
}
