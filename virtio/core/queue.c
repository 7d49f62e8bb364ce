/*
 * A split virtqueue, the device's side.
 * Input:  rings and descriptors in guest memory, hostile, changing while we read.
 * Runs:   loop thread.
 * Limits: VQ_SIZE_MAX entries, VQ_SEGS_MAX segments a chain, 4 GiB a chain.
 */
#include "virtio/core/queue.h"

#include <stdatomic.h>

#include "virtio/core/wire.h"
#include "vmm/base/assert.h"
#include "vmm/base/num.h"

void vq_init(struct vq *vq, struct gmem *mem)
{
        *vq = (struct vq){ .mem = mem };
}

void vq_reset(struct vq *vq)
{
        *vq = (struct vq){ .mem = vq->mem, .generation = vq->generation + 1 };
}

static int broken(struct vq *vq)
{
        vq->broken = true;
        return VQ_E_BROKEN;
}

static bool in_ram(const struct vq *vq, gpa_t at, uint64_t len, uint64_t align)
{
        struct gbuf unused;

        return num_is_aligned(at.v, align) && !gmem_buf(vq->mem, at, len, &unused);
}

/* virtio 1.2, 2.7: sizes and alignments of the three parts, the event fields included. */
bool vq_check(const struct vq *vq)
{
        uint64_t n = vq->size;

        return n && n <= VQ_SIZE_MAX && !(n & (n - 1)) && in_ram(vq, vq->desc, 16 * n, 16) &&
               in_ram(vq, vq->avail, VRING_AVAIL_RING + 2 * n + 2, 2) &&
               in_ram(vq, vq->used, VRING_USED_RING + 8 * n + 2, 4);
}

/* What one walk over descriptors has seen so far. */
struct walk {
        gpa_t table;
        uint32_t table_len; /* entries */
        uint32_t budget;    /* descriptors that may still be read: a loop ends here */
        uint64_t bytes;
        bool indirect;
};

static int add_seg(const struct vq *vq, struct vq_chain *c, struct walk *w, const struct vring_desc *d)
{
        gpa_t at = GPA(le64_get(d->addr));
        uint32_t len = le32_get(d->len);
        bool writable = le16_get(d->flags) & VRING_DESC_F_WRITE;
        struct gbuf unused;

        if (c->nr_segs == VQ_SEGS_MAX || gmem_buf(vq->mem, at, len, &unused))
                return VQ_E_BROKEN;
        if (!writable && c->nr_readable != c->nr_segs)
                return VQ_E_BROKEN; /* readable after writable: 2.7.4.2 */
        w->bytes += len;
        if (w->bytes > UINT32_MAX)
                return VQ_E_BROKEN;
        c->segs[c->nr_segs++] = (struct vq_seg){ .at = at, .len = len };
        c->nr_readable = (uint16_t)(c->nr_readable + !writable);
        return 0;
}

/* virtio 1.2, 2.7.5.3: the table replaces the rest of the chain, and may not nest. */
static int enter_indirect(const struct vq *vq, struct walk *w, const struct vring_desc *d)
{
        uint32_t len = le32_get(d->len);

        if (!vq->indirect || w->indirect || le16_get(d->flags) & VRING_DESC_F_NEXT)
                return VQ_E_BROKEN;
        if (!len || len % sizeof(struct vring_desc) || len / sizeof(struct vring_desc) > VQ_SIZE_MAX)
                return VQ_E_BROKEN;
        *w = (struct walk){
                .table = GPA(le64_get(d->addr)),
                .table_len = len / (uint32_t)sizeof(struct vring_desc),
                .budget = len / (uint32_t)sizeof(struct vring_desc),
                .bytes = w->bytes,
                .indirect = true,
        };
        return 0;
}

static int walk_chain(const struct vq *vq, struct vq_chain *c)
{
        struct walk w = { .table = vq->desc, .table_len = vq->size, .budget = vq->size };
        uint32_t i = c->head;

        for (;;) {
                struct vring_desc d;
                uint16_t flags;

                if (i >= w.table_len || !w.budget--)
                        return VQ_E_BROKEN;
                if (gmem_read(vq->mem, gpa_add(w.table, 16ull * i), &d, sizeof(d)))
                        return VQ_E_BROKEN;
                flags = le16_get(d.flags);
                if (flags & VRING_DESC_F_INDIRECT) {
                        if (enter_indirect(vq, &w, &d))
                                return VQ_E_BROKEN;
                        i = 0;
                        continue;
                }
                if (add_seg(vq, c, &w, &d))
                        return VQ_E_BROKEN;
                if (!(flags & VRING_DESC_F_NEXT))
                        return 0;
                i = le16_get(d.next);
        }
}

int vq_pop(struct vq *vq, struct vq_chain *c)
{
        uint16_t idx, pending;
        le16_t head;

        if (vq->broken || !vq->ready)
                return vq->broken ? VQ_E_BROKEN : VQ_E_EMPTY;
        /* Pairs with the driver's release of idx: the entry is read after it. */
        if (gmem_load_le16_acquire(vq->mem, gpa_add(vq->avail, VRING_AVAIL_IDX), &idx))
                return broken(vq);
        pending = (uint16_t)(idx - vq->next_avail);
        if (!pending)
                return VQ_E_EMPTY;
        if (pending > vq->size)
                return broken(vq);
        if (gmem_read(vq->mem, gpa_add(vq->avail, VRING_AVAIL_RING + 2ull * (vq->next_avail % vq->size)),
                      &head, sizeof(head)))
                return broken(vq);
        c->vq = vq;
        c->generation = vq->generation;
        c->head = le16_get(head);
        c->nr_segs = c->nr_readable = 0;
        c->written = 0;
        if (walk_chain(vq, c)) {
                c->vq = NULL;
                return broken(vq);
        }
        vq->next_avail++;
        return 0;
}

void vq_unpop(struct vq_chain *c)
{
        ASSERT(c->vq && c->generation == c->vq->generation);
        c->vq->next_avail--;
        c->vq = NULL;
}

void vq_rewind(struct vq *vq, unsigned n)
{
        vq->next_avail = (uint16_t)(vq->next_avail - n);
}

int chain_done(struct vq_chain *c)
{
        struct vq *vq = c->vq;

        c->vq = NULL;
        return vq && c->generation == vq->generation ? vq_complete(vq, c->head, c->written) : 0;
}

int vq_complete(struct vq *vq, uint16_t head, uint32_t written)
{
        struct vring_used_elem e = { .id = le32_of(head), .len = le32_of(written) };

        if (vq->broken)
                return 0;
        if (gmem_write(vq->mem, gpa_add(vq->used, VRING_USED_RING + 8ull * (vq->next_used % vq->size)), &e,
                       sizeof(e)))
                return broken(vq);
        vq->next_used++;
        return 0;
}

/* virtio 1.2, 2.7.7.2 and 2.7.8: did the driver ask to hear of anything in (from, to]? */
static int wants_interrupt(struct vq *vq, uint16_t from, uint16_t to, bool *ret)
{
        gpa_t at = vq->event_idx ? gpa_add(vq->avail, VRING_AVAIL_RING + 2ull * vq->size) : vq->avail;
        uint16_t v;

        /* The new index must be visible before we look whether somebody waits for it; pairs with the
         * driver's barrier between its write of used_event (or flags) and its look at the index. */
        atomic_thread_fence(memory_order_seq_cst);
        if (gmem_load_le16_acquire(vq->mem, at, &v))
                return broken(vq);
        if (vq->event_idx)
                *ret = (uint16_t)(to - v - 1) < (uint16_t)(to - from);
        else
                *ret = !(v & VRING_AVAIL_F_NO_INTERRUPT);
        return 0;
}

int vq_publish(struct vq *vq, bool *ret_notify)
{
        uint16_t from = vq->published;

        *ret_notify = false;
        if (vq->broken)
                return VQ_E_BROKEN;
        if (from == vq->next_used)
                return 0;
        if (gmem_store_le16_release(vq->mem, gpa_add(vq->used, VRING_USED_IDX), vq->next_used))
                return broken(vq);
        vq->published = vq->next_used;
        return wants_interrupt(vq, from, vq->published, ret_notify);
}

static int set_notify(struct vq *vq, bool on)
{
        int r = 0;

        if (vq->event_idx) {
                /* No kick: leave the event where it was, behind. The driver kicks at most once more. */
                if (on)
                        r = gmem_store_le16_release(vq->mem,
                                                    gpa_add(vq->used, VRING_USED_RING + 8ull * vq->size),
                                                    vq->next_avail);
        } else {
                r = gmem_store_le16_release(vq->mem, vq->used, on ? 0 : (uint16_t)VRING_USED_F_NO_NOTIFY);
        }
        return r ? broken(vq) : 0;
}

int vq_disarm(struct vq *vq)
{
        return vq->broken ? VQ_E_BROKEN : set_notify(vq, false);
}

int vq_arm(struct vq *vq, bool *ret_more)
{
        uint16_t idx;

        *ret_more = false;
        if (vq->broken || set_notify(vq, true))
                return VQ_E_BROKEN;
        /* Pairs with the driver's barrier between its index and its look at our wish: one sees the other. */
        atomic_thread_fence(memory_order_seq_cst);
        if (gmem_load_le16_acquire(vq->mem, gpa_add(vq->avail, VRING_AVAIL_IDX), &idx))
                return broken(vq);
        *ret_more = idx != vq->next_avail;
        return 0;
}

void vq_save(const struct vq *vq, struct buf *b)
{
        buf_put_u16(b, vq->size);
        buf_put_u8(b, vq->ready);
        buf_put_u8(b, vq->broken);
        buf_put_u64(b, vq->desc.v);
        buf_put_u64(b, vq->avail.v);
        buf_put_u64(b, vq->used.v);
        buf_put_u16(b, vq->next_avail);
        buf_put_u16(b, vq->next_used);
        buf_put_u16(b, vq->published);
        buf_put_u16(b, 0);
}

void vq_load(struct vq *vq, struct buf *b)
{
        vq->size = buf_get_u16(b);
        vq->ready = buf_get_u8(b);
        vq->broken = buf_get_u8(b);
        vq->desc = GPA(buf_get_u64(b));
        vq->avail = GPA(buf_get_u64(b));
        vq->used = GPA(buf_get_u64(b));
        vq->next_avail = buf_get_u16(b);
        vq->next_used = buf_get_u16(b);
        vq->published = buf_get_u16(b);
        (void)buf_get_u16(b);
        if (vq->size > VQ_SIZE_MAX || (vq->ready && !vq_check(vq)))
                b->bad = true;
}
