#pragma once
/*
 * A virtio block device (virtio 1.2, 5.2) over one file.
 *
 * The worker is freed before the device: then nothing of the device runs on it any more.
 */
#include "virtio/core/device.h"
#include "vmm/base/loop.h"
#include "vmm/base/worker.h"
#include "vmm/mem/gmem.h"

#define BLK_QUEUE_MAX 256u

struct blk_config {
        struct loop *loop;
        struct gmem *mem;
        struct worker *worker; /* shared by all disks */
        unsigned index;        /* names it: "blk0" */
        int fd;                /* taken, on failure too */
        bool read_only;
        bool direct;          /* opened with O_DIRECT */
        uint64_t size_bytes;  /* a multiple of block_bytes */
        uint32_t block_bytes; /* what the driver must align to: a power of two from 512; 0: 512 */
        char serial[21];      /* up to 20 characters */
};

int must_check blk_new(const struct blk_config *cfg, struct virtio_dev **ret);
