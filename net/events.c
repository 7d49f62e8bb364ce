/*
 * The file of decisions.
 * Input:  decisions about what a guest wants, with names that it chose.
 * Runs:   loop thread.
 * Limits: EVENTS_PER_SECOND lines a second, the file's cap.
 */
#include "net/events.h"

#include <time.h>

#include "vmm/base/loop.h"

int events_open(struct events *e, const char *path, uint64_t limit_bytes, struct problem *p)
{
        const struct rate_config limit = { .ops = { .size = EVENTS_PER_SECOND,
                                                    .refill_ms = RATE_REFILL_MS } };

        *e = (struct events){ .file = CAPFILE_NONE };
        rate_init(&e->rate, &limit, loop_now_ns());
        return path ? capfile_open(&e->file, "the network's events", path, limit_bytes, true, p) : 0;
}

void events_close(struct events *e)
{
        capfile_close(&e->file);
}

void events_tell(struct events *e, const struct policy *policy, struct event_line *line)
{
        char text[EVENT_LINE_MAX];
        struct timespec now;
        size_t n;

        if (rate_take(&e->rate, 0, loop_now_ns())) {
                e->lost++;
                return;
        }
        e->written++;
        if (e->file.folder < 0)
                return;
        (void)clock_gettime(CLOCK_REALTIME, &now);
        line->time_ns = (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
        n = event_line(policy, line, text);
        capfile_write(&e->file, &(struct iovec){ text, n }, 1);
}
