/*
 * The driver's side of virtio.
 * Input:  tests.
 * Runs:   the test's thread.
 * Limits: what fits into the small memory.
 */
#include "tests/mock/driver.h"

#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/base/num.h"

struct gmem *mock_ram(uint64_t size)
{
        struct gmem *mem;

        ASSERT(!gmem_new(&mem));
        ASSERT(!gmem_add_ram(mem, GPA(0), size));
        return mem;
}

void mock_put(struct gmem *mem, uint64_t at, const void *src, size_t n)
{
        ASSERT(!gmem_write(mem, GPA(at), src, n));
}

void mock_get(struct gmem *mem, uint64_t at, void *dst, size_t n)
{
        ASSERT(!gmem_read(mem, GPA(at), dst, n));
}

static void put16(struct gmem *mem, uint64_t at, unsigned v)
{
        le16_t wire = le16_of((uint16_t)v);

        mock_put(mem, at, &wire, sizeof(wire));
}

static uint16_t get16(struct gmem *mem, uint64_t at)
{
        le16_t wire;

        mock_get(mem, at, &wire, sizeof(wire));
        return le16_get(wire);
}

void mock_vq_init(struct mock_vq *q, struct vq *vq, uint64_t at, uint16_t size)
{
        uint64_t avail = at + 16ull * size;
        uint64_t used = num_align_up(avail + VRING_AVAIL_RING + 2ull * size + 2, 4);

        *q = (struct mock_vq){ .mem = vq->mem, .desc = at, .avail = avail, .used = used, .size = size };
        ASSERT(used + VRING_USED_RING + 8ull * size + 2 <= at + MOCK_VQ_BYTES);
        ASSERT(!gmem_fill(vq->mem, GPA(at), 0, MOCK_VQ_BYTES));
        vq->size = size;
        vq->desc = GPA(q->desc);
        vq->avail = GPA(q->avail);
        vq->used = GPA(q->used);
        vq->ready = true;
}

void mock_desc_at(struct gmem *mem, uint64_t at, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
        struct vring_desc d = {
                .addr = le64_of(addr),
                .len = le32_of(len),
                .flags = le16_of((uint16_t)flags),
                .next = le16_of((uint16_t)next),
        };

        mock_put(mem, at, &d, sizeof(d));
}

void mock_desc(struct mock_vq *q, unsigned i, uint64_t addr, uint32_t len, unsigned flags, unsigned next)
{
        mock_desc_at(q->mem, q->desc + 16ull * i, addr, len, flags, next);
}

void mock_set_avail_idx(struct mock_vq *q, unsigned idx)
{
        q->avail_idx = (uint16_t)idx;
        put16(q->mem, q->avail + VRING_AVAIL_IDX, idx);
}

void mock_push(struct mock_vq *q, unsigned head)
{
        put16(q->mem, q->avail + VRING_AVAIL_RING + 2ull * (q->avail_idx % q->size), head);
        mock_set_avail_idx(q, q->avail_idx + 1u);
}

static unsigned flags_of(const struct mock_seg *s, bool last)
{
        return (s->writable ? VRING_DESC_F_WRITE : 0) | (last ? 0 : VRING_DESC_F_NEXT);
}

uint16_t mock_add(struct mock_vq *q, const struct mock_seg *segs, unsigned n)
{
        uint16_t head = q->next_desc;

        ASSERT(n && n <= q->size);
        for (unsigned i = 0; i < n; i++) {
                unsigned at = (head + i) % q->size, next = (head + i + 1) % q->size;

                mock_desc(q, at, segs[i].at, segs[i].len, flags_of(&segs[i], i + 1 == n), next);
        }
        q->next_desc = (uint16_t)((head + n) % q->size);
        mock_push(q, head);
        return head;
}

uint16_t mock_add_indirect(struct mock_vq *q, uint64_t table, const struct mock_seg *segs, unsigned n)
{
        uint16_t head = q->next_desc;

        for (unsigned i = 0; i < n; i++)
                mock_desc_at(q->mem, table + 16ull * i, segs[i].at, segs[i].len,
                             flags_of(&segs[i], i + 1 == n), i + 1);
        mock_desc(q, head, table, 16 * n, VRING_DESC_F_INDIRECT, 0);
        q->next_desc = (uint16_t)((head + 1) % q->size);
        mock_push(q, head);
        return head;
}

bool mock_used(struct mock_vq *q, uint32_t *ret_id, uint32_t *ret_len)
{
        struct vring_used_elem e;

        if (mock_used_idx(q) == q->used_seen)
                return false;
        mock_get(q->mem, q->used + VRING_USED_RING + 8ull * (q->used_seen % q->size), &e, sizeof(e));
        q->used_seen++;
        if (ret_id)
                *ret_id = le32_get(e.id);
        if (ret_len)
                *ret_len = le32_get(e.len);
        return true;
}

void mock_set_avail_flags(struct mock_vq *q, unsigned flags)
{
        put16(q->mem, q->avail, flags);
}

void mock_set_used_event(struct mock_vq *q, unsigned idx)
{
        put16(q->mem, q->avail + VRING_AVAIL_RING + 2ull * q->size, idx);
}

uint16_t mock_avail_event(const struct mock_vq *q)
{
        return get16(q->mem, q->used + VRING_USED_RING + 8ull * q->size);
}

uint16_t mock_used_flags(const struct mock_vq *q)
{
        return get16(q->mem, q->used);
}

uint16_t mock_used_idx(const struct mock_vq *q)
{
        return get16(q->mem, q->used + VRING_USED_IDX);
}

static void notify_queue(struct virtio_transport *t, unsigned qi)
{
        container_of(t, struct mock_dev, transport)->interrupts[qi]++;
}

static void notify_config(struct virtio_transport *t)
{
        container_of(t, struct mock_dev, transport)->config_interrupts++;
}

static void reset_done(struct virtio_transport *t)
{
        container_of(t, struct mock_dev, transport)->resets_done++;
}

void mock_dev_init(struct mock_dev *m, struct virtio_dev *dev, struct gmem *mem)
{
        *m = (struct mock_dev){
                .transport = { .notify_queue = notify_queue,
                               .notify_config = notify_config,
                               .reset_done = reset_done },
                .dev = dev,
                .mem = mem,
                .next_buf = (uint64_t)MOCK_VQ_BYTES * VIRTIO_QUEUES_MAX,
        };
        dev->transport = &m->transport;
}

void mock_dev_start(struct mock_dev *m, uint64_t without, uint16_t queue_size)
{
        uint64_t features = m->dev->features & ~without;

        virtio_set_status(m->dev, VIRTIO_STATUS_ACKNOWLEDGE);
        virtio_set_status(m->dev, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
        virtio_ack_features(m->dev, 0, (uint32_t)features);
        virtio_ack_features(m->dev, 1, (uint32_t)(features >> 32));
        virtio_set_status(m->dev, virtio_status(m->dev) | VIRTIO_STATUS_FEATURES_OK);
        ASSERT(virtio_status(m->dev) & VIRTIO_STATUS_FEATURES_OK);
        for (unsigned i = 0; i < m->dev->cls->nr_queues; i++)
                mock_vq_init(&m->vq[i], &m->dev->vq[i], (uint64_t)MOCK_VQ_BYTES * i, queue_size);
        virtio_set_status(m->dev, virtio_status(m->dev) | VIRTIO_STATUS_DRIVER_OK);
        ASSERT(virtio_is_live(m->dev));
}

int mock_kick(struct mock_dev *m, unsigned qi)
{
        int r;

        do
                r = virtio_kick(m->dev, qi);
        while (r == VIRTIO_E_AGAIN);
        return r;
}

uint64_t mock_buf(struct mock_dev *m, size_t len)
{
        uint64_t at = m->next_buf;

        m->next_buf = num_align_up(at + len, GMEM_PAGE_BYTES);
        ASSERT(m->next_buf <= gmem_size(m->mem));
        return at;
}

uint64_t mock_stat(const struct mock_dev *m, const char *name)
{
        for (unsigned i = 0; i < m->dev->nr_stats; i++)
                if (!strcmp(m->dev->stats[i].name, name))
                        return m->dev->stats[i].n;
        ASSERT(!name); /* no counter of that name */
        return 0;
}

/* Looks at the condition every TICK_NS; good enough for tests, and no call into what is tested. */
#define TICK_NS 1000000ull

struct waiter {
        struct loop_timer timer;
        struct loop *loop;
        bool (*cond)(void *arg);
        void *arg;
        uint64_t until_ns;
        bool held;
};

static int on_tick(struct loop_timer *timer)
{
        struct waiter *w = container_of(timer, struct waiter, timer);

        w->held = w->cond(w->arg);
        if (w->held || loop_now_ns() > w->until_ns)
                loop_stop(w->loop);
        else
                loop_timer_set(w->loop, timer, TICK_NS);
        return 0;
}

bool mock_run_until(struct loop *loop, bool (*cond)(void *arg), void *arg, unsigned limit_ms)
{
        struct waiter w = {
                .timer = { .call = on_tick },
                .loop = loop,
                .cond = cond,
                .arg = arg,
                .until_ns = loop_now_ns() + limit_ms * 1000000ull,
        };

        loop_timer_set(loop, &w.timer, 0);
        ASSERT(!loop_run(loop));
        loop_timer_clear(loop, &w.timer);
        return w.held;
}
