/*
 * Block requests: a chain in, a checked request out.
 * Input:  struct head, NR_SEGS lengths of two bytes, then the readable bytes; the rest of RAM is zero.
 * Runs:   main thread.
 * Limits: RAM_BYTES of memory, NR_SEGS segments.
 */
#include <string.h>

#include "virtio/blk/blk_parse.h"
#include "virtio/blk/blk_wire.h"
#include "vmm/base/assert.h"

#define RAM_BYTES 0x10000u
#define NR_SEGS   8u

struct head {
        le64_t size_bytes;
        le64_t features;
        uint8_t read_only;
        uint8_t nr_segs;
        uint8_t nr_readable;
        uint8_t unused[5];
        le16_t len[NR_SEGS];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_range(const struct blk_limits *l, uint64_t at, uint64_t len)
{
        ASSERT(at % VIRTIO_BLK_SECTOR == 0 && len % VIRTIO_BLK_SECTOR == 0);
        ASSERT(at <= l->size_bytes && len <= l->size_bytes - at);
}

static void check(const struct vq_chain *c, const struct blk_limits *l, const struct blk_parsed *p)
{
        ASSERT((unsigned)p->kind < BLK_NR_KINDS && p->status_at == chain_writable(c) - 1);
        switch (p->kind) {
        case BLK_READ:
                ASSERT(p->len && p->data_at + p->len <= p->status_at);
                check_range(l, p->at, p->len);
                break;
        case BLK_WRITE:
                ASSERT(!l->read_only && p->len && p->data_at + p->len <= chain_readable(c));
                check_range(l, p->at, p->len);
                break;
        case BLK_GET_ID:
                ASSERT(p->len >= VIRTIO_BLK_ID_BYTES && p->data_at + p->len <= p->status_at);
                break;
        case BLK_DISCARD:
        case BLK_WRITE_ZEROES:
                ASSERT(!l->read_only && p->nr_ranges && p->nr_ranges <= BLK_RANGES_MAX);
                for (unsigned i = 0; i < p->nr_ranges; i++) {
                        check_range(l, p->ranges[i].at, p->ranges[i].len);
                        ASSERT(p->ranges[i].len <= (uint64_t)VIRTIO_BLK_SECTOR * BLK_DISCARD_SECTORS_MAX);
                        ASSERT(p->kind == BLK_WRITE_ZEROES || !p->ranges[i].unmap);
                }
                break;
        case BLK_FLUSH:
        default:
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static struct gmem *mem;
        static struct vq vq;
        static struct vq_chain c;
        struct blk_parsed p;
        struct blk_limits l;
        struct head h;
        uint64_t at = 0;
        int r;

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
                c.segs[i] =
                        (struct vq_seg){ .at = GPA(at), .len = le16_get(h.len[i]) % (RAM_BYTES / NR_SEGS) };
                at += c.segs[i].len;
        }
        l = (struct blk_limits){ .size_bytes = le64_get(h.size_bytes) % (1ull << 62),
                                 .features = le64_get(h.features),
                                 .read_only = h.read_only & 1 };
        r = blk_parse(&c, &l, &p);
        ASSERT(r == 0 || r == BLK_E_BROKEN || r == BLK_E_IOERR || r == BLK_E_UNSUPP);
        if (!r)
                check(&c, &l, &p);
        else if (r != BLK_E_BROKEN)
                ASSERT(p.status_at == chain_writable(&c) - 1);
        return 0;
}
