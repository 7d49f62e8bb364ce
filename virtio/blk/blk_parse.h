#pragma once
/*
 * A request chain, checked. Pure: no I/O, no allocation, no state.
 *
 * Layout of a chain (virtio 1.2, 5.2.6), however the driver cuts it into segments: a header of 16
 * bytes and, for those that send any, data; then, writable, data for those that receive any, and in
 * the very last byte the status.
 */
#include <stdbool.h>
#include <stdint.h>

#include "virtio/core/chain.h"

/* Ranges of one discard or write-zeroes request: enough that a driver's merging pays, and 256 bytes. */
#define BLK_RANGES_MAX 16u
/* Sectors of one range. Zeroing may mean writing them all, so it is held shorter. */
#define BLK_DISCARD_SECTORS_MAX (1u << 21)
#define BLK_ZEROES_SECTORS_MAX  (1u << 17)

enum blk_kind { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_GET_ID, BLK_DISCARD, BLK_WRITE_ZEROES };
#define BLK_NR_KINDS 6

enum {
        BLK_E_BROKEN = 1, /* no room for a status, or no header: nothing can be answered */
        BLK_E_IOERR,      /* to be answered with that status, as is */
        BLK_E_UNSUPP,     /* this */
};

struct blk_limits {
        uint64_t size_bytes; /* of the disk */
        uint64_t features;   /* negotiated */
        bool read_only;
};

/* Bytes; within the disk. */
struct blk_range {
        uint64_t at;
        uint64_t len;
        bool unmap;
};

/* Fields that a kind does not name are not set. */
struct blk_parsed {
        enum blk_kind kind;
        unsigned nr_ranges; /* DISCARD, WRITE_ZEROES */
        uint64_t status_at; /* in the writable part; all kinds, and with E_IOERR and E_UNSUPP too */
        uint64_t at;        /* READ, WRITE: byte on the disk; the data lies at data_at of its part */
        uint64_t data_at;   /* READ, WRITE, GET_ID */
        uint64_t len;       /* READ, WRITE: a multiple of 512, not 0; GET_ID: room, at least its 20 bytes */
        struct blk_range ranges[BLK_RANGES_MAX];
};

/* Return: 0 or BLK_E_*. */
int must_check blk_parse(const struct vq_chain *chain, const struct blk_limits *limits,
                         struct blk_parsed *ret);
