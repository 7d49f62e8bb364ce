/*
 * virtio memory balloon: gives the guest's free memory back to the host.
 * Input:  page numbers, ranges and statistics (guest, hostile).
 * Runs:   loop thread; config_write() on vCPU threads.
 * Limits: INFLATE_PFNS_MAX page numbers a request, BALLOON_REPORT_BYTES_MAX bytes a report, a few of them a kick; one
 *         buffer of statistics is held.
 *
 * The guest may name any page of its own, also one that it uses: it loses what is in it, and that is all. What is not
 * its memory is counted and left alone, and so is what comes beyond the limits: it stays with the guest.
 *
 * Which queue is which: absent ones leave no gap, as Linux and other monitors have it over MMIO (virtio 1.2, 5.5.2
 * gives each a number of its own). So the third is for statistics if those were negotiated, else for reports.
 *
 * syscalls: loop: madvise
 */
#include "virtio/balloon/balloon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "virtio/balloon/balloon_parse.h"
#include "virtio/balloon/balloon_wire.h"
#include "virtio/core/wire.h"
#include "vmm/base/err.h"
#include "vmm/base/num.h"

/* What any driver sends at once: a page full of numbers. */
#define INFLATE_PFNS_MAX 1024u
/* Requests a call of kick(): each of those that give memory back may take a millisecond or more. */
#define INFLATE_BUDGET 2u
#define REPORT_BUDGET  1u
#define DEFLATE_BUDGET 16u
#define STATS_BUDGET   16u

enum role { INFLATE, DEFLATE, STATS, REPORT };
#define NR_QUEUES 3u /* and one more with statistics */

enum { INFLATED, DEFLATED, REPORTS, RETURNED, UPDATES, REFUSED, HOST_ERRORS };
#define NR_STATS 7

static const char *const counter_names[] = { "inflated_pages", "deflated_pages", "reports",
                                             "returned_bytes", "stats_updates",  "refused",
                                             "host_errors" };
static_assert(sizeof(counter_names) / sizeof(*counter_names) == NR_STATS, "a name for each");

const char *const balloon_stat_names[BALLOON_NR_STATS] = {
        "swap_in",        "swap_out",         "major_faults", "minor_faults",        "free_memory",
        "total_memory",   "available_memory", "disk_caches",  "hugetlb_allocations", "hugetlb_failures",
        "oom_kill",       "alloc_stall",      "async_scan",   "direct_scan",         "async_reclaim",
        "direct_reclaim",
};

struct balloon {
        struct virtio_dev dev;
        struct virtio_balloon_config config; /* fields are stored whole: the guest reads them any time */
        struct stat_counter counters[NR_STATS];
        struct gmem *mem;
        struct loop *loop;
        struct loop_timer timer; /* asks for statistics; set only while a buffer for them is held */
        uint64_t interval_ns;
        struct balloon_stats stats;
        struct vq_chain chain;
        struct vq_chain held; /* the statistics buffer: the driver fills it once it gets it back */
};

static struct balloon *to_balloon(struct virtio_dev *dev)
{
        return container_of(dev, struct balloon, dev);
}

static void set_field(le32_t *field, uint32_t v)
{
        __atomic_store_n(&field->raw, le32_of(v).raw, __ATOMIC_RELAXED);
}

static uint32_t field_of(const le32_t *field)
{
        return le32_get((le32_t){ __atomic_load_n(&field->raw, __ATOMIC_RELAXED) });
}

static enum role role_of(const struct virtio_dev *dev, unsigned qi)
{
        if (qi < STATS)
                return (enum role)qi;
        return qi == STATS && virtio_has(dev, VIRTIO_BALLOON_F_STATS_VQ) ? STATS : REPORT;
}

static void give_back(struct balloon *b, const struct balloon_range *ranges, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                uint64_t bytes = 0;
                int r = gmem_discard(b->mem, GPA(ranges[i].at), ranges[i].len, &bytes);

                b->counters[RETURNED].n += bytes;
                b->counters[REFUSED].n += r > 0;
                b->counters[HOST_ERRORS].n += r < 0;
        }
}

static void inflate(struct balloon *b)
{
        struct balloon_range ranges[BALLOON_PFNS_MAX];
        unsigned done = 0, n;

        while (done < INFLATE_PFNS_MAX) {
                unsigned nr = balloon_parse_pfns(&b->chain, done, ranges, &n);

                if (!n)
                        break;
                give_back(b, ranges, nr);
                done += n;
        }
        b->counters[INFLATED].n += done;
        b->counters[REFUSED].n += chain_readable(&b->chain) / sizeof(le32_t) > done;
}

/* The pages come back when they are used: there is nothing to be done. */
static void deflate(struct balloon *b)
{
        b->counters[DEFLATED].n += chain_readable(&b->chain) / sizeof(le32_t);
}

/* virtio 1.2, 5.5.6.7.2: pages that have to keep their poison keep their memory, for we have only zeroes. */
static void report(struct balloon *b)
{
        struct balloon_range ranges[VQ_SEGS_MAX];
        uint64_t refused;
        unsigned n = balloon_parse_report(&b->chain, ranges, &refused);

        b->counters[REPORTS].n++;
        b->counters[REFUSED].n += refused != 0;
        if (!virtio_has(&b->dev, VIRTIO_BALLOON_F_PAGE_POISON) || !field_of(&b->config.poison_val))
                give_back(b, ranges, n);
}

/* Its buffer stays here until the next ones are wanted. A second one is none of Linux's: it takes its place. */
static void take_stats(struct balloon *b)
{
        bool is_second = b->held.vq;

        b->counters[UPDATES].n += balloon_parse_stats(&b->chain, &b->stats) != 0;
        (void)chain_done(&b->held);
        b->held = b->chain;
        b->chain.vq = NULL;
        if (!is_second)
                loop_timer_set(b->loop, &b->timer, b->interval_ns);
}

static int on_timer(struct loop_timer *timer)
{
        struct balloon *b = container_of(timer, struct balloon, timer);

        if (b->dev.paused) {
                loop_timer_set(b->loop, timer, b->interval_ns);
                return 0;
        }
        (void)chain_done(&b->held); /* a broken ring shows when it is published */
        virtio_publish(&b->dev, STATS);
        return 0;
}

static void serve(struct balloon *b, enum role role)
{
        switch (role) {
        case INFLATE:
                inflate(b);
                break;
        case DEFLATE:
                deflate(b);
                break;
        case STATS:
                take_stats(b);
                break;
        case REPORT:
                report(b);
                break;
        }
}

static int balloon_kick(struct virtio_dev *dev, unsigned qi)
{
        static const unsigned budgets[] = { INFLATE_BUDGET, DEFLATE_BUDGET, STATS_BUDGET, REPORT_BUDGET };
        struct balloon *b = to_balloon(dev);
        enum role role = role_of(dev, qi);

        for (unsigned n = budgets[role]; n; n--) {
                cleanup(chain_donep) struct vq_chain *c = &b->chain;
                int r = vq_pop(&dev->vq[qi], c);

                if (r)
                        return r;
                serve(b, role);
        }
        return VIRTIO_E_AGAIN;
}

/* Only the driver's own fields, and only whole. vCPU thread. */
static void balloon_config_write(struct virtio_dev *dev, uint32_t off, const void *src, unsigned len)
{
        struct balloon *b = to_balloon(dev);
        le32_t v;

        if (len != sizeof(v))
                return;
        memcpy(&v, src, sizeof(v));
        if (off == offsetof(struct virtio_balloon_config, actual))
                set_field(&b->config.actual, le32_get(v));
        else if (off == offsetof(struct virtio_balloon_config, poison_val))
                set_field(&b->config.poison_val, le32_get(v));
}

static bool balloon_reset(struct virtio_dev *dev)
{
        struct balloon *b = to_balloon(dev);

        loop_timer_clear(b->loop, &b->timer);
        b->held.vq = NULL;
        b->stats = (struct balloon_stats){ 0 };
        set_field(&b->config.actual, 0);
        set_field(&b->config.poison_val, 0);
        return true;
}

/* A buffer that is held is popped again by who loads this: nobody has touched it. */
static void balloon_save(const struct virtio_dev *dev, struct buf *buf)
{
        const struct balloon *b = (const struct balloon *)(const void *)dev; /* its first member */

        buf_put(buf, &b->config, sizeof(b->config));
        buf_put_u64(buf, b->interval_ns);
        buf_put_u8(buf, b->held.vq != NULL);
}

static void balloon_load(struct virtio_dev *dev, struct buf *buf)
{
        struct balloon *b = to_balloon(dev);
        bool is_held;

        buf_get(buf, &b->config, sizeof(b->config));
        b->interval_ns = buf_get_u64(buf);
        is_held = buf_get_u8(buf);
        if ((b->dev.features >> VIRTIO_BALLOON_F_STATS_VQ & 1) != (b->interval_ns != 0) ||
            (is_held && role_of(dev, STATS) != STATS))
                buf->bad = true;
        if (is_held && !buf->bad)
                dev->vq[STATS].next_avail--;
}

static void balloon_destroy(struct virtio_dev *dev)
{
        struct balloon *b = to_balloon(dev);

        loop_timer_clear(b->loop, &b->timer);
        free(b);
}

/* Linux kicks the queue of statistics first of all. */
#define BALLOON_CLASS(queues)                                                                                \
        {                                                                                                    \
                .name = "balloon", .id = VIRTIO_ID_BALLOON, .nr_queues = (queues), .queue_max = 128,         \
                .early_kicks = (queues) > NR_QUEUES, .kick = balloon_kick, .reset = balloon_reset,           \
                .config_write = balloon_config_write, .save = balloon_save, .load = balloon_load,            \
                .destroy = balloon_destroy,                                                                  \
        }

/* Each queue costs an event of KVM's and one of the loop's. */
static const struct virtio_class balloon_class = BALLOON_CLASS(NR_QUEUES),
                                 balloon_class_with_stats = BALLOON_CLASS(NR_QUEUES + 1);

static uint64_t features_of(const struct balloon_config *cfg)
{
        return 1ull << VIRTIO_BALLOON_F_PAGE_REPORTING | 1ull << VIRTIO_BALLOON_F_PAGE_POISON |
               (cfg->deflate_on_oom ? 1ull << VIRTIO_BALLOON_F_DEFLATE_ON_OOM : 0) |
               (cfg->stats_interval_ns ? 1ull << VIRTIO_BALLOON_F_STATS_VQ : 0);
}

/* The field has room for 16 TiB. */
static uint32_t pages_of(uint64_t bytes)
{
        return (uint32_t)num_min(bytes / BALLOON_PAGE_BYTES, UINT32_MAX);
}

int balloon_new(const struct balloon_config *cfg, struct virtio_dev **ret)
{
        struct balloon *b = calloc(1, sizeof(*b));

        if (!b)
                return err_new(-ENOMEM);
        virtio_init(&b->dev, cfg->stats_interval_ns ? &balloon_class_with_stats : &balloon_class, cfg->mem,
                    features_of(cfg));
        (void)snprintf(b->dev.name, sizeof(b->dev.name), "balloon0");
        for (unsigned i = 0; i < NR_STATS; i++)
                b->counters[i].name = counter_names[i];
        b->dev.stats = b->counters;
        b->dev.nr_stats = NR_STATS;
        b->dev.config = &b->config;
        b->dev.config_len = sizeof(b->config);
        b->mem = cfg->mem;
        b->loop = cfg->loop;
        b->interval_ns = cfg->stats_interval_ns;
        b->timer.call = on_timer;
        set_field(&b->config.num_pages, pages_of(cfg->target_bytes));
        *ret = &b->dev;
        return 0;
}

int balloon_set_target(struct virtio_dev *dev, uint64_t target_bytes)
{
        struct balloon *b = to_balloon(dev);

        if (target_bytes >= gmem_size(b->mem))
                return err_new(-EINVAL);
        set_field(&b->config.num_pages, pages_of(target_bytes));
        virtio_config_changed(dev);
        return 0;
}

int balloon_set_interval(struct virtio_dev *dev, uint64_t interval_ns)
{
        struct balloon *b = to_balloon(dev);

        if (!b->interval_ns)
                return err_new(-ENOTSUP);
        b->interval_ns = interval_ns;
        if (b->held.vq)
                loop_timer_set(b->loop, &b->timer, interval_ns);
        return 0;
}

void balloon_get_state(struct virtio_dev *dev, struct balloon_state *ret)
{
        struct balloon *b = to_balloon(dev);
        uint64_t actual = (uint64_t)field_of(&b->config.actual) * BALLOON_PAGE_BYTES;

        *ret = (struct balloon_state){
                .target_bytes = (uint64_t)field_of(&b->config.num_pages) * BALLOON_PAGE_BYTES,
                .actual_bytes = num_min(actual, gmem_size(b->mem)),
                .deflate_on_oom = dev->features >> VIRTIO_BALLOON_F_DEFLATE_ON_OOM & 1,
                .has_stats = b->interval_ns,
                .stats_interval_ns = b->interval_ns,
                .stats = b->stats,
        };
}
