#pragma once
/*
 * What a memory balloon puts on the wire (virtio 1.2, 5.5).
 */
#include <assert.h>

#include "vmm/base/endian.h"

/* 5.5.3 Feature bits */
#define VIRTIO_BALLOON_F_STATS_VQ       1
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM 2
#define VIRTIO_BALLOON_F_PAGE_POISON    4
#define VIRTIO_BALLOON_F_PAGE_REPORTING 5

/* 5.5.4 Device configuration layout */
struct virtio_balloon_config {
        le32_t num_pages; /* wanted */
        le32_t actual;    /* the driver's */
        le32_t free_page_hint_cmd_id;
        le32_t poison_val; /* the driver's */
};
static_assert(sizeof(struct virtio_balloon_config) == 16, "virtio 1.2, 5.5.4");

/* 5.5.6: page numbers count in these, whatever the guest's pages are. */
#define VIRTIO_BALLOON_PAGE_SHIFT 12

/* 5.5.6.3 Memory Statistics. Not aligned: the value is bytes. */
struct virtio_balloon_stat {
        le16_t tag;
        uint8_t val[8];
};
static_assert(sizeof(struct virtio_balloon_stat) == 10, "virtio 1.2, 5.5.6.3");
