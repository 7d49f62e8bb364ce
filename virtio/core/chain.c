/*
 * Reading and writing a popped chain.
 * Input:  segments that vq_pop() has checked against RAM; their content is the guest's.
 * Runs:   loop thread, or the worker that was handed the chain.
 * Limits: VQ_SEGS_MAX segments.
 */
#include "virtio/core/chain.h"

#include "vmm/base/assert.h"
#include "vmm/base/num.h"

static uint64_t sum(const struct vq_chain *c, unsigned from, unsigned to)
{
        uint64_t n = 0;

        for (unsigned i = from; i < to; i++)
                n += c->segs[i].len;
        return n;
}

uint64_t chain_readable(const struct vq_chain *c)
{
        return sum(c, 0, c->nr_readable);
}

uint64_t chain_writable(const struct vq_chain *c)
{
        return sum(c, c->nr_readable, c->nr_segs);
}

/*
 * Walks [at, at + n) of the segments [from, to): each step gives one piece.
 * Return: false at the end of the segments.
 */
struct walk {
        unsigned i, to;
        uint64_t skip, left;
};

static bool next_piece(const struct vq_chain *c, struct walk *w, struct vq_seg *ret)
{
        for (; w->i < w->to; w->i++) {
                const struct vq_seg *s = &c->segs[w->i];

                if (w->skip >= s->len) {
                        w->skip -= s->len;
                        continue;
                }
                ret->at = gpa_add(s->at, w->skip);
                ret->len = (uint32_t)num_min(s->len - w->skip, w->left);
                w->skip = 0;
                w->left -= ret->len;
                w->i++;
                return true;
        }
        return false;
}

int chain_read(const struct vq_chain *c, uint64_t at, void *dst, size_t n)
{
        struct walk w = { .i = 0, .to = c->nr_readable, .skip = at, .left = n };
        struct vq_seg s;
        uint8_t *p = dst;

        while (w.left) {
                if (!next_piece(c, &w, &s) || gmem_read(c->vq->mem, s.at, p, s.len))
                        return VQ_E_BROKEN;
                p += s.len;
        }
        return 0;
}

int chain_write(struct vq_chain *c, uint64_t at, const void *src, size_t n)
{
        struct walk w = { .i = c->nr_readable, .to = c->nr_segs, .skip = at, .left = n };
        struct vq_seg s;
        const uint8_t *p = src;

        while (w.left) {
                if (!next_piece(c, &w, &s) || gmem_write(c->vq->mem, s.at, p, s.len))
                        return VQ_E_BROKEN;
                p += s.len;
        }
        chain_wrote(c, at + n);
        return 0;
}

static unsigned bufs(const struct vq_chain *c, struct walk w, struct gbuf *ret)
{
        struct vq_seg s;
        unsigned n = 0;

        while (w.left) {
                if (!next_piece(c, &w, &s) || gmem_buf(c->vq->mem, s.at, s.len, &ret[n]))
                        return 0;
                n++;
        }
        return n;
}

unsigned chain_bufs_readable(const struct vq_chain *c, uint64_t at, uint64_t n, struct gbuf *ret)
{
        return bufs(c, (struct walk){ .i = 0, .to = c->nr_readable, .skip = at, .left = n }, ret);
}

unsigned chain_bufs_writable(const struct vq_chain *c, uint64_t at, uint64_t n, struct gbuf *ret)
{
        return bufs(c, (struct walk){ .i = c->nr_readable, .to = c->nr_segs, .skip = at, .left = n }, ret);
}

void chain_wrote(struct vq_chain *c, uint64_t end)
{
        ASSERT(end <= UINT32_MAX);
        if (end > c->written)
                c->written = (uint32_t)end;
}
