#pragma once
/*
 * What a block device puts on the wire (virtio 1.2, 5.2).
 */
#include <assert.h>
#include <stddef.h>

#include "vmm/base/endian.h"

/* 5.2.3 Feature bits */
#define VIRTIO_BLK_F_SEG_MAX      2
#define VIRTIO_BLK_F_RO           5
#define VIRTIO_BLK_F_BLK_SIZE     6
#define VIRTIO_BLK_F_FLUSH        9
#define VIRTIO_BLK_F_DISCARD      13
#define VIRTIO_BLK_F_WRITE_ZEROES 14

/* 5.2.4 Device configuration layout */
struct virtio_blk_config {
        le64_t capacity; /* in sectors, as everything that is not said to be bytes */
        le32_t size_max;
        le32_t seg_max;
        le16_t cylinders;
        uint8_t heads;
        uint8_t sectors;
        le32_t blk_size; /* bytes */
        uint8_t physical_block_exp;
        uint8_t alignment_offset;
        le16_t min_io_size;
        le32_t opt_io_size;
        uint8_t writeback;
        uint8_t unused0;
        le16_t num_queues;
        le32_t max_discard_sectors;
        le32_t max_discard_seg;
        le32_t discard_sector_alignment;
        le32_t max_write_zeroes_sectors;
        le32_t max_write_zeroes_seg;
        uint8_t write_zeroes_may_unmap;
        uint8_t unused1[3];
        le32_t max_secure_erase_sectors;
        le32_t max_secure_erase_seg;
        le32_t secure_erase_sector_alignment;
};
static_assert(offsetof(struct virtio_blk_config, blk_size) == 20, "virtio 1.2, 5.2.4");
static_assert(offsetof(struct virtio_blk_config, max_discard_sectors) == 36, "virtio 1.2, 5.2.4");
static_assert(sizeof(struct virtio_blk_config) == 72, "virtio 1.2, 5.2.4");

/* 5.2.6 Device Operation */
struct virtio_blk_hdr {
        le32_t type;
        le32_t reserved;
        le64_t sector;
};
static_assert(sizeof(struct virtio_blk_hdr) == 16, "virtio 1.2, 5.2.6");

#define VIRTIO_BLK_T_IN           0u
#define VIRTIO_BLK_T_OUT          1u
#define VIRTIO_BLK_T_FLUSH        4u
#define VIRTIO_BLK_T_GET_ID       8u
#define VIRTIO_BLK_T_DISCARD      11u
#define VIRTIO_BLK_T_WRITE_ZEROES 13u

struct virtio_blk_range {
        le64_t sector;
        le32_t num_sectors;
        le32_t flags;
};
static_assert(sizeof(struct virtio_blk_range) == 16, "virtio 1.2, 5.2.6");

#define VIRTIO_BLK_RANGE_F_UNMAP 1u

#define VIRTIO_BLK_S_OK     0u
#define VIRTIO_BLK_S_IOERR  1u
#define VIRTIO_BLK_S_UNSUPP 2u

#define VIRTIO_BLK_ID_BYTES 20u
#define VIRTIO_BLK_SECTOR   512u
