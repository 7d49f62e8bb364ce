/*
 * Virtqueues: a ring's place and an image of guest memory in, every chain out.
 * Input:  struct head, then RAM from address 0 on; the rest of RAM is zero.
 * Runs:   main thread.
 * Limits: RAM_BYTES of memory, POPS_MAX chains.
 */
#include <string.h>

#include "virtio/core/chain.h"
#include "virtio/core/queue.h"
#include "vmm/base/assert.h"
#include "vmm/base/endian.h"
#include "vmm/mem/gio.h"

#define RAM_BYTES 0x10000u
#define POPS_MAX  256u

struct head {
        le32_t desc, avail, used;
        le16_t size;
        le16_t next;   /* entry to begin with */
        uint8_t flags; /* 1: indirect, 2: event index */
        uint8_t unused[3];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_part(struct gmem *mem, const struct vq_chain *c, uint64_t bytes, bool writable)
{
        static struct gbuf bufs[VQ_SEGS_MAX];
        uint64_t sum = 0;
        unsigned nr =
                writable ? chain_bufs_writable(c, 0, bytes, bufs) : chain_bufs_readable(c, 0, bytes, bufs);

        ASSERT(nr <= VQ_SEGS_MAX && (nr || !bytes));
        for (unsigned i = 0; i < nr; i++)
                sum += bufs[i].len;
        ASSERT(sum == bytes);
        /* Not a byte more. */
        ASSERT(!(writable ? chain_bufs_writable(c, 0, bytes + 1, bufs)
                          : chain_bufs_readable(c, 0, bytes + 1, bufs)));
        ASSERT(!(writable ? chain_bufs_writable(c, bytes, 1, bufs) : chain_bufs_readable(c, bytes, 1, bufs)));
        (void)mem;
}

/* What vq_pop() promises of a chain. */
static void check_chain(struct gmem *mem, const struct vq *vq, struct vq_chain *c)
{
        uint64_t readable = chain_readable(c), writable = chain_writable(c);
        uint8_t few[64];
        struct gbuf unused;

        ASSERT(c->vq == vq && c->generation == vq->generation && c->head < vq->size && !c->written);
        ASSERT(c->nr_segs && c->nr_segs <= VQ_SEGS_MAX && c->nr_readable <= c->nr_segs);
        ASSERT(readable + writable <= UINT32_MAX);
        for (unsigned i = 0; i < c->nr_segs; i++)
                ASSERT(!gmem_buf(mem, c->segs[i].at, c->segs[i].len, &unused));
        check_part(mem, c, readable, false);
        check_part(mem, c, writable, true);
        ASSERT(!!chain_read(c, readable / 2, few, sizeof(few)) == (readable - readable / 2 < sizeof(few)));
        memset(few, 0xa5, sizeof(few));
        ASSERT(!!chain_write(c, writable / 2, few, sizeof(few)) == (writable - writable / 2 < sizeof(few)));
        ASSERT(c->written <= writable);
}

static void check_save(struct gmem *mem, const struct vq *vq)
{
        uint8_t first[128], second[128];
        struct buf a = buf_of(first, sizeof(first)), b = buf_of(second, sizeof(second));
        struct vq other;

        vq_save(vq, &a);
        vq_init(&other, mem);
        a = buf_of(first, a.at);
        vq_load(&other, &a);
        ASSERT(!a.bad && !buf_left(&a));
        vq_save(&other, &b);
        ASSERT(b.at == a.size && !memcmp(first, second, a.size));
}

static void pop_all(struct gmem *mem, struct vq *vq)
{
        static struct vq_chain c;
        bool flag;
        int r = 0;

        for (unsigned i = 0; i < POPS_MAX && !r; i++) {
                r = vq_pop(vq, &c);
                if (r)
                        break;
                if (i % 8 == 7) {
                        vq_unpop(&c);
                        r = vq_pop(vq, &c);
                        if (r)
                                break; /* our own writes may have changed the rings */
                }
                check_chain(mem, vq, &c);
                (void)chain_done(&c);
                if (i % 3 == 0)
                        (void)!vq_publish(vq, &flag);
        }
        check_save(mem, vq);
        if (r == VQ_E_BROKEN) {
                ASSERT(vq_pop(vq, &c) == VQ_E_BROKEN && vq_publish(vq, &flag) == VQ_E_BROKEN && !flag);
                ASSERT(vq_arm(vq, &flag) == VQ_E_BROKEN && vq_disarm(vq) == VQ_E_BROKEN);
                return;
        }
        (void)!vq_disarm(vq);
        (void)!vq_arm(vq, &flag);
        (void)!vq_publish(vq, &flag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static struct gmem *mem;
        static struct vq vq;
        struct head h;

        if (!mem) {
                ASSERT(!gmem_new(&mem));
                ASSERT(!gmem_add_ram(mem, GPA(0), RAM_BYTES));
        }
        if (n < sizeof(h) || n - sizeof(h) > RAM_BYTES)
                return 0;
        memcpy(&h, data, sizeof(h));
        ASSERT(!gmem_fill(mem, GPA(0), 0, RAM_BYTES));
        ASSERT(!gmem_write(mem, GPA(0), data + sizeof(h), n - sizeof(h)));
        vq_init(&vq, mem);
        vq.size = le16_get(h.size);
        vq.desc = GPA(le32_get(h.desc));
        vq.avail = GPA(le32_get(h.avail));
        vq.used = GPA(le32_get(h.used));
        if (!vq_check(&vq))
                return 0;
        vq.next_avail = vq.next_used = vq.published = le16_get(h.next);
        vq.indirect = h.flags & 1;
        vq.event_idx = h.flags & 2;
        vq.ready = true;
        pop_all(mem, &vq);
        return 0;
}
