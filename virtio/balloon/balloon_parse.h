#pragma once
/*
 * Requests of a balloon's driver, checked and bounded. Pure: no I/O, no allocation, no state. Where a range
 * lies is not looked at: gmem_discard() does that.
 */
#include "virtio/balloon/balloon.h"
#include "virtio/core/chain.h"

/* Page numbers looked at a time: as many as Linux sends at once. */
#define BALLOON_PFNS_MAX 256u
/* Bytes of a report that are given back; Linux reports up to 32 pieces of 4 MiB. Freeing takes time. */
#define BALLOON_REPORT_BYTES_MAX (256ull << 20)
/* Entries of a statistics buffer that are looked at. */
#define BALLOON_STATS_MAX 64u

/* Whole pages. */
struct balloon_range {
        uint64_t at;
        uint64_t len;
};

/*
 * balloon_parse_pfns() - page numbers in the readable part, from entry @first on
 * @ret: room for BALLOON_PFNS_MAX: in order, apart from each other, as few as can be
 * @ret_pfns: entries that were looked at; 0: there are no more
 * Return: number of ranges
 */
unsigned balloon_parse_pfns(const struct vq_chain *chain, unsigned first, struct balloon_range *ret,
                            unsigned *ret_pfns);

/*
 * balloon_parse_report() - the buffers that a report is made of
 * @ret: room for VQ_SEGS_MAX: neighbours are one
 * @ret_refused: bytes beyond BALLOON_REPORT_BYTES_MAX
 * Return: number of ranges
 */
unsigned balloon_parse_report(const struct vq_chain *chain, struct balloon_range *ret, uint64_t *ret_refused);

/* balloon_parse_stats() - what is not named stays as it was. Return: entries that were understood. */
unsigned balloon_parse_stats(const struct vq_chain *chain, struct balloon_stats *ret);
