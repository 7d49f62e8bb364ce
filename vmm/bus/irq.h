#pragma once
/*
 * An interrupt source as its user sees it. Behind it may be a line, an irqfd or a message; a test
 * counts. Any thread.
 */

struct irq {
        void (*raise)(struct irq *irq); /* one edge */
};

static inline void irq_raise(struct irq *irq)
{
        irq->raise(irq);
}
