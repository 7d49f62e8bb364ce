/*
 * Requests of a balloon's driver: a chain in, ranges or statistics out.
 * Input:  struct head, then the content of RAM.
 * Runs:   main thread.
 * Limits: RAM_BYTES of memory, NR_SEGS segments; a report's lie anywhere below REPORT_END, as if that were RAM.
 */
#include <string.h>

#include "virtio/balloon/balloon_parse.h"
#include "vmm/base/assert.h"
#include "vmm/base/endian.h"

#define RAM_BYTES  0x4000u
#define REPORT_END (1ull << 46)
#define NR_SEGS    8u

struct head {
        uint8_t kind; /* page numbers, report, statistics */
        uint8_t nr_segs;
        uint8_t nr_readable;
        uint8_t unused;
        le32_t first;
        struct {
                le64_t at;
                le32_t len;
                le32_t unused;
        } segs[NR_SEGS];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_whole(const struct balloon_range *r)
{
        ASSERT(r->len && r->at % BALLOON_PAGE_BYTES == 0 && r->len % BALLOON_PAGE_BYTES == 0);
}

static void pfns(const struct vq_chain *c, uint32_t first)
{
        struct balloon_range got[BALLOON_PFNS_MAX];
        unsigned looked, n = balloon_parse_pfns(c, first, got, &looked);
        uint64_t pages = 0;

        ASSERT(n <= looked && looked <= BALLOON_PFNS_MAX && !n == !looked);
        for (unsigned i = 0; i < n; i++) {
                check_whole(&got[i]);
                ASSERT(!i || got[i].at > got[i - 1].at + got[i - 1].len);
                pages += got[i].len / BALLOON_PAGE_BYTES;
        }
        ASSERT(pages <= looked);
}

static void report(const struct vq_chain *c)
{
        struct balloon_range got[VQ_SEGS_MAX];
        uint64_t refused, sum = 0;
        unsigned n = balloon_parse_report(c, got, &refused);

        ASSERT(n + c->nr_readable <= c->nr_segs);
        for (unsigned i = 0; i < n; i++) {
                check_whole(&got[i]);
                ASSERT(got[i].at + got[i].len <= REPORT_END);
                sum += got[i].len;
        }
        ASSERT(sum <= BALLOON_REPORT_BYTES_MAX && sum + refused <= chain_writable(c));
        ASSERT(!refused || sum == BALLOON_REPORT_BYTES_MAX);
}

static void statistics(const struct vq_chain *c)
{
        struct balloon_stats got = { 0 };
        unsigned n = balloon_parse_stats(c, &got);

        ASSERT(n <= BALLOON_STATS_MAX && !n == !got.known && !(got.known >> BALLOON_NR_STATS));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static struct gmem *mem;
        static struct vq vq;
        static struct vq_chain c;
        struct head h;

        if (!mem) {
                ASSERT(!gmem_new(&mem));
                ASSERT(!gmem_add_ram(mem, GPA(0), RAM_BYTES));
                vq_init(&vq, mem);
        }
        if (n < sizeof(h) || n - sizeof(h) > RAM_BYTES)
                return 0;
        memcpy(&h, data, sizeof(h));
        ASSERT(!gmem_fill(mem, GPA(0), 0, RAM_BYTES));
        ASSERT(!gmem_write(mem, GPA(0), data + sizeof(h), n - sizeof(h)));
        c = (struct vq_chain){ .vq = &vq, .nr_segs = h.nr_segs % (NR_SEGS + 1) };
        c.nr_readable = (uint16_t)(h.nr_readable % (c.nr_segs + 1u));
        for (unsigned i = 0; i < c.nr_segs; i++) {
                uint64_t end = h.kind % 3 == 1 ? REPORT_END : RAM_BYTES, at = le64_get(h.segs[i].at) % end;
                uint64_t len = le32_get(h.segs[i].len);

                c.segs[i] =
                        (struct vq_seg){ .at = GPA(at), .len = (uint32_t)(len < end - at ? len : end - at) };
        }
        if (h.kind % 3 == 0)
                pfns(&c, le32_get(h.first));
        else if (h.kind % 3 == 1)
                report(&c);
        else
                statistics(&c);
        return 0;
}
