#pragma once
/*
 * The memory balloon (virtio 1.2, 5.5): memory goes from the guest back to the host.
 *
 * - What the guest has free it reports by itself, in pieces of 2 MiB or more, and takes back by using it. Always
 *   offered; costs nothing until the guest frees memory.
 * - What is asked for (the target) the guest takes out of use, page by page, until it is asked for less.
 * - Statistics come every interval, if that was set when the device was made.
 *
 * Thread: loop.
 */
#include "virtio/core/device.h"
#include "vmm/base/loop.h"

#define BALLOON_PAGE_BYTES 4096u

/* What a guest tells of its memory; by tag (virtio 1.2, 5.5.6.4, and what Linux added). Sizes are bytes. */
#define BALLOON_NR_STATS 16
extern const char *const balloon_stat_names[BALLOON_NR_STATS]; /* as Firecracker's API calls them */

struct balloon_stats {
        uint32_t known; /* bit by tag */
        uint64_t values[BALLOON_NR_STATS];
};

struct balloon_state {
        uint64_t target_bytes;
        uint64_t actual_bytes; /* what the guest says it has given */
        bool deflate_on_oom;
        bool has_stats;
        uint64_t stats_interval_ns;
        struct balloon_stats stats; /* the last that came */
};

struct balloon_config {
        struct loop *loop;
        struct gmem *mem;
        uint64_t target_bytes;
        bool deflate_on_oom;        /* the guest takes pages back rather than kill a process */
        uint64_t stats_interval_ns; /* 0: no statistics, for good */
};

int must_check balloon_new(const struct balloon_config *cfg, struct virtio_dev **ret);

/*
 * balloon_set_target() - less than a page does not count; the guest comes after in its own time
 * Return: 0, or -EINVAL when that is all of its memory, or more.
 */
int must_check balloon_set_target(struct virtio_dev *dev, uint64_t target_bytes);
/* @interval_ns: not 0; from now on. Return: 0, or -ENOTSUP when the device was made without. */
int must_check balloon_set_interval(struct virtio_dev *dev, uint64_t interval_ns);
void balloon_get_state(struct virtio_dev *dev, struct balloon_state *ret);
