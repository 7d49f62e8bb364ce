#pragma once
/*
 * A virtio block device (virtio 1.2, 5.2) over one file.
 *
 * The worker is freed before the device: then nothing of the device runs on it any more.
 */
#include "virtio/core/device.h"
#include "vmm/base/loop.h"
#include "vmm/base/rate.h"
#include "vmm/base/worker.h"
#include "vmm/mem/gmem.h"

#define BLK_QUEUE_MAX 256u

struct blk_file {
        int fd;               /* taken, on failure too */
        bool direct;          /* opened with O_DIRECT */
        uint64_t size_bytes;  /* a multiple of block_bytes */
        uint32_t block_bytes; /* what the driver must align to: a power of two from 512; 0: 512 */
};

struct blk_config {
        struct loop *loop;
        struct gmem *mem;
        struct worker *worker; /* shared by all disks */
        unsigned index;        /* names it: "blk0" */
        struct blk_file file;
        bool read_only;
        struct rate_config rate;
        char serial[21]; /* up to 20 characters */
};

int must_check blk_new(const struct blk_config *cfg, struct virtio_dev **ret);

/*
 * While the guest runs; loop thread.
 *
 * blk_set_rate() - other limits from now on, with full buckets. What waits is looked at again.
 * blk_replace() - another file takes the place of this one, as soon as what is in flight has ended; requests
 *                 that come meanwhile wait for it. The driver is told of the new size.
 *                 -EINVAL: the size is odd, or its blocks are larger than the driver was promised.
 */
void blk_set_rate(struct virtio_dev *dev, const struct rate_config *cfg);
int must_check blk_replace(struct virtio_dev *dev, const struct blk_file *file);
