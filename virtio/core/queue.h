#pragma once
/*
 * A split virtqueue, the device's side (virtio 1.2, 2.7).
 *
 * vq_pop() is the only reader of descriptors. It copies each once and gives a checked chain: indexes in
 * range, the walk bounded, readable before writable, one level of indirection and only if negotiated,
 * every range inside RAM. A guest that breaks a rule gets VQ_E_BROKEN, and the queue stays broken until
 * the device is reset: EMPTY is not BROKEN.
 *
 * A chain is an owner's storage. After vq_pop() it is live until chain_done() puts it into the used ring
 * with the count of bytes that were written. The used index becomes visible at vq_publish(), once a
 * batch. Thread: loop.
 */
#include <stdbool.h>
#include <stdint.h>

#include "vmm/base/buf.h"
#include "vmm/base/cleanup.h"
#include "vmm/mem/gmem.h"

#define VQ_SIZE_MAX 1024u
/* Segments of a chain: what Linux asks of a block device (126) and its header and status. */
#define VQ_SEGS_MAX 128u

enum {
        VQ_E_EMPTY = 1,
        VQ_E_BROKEN = 2,
};

struct vq {
        struct gmem *mem;    /* const after init */
        uint16_t size;       /* power of two, 1 .. VQ_SIZE_MAX */
        bool ready;          /* set up by the driver */
        bool broken;         /* the guest broke a rule; until reset */
        bool event_idx;      /* negotiated */
        bool indirect;       /* negotiated */
        gpa_t desc;          /* descriptor table */
        gpa_t avail;         /* driver area */
        gpa_t used;          /* device area */
        uint16_t next_avail; /* next entry of the available ring to pop */
        uint16_t next_used;  /* next entry of the used ring to fill */
        uint16_t published;  /* used index as the driver sees it */
        uint32_t generation; /* goes up with each reset */
};

struct vq_seg {
        gpa_t at;
        uint32_t len;
};

struct vq_chain {
        struct vq *vq; /* NULL: not live */
        uint32_t generation;
        uint16_t head;
        uint16_t nr_segs;
        uint16_t nr_readable; /* the first of segs; the rest is writable */
        uint32_t written;
        struct vq_seg segs[VQ_SEGS_MAX];
};

void vq_init(struct vq *vq, struct gmem *mem);
void vq_reset(struct vq *vq);

/*
 * vq_check() - may the queue start? Called when the driver says DRIVER_OK.
 * Return: false when a ring is misaligned or lies outside RAM.
 */
bool vq_check(const struct vq *vq);

/* Return: 0, VQ_E_EMPTY or VQ_E_BROKEN. *chain is written only on 0. */
int must_check vq_pop(struct vq *vq, struct vq_chain *chain);
/* vq_unpop() - give the last popped chain back, untouched: it will be popped again */
void vq_unpop(struct vq_chain *chain);

/* Return: 0 or VQ_E_BROKEN. Ends the chain; does nothing for one that is not live or of an older generation. */
int chain_done(struct vq_chain *chain);

/*
 * For a device that keeps less of a chain than all of it: its head, and pieces of memory that were checked.
 * vq_complete() - as chain_done() does: @head was popped from this queue, since its last reset
 * vq_rewind() - as vq_unpop() does for the last @n that were popped and not completed
 */
int vq_complete(struct vq *vq, uint16_t head, uint32_t written);
void vq_rewind(struct vq *vq, unsigned n);

/*
 * vq_publish() - show the driver what is done
 * @ret_notify: true when it asked to be interrupted for it
 * Return: 0 or VQ_E_BROKEN.
 */
int must_check vq_publish(struct vq *vq, bool *ret_notify);

/*
 * vq_arm() - ask for a kick at the next entry; vq_disarm() asks for none (a hint)
 * @ret_more: entries came meanwhile: pop again
 * Return: 0 or VQ_E_BROKEN.
 */
int must_check vq_arm(struct vq *vq, bool *ret_more);
int must_check vq_disarm(struct vq *vq);

static inline void chain_donep(struct vq_chain **chain)
{
        if (*chain)
                (void)chain_done(*chain);
        *chain = NULL;
}

/* vq_load() checks what it reads: *b is bad when it cannot be. */
void vq_save(const struct vq *vq, struct buf *b);
void vq_load(struct vq *vq, struct buf *b);
