#pragma once
/*
 * The gateway's TCP, by lwIP: the ends of the guest's connections. One a process, on the loop's thread. stack.c is
 * the only file that knows lwIP, and lwIP sees nothing but checked segments.
 *
 * A `struct stack_conn` is embedded in its owner. From stack_accept() or stack_connect() to on_gone(), or to
 * stack_abort(), it is in use (`pcb` is set). A callback may abort its own connection or another one; the owner's
 * memory must outlast the callback (loop_defer()).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/frame.h"
#include "net/frame_parse.h"
#include "net/stream.h"
#include "vmm/base/cleanup.h"
#include "vmm/base/compiler.h"
#include "vmm/base/loop.h"

/* A connection's window and send buffer, each direction: four of the largest segments. */
#define STACK_WINDOW (256u << 10)

struct tcp_pcb;
struct stack;
struct stack_conn;

enum stack_end {
        STACK_CLOSED, /* both sides have ended in order, and all was acknowledged */
        STACK_RESET,  /* by the guest */
        STACK_LOST    /* the guest does not answer */
};

struct stack_conn_ops {
        /* The handshake is done. */
        void (*on_open)(struct stack_conn *c);
        /* In order, and never more than the window; given back by stack_recved(). */
        void (*on_data)(struct stack_conn *c, const uint8_t *bytes, size_t n);
        /* The guest has ended its side. */
        void (*on_fin)(struct stack_conn *c);
        /* @n bytes of stack_write() are not needed any more. */
        void (*on_sent)(struct stack_conn *c, size_t n);
        /* It is no more; nothing else comes. */
        void (*on_gone)(struct stack_conn *c, enum stack_end end);
};

struct stack_conn {
        const struct stack_conn_ops *ops;
        struct stack *stack;
        struct tcp_pcb *pcb; /* NULL: not in use */
};

/* @stream: borrowed, as is @lan; bulk that it does not take is offered again at stack_retry() */
int must_check stack_new(struct loop *loop, const struct lan *lan, struct stream *stream, struct stack **ret);
void stack_free(struct stack *s);
DEFINE_CLEANUP(struct stack *, stack_free)

/* A segment of the guest, for a connection that is there; others are answered by a reset. Not for a first SYN. */
void stack_input(struct stack *s, const struct frame *f);

/* What is kept of a SYN until it is known whether it gets an answer. */
struct stack_syn {
        struct frame_end guest, target;
        size_t len;
        uint8_t header[FRAME_TCP_MAX];
};

void stack_keep_syn(const struct frame *f, struct stack_syn *ret);
/* Return: 0 or -ENOMEM. @c: zeroed, with ops set */
int must_check stack_accept(struct stack *s, struct stack_conn *c, const struct stack_syn *syn);
/* Answers a SYN by a reset: nobody listens. */
void stack_refuse(struct stack *s, const struct stack_syn *syn);
/* stack_connect() - into the guest, from @src; its port 0: a free one. Return: 0 or negative errno. */
int must_check stack_connect(struct stack *s, struct stack_conn *c, const struct frame_end *src,
                             const struct frame_end *dst);

/* stack_write() - @bytes must stay until on_sent(). Return: how many were taken, from the beginning. */
size_t stack_write(struct stack_conn *c, const uint8_t *bytes, size_t n);
void stack_push(struct stack_conn *c); /* after writes: send what may be sent */
void stack_recved(struct stack_conn *c, size_t n);
/* Our side ends after what was written. Return: false: no memory just now, try after on_sent(). */
bool must_check stack_end(struct stack_conn *c);
void stack_abort(struct stack_conn *c); /* by a reset; no callback */
/* The wire has room again. */
void stack_retry(struct stack *s);
