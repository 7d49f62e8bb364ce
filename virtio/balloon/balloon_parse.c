/*
 * Requests of a balloon's driver, checked and bounded.
 * Input:  chains (guest, hostile).
 * Runs:   any thread; pure.
 * Limits: BALLOON_PFNS_MAX page numbers a call, BALLOON_REPORT_BYTES_MAX bytes of a report, BALLOON_STATS_MAX
 *         statistics.
 */
#include "virtio/balloon/balloon_parse.h"

#include <string.h>

#include "virtio/balloon/balloon_wire.h"
#include "vmm/base/num.h"
#include "vmm/mem/gmem.h"

static_assert(BALLOON_PAGE_BYTES == 1u << VIRTIO_BALLOON_PAGE_SHIFT, "virtio 1.2, 5.5.6");

/* By insertion: what comes is few, and mostly in order. */
static void sort(uint32_t *pfns, unsigned n)
{
        for (unsigned i = 1; i < n; i++) {
                uint32_t pfn = pfns[i];
                unsigned at = i;

                for (; at && pfns[at - 1] > pfn; at--)
                        pfns[at] = pfns[at - 1];
                pfns[at] = pfn;
        }
}

unsigned balloon_parse_pfns(const struct vq_chain *chain, unsigned first, struct balloon_range *ret,
                            unsigned *ret_pfns)
{
        uint64_t from = (uint64_t)first * sizeof(le32_t), all = chain_readable(chain);
        uint32_t pfns[BALLOON_PFNS_MAX];
        le32_t wire[BALLOON_PFNS_MAX];
        unsigned n, nr = 0;

        n = all > from ? (unsigned)num_min((all - from) / sizeof(le32_t), BALLOON_PFNS_MAX) : 0;
        *ret_pfns = n;
        if (!n || chain_read(chain, from, wire, n * sizeof(le32_t)))
                return 0;
        for (unsigned i = 0; i < n; i++)
                pfns[i] = le32_get(wire[i]);
        sort(pfns, n);
        for (unsigned i = 0; i < n; i++) {
                uint64_t at = (uint64_t)pfns[i] << VIRTIO_BALLOON_PAGE_SHIFT;
                uint64_t end = nr ? ret[nr - 1].at + ret[nr - 1].len : 0;

                if (nr && at < end)
                        continue; /* named twice */
                if (nr && at == end)
                        ret[nr - 1].len += BALLOON_PAGE_BYTES;
                else
                        ret[nr++] = (struct balloon_range){ .at = at, .len = BALLOON_PAGE_BYTES };
        }
        return nr;
}

/* Whole pages of a buffer; the driver's are nothing else. */
static struct balloon_range pages_of(const struct vq_seg *seg)
{
        uint64_t at = num_align_up(seg->at.v, BALLOON_PAGE_BYTES);
        uint64_t end = num_align_down(seg->at.v + seg->len, BALLOON_PAGE_BYTES);

        return (struct balloon_range){ .at = at, .len = end > at ? end - at : 0 };
}

unsigned balloon_parse_report(const struct vq_chain *chain, struct balloon_range *ret, uint64_t *ret_refused)
{
        uint64_t left = BALLOON_REPORT_BYTES_MAX;
        unsigned nr = 0;

        *ret_refused = 0;
        for (unsigned i = chain->nr_readable; i < chain->nr_segs; i++) {
                struct balloon_range r = pages_of(&chain->segs[i]);
                uint64_t len = num_min(r.len, left);

                *ret_refused += r.len - len;
                left -= len;
                if (!len)
                        continue;
                if (nr && ret[nr - 1].at + ret[nr - 1].len == r.at)
                        ret[nr - 1].len += len;
                else
                        ret[nr++] = (struct balloon_range){ .at = r.at, .len = len };
        }
        return nr;
}

unsigned balloon_parse_stats(const struct vq_chain *chain, struct balloon_stats *ret)
{
        struct virtio_balloon_stat wire[BALLOON_STATS_MAX];
        unsigned n = (unsigned)num_min(chain_readable(chain) / sizeof(wire[0]), BALLOON_STATS_MAX), known = 0;

        if (!n || chain_read(chain, 0, wire, n * sizeof(wire[0])))
                return 0;
        for (unsigned i = 0; i < n; i++) {
                uint16_t tag = le16_get(wire[i].tag);
                le64_t val;

                if (tag >= BALLOON_NR_STATS)
                        continue; /* of a newer kernel */
                memcpy(&val, wire[i].val, sizeof(val));
                ret->values[tag] = le64_get(val);
                ret->known |= 1u << tag;
                known++;
        }
        return known;
}
