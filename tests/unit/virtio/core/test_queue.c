/*
 * Split virtqueues: good chains, hostile ones, suppression, saving.
 */
#include "virtio/core/queue.h"

#include <string.h>

#include "tests/mock/driver.h"
#include "tests/unit/run.h"
#include "virtio/core/chain.h"

#define RAM  0x100000u
#define SIZE 8u
#define BUF  0x20000u

static struct gmem *mem;
static struct vq vq;
static struct mock_vq q;
static struct vq_chain chain;

static void begin(uint16_t size)
{
        mem = mock_ram(RAM);
        vq_init(&vq, mem);
        mock_vq_init(&q, &vq, 0, size);
        vq.indirect = true;
        memset(&chain, 0, sizeof(chain));
}

START_TEST(test_empty)
{
        begin(SIZE);
        ck_assert_int_eq(vq_pop(&vq, &chain), VQ_E_EMPTY);
        vq.ready = false;
        mock_push(&q, 0);
        ck_assert_int_eq(vq_pop(&vq, &chain), VQ_E_EMPTY);
        gmem_free(mem);
}
END_TEST

START_TEST(test_pop_and_done)
{
        const struct mock_seg segs[] = { { BUF, 16, false },
                                         { BUF + 0x1000, 5, false },
                                         { BUF + 0x2000, 9, true } };
        char in[21], out[9] = "answered";
        uint32_t id, len;
        uint16_t head;
        bool notify;

        begin(SIZE);
        mock_put(mem, BUF, "0123456789abcdef", 16);
        mock_put(mem, BUF + 0x1000, "tail", 5);
        head = mock_add(&q, segs, 3);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_uint_eq(chain_readable(&chain), 21);
        ck_assert_uint_eq(chain_writable(&chain), 9);
        ck_assert_int_eq(chain_read(&chain, 0, in, 21), 0);
        ck_assert_str_eq(in, "0123456789abcdeftail");
        ck_assert_int_eq(chain_read(&chain, 14, in, 4), 0);
        ck_assert_mem_eq(in, "efta", 4);
        ck_assert_int_eq(chain_read(&chain, 1, in, 21), VQ_E_BROKEN);
        ck_assert_int_eq(chain_write(&chain, 1, out, 9), VQ_E_BROKEN);
        ck_assert_int_eq(chain_write(&chain, 0, out, 9), 0);
        ck_assert_int_eq(chain_done(&chain), 0);
        ck_assert(!mock_used(&q, &id, &len));
        ck_assert_int_eq(vq_publish(&vq, &notify), 0);
        ck_assert(notify);
        ck_assert(mock_used(&q, &id, &len));
        ck_assert_uint_eq(id, head);
        ck_assert_uint_eq(len, 9);
        mock_get(mem, BUF + 0x2000, in, 9);
        ck_assert_str_eq(in, "answered");
        gmem_free(mem);
}
END_TEST

START_TEST(test_done_twice_counts_once)
{
        const struct mock_seg seg = { BUF, 16, true };
        bool notify;

        begin(SIZE);
        (void)mock_add(&q, &seg, 1);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_int_eq(chain_done(&chain), 0);
        ck_assert_int_eq(chain_done(&chain), 0);
        ck_assert_int_eq(vq_publish(&vq, &notify), 0);
        ck_assert_uint_eq(mock_used_idx(&q), 1);
        ck_assert_int_eq(vq_publish(&vq, &notify), 0);
        ck_assert(!notify);
        gmem_free(mem);
}
END_TEST

START_TEST(test_older_generation_is_dropped)
{
        const struct mock_seg seg = { BUF, 16, true };
        bool notify;

        begin(SIZE);
        (void)mock_add(&q, &seg, 1);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        vq_reset(&vq);
        ck_assert(!vq.ready);
        mock_vq_init(&q, &vq, 0, SIZE);
        ck_assert_int_eq(chain_done(&chain), 0);
        ck_assert_int_eq(vq_publish(&vq, &notify), 0);
        ck_assert_uint_eq(mock_used_idx(&q), 0);
        gmem_free(mem);
}
END_TEST

START_TEST(test_unpop)
{
        const struct mock_seg seg = { BUF, 16, true };
        uint16_t head;

        begin(SIZE);
        (void)mock_add(&q, &seg, 1);
        head = mock_add(&q, &seg, 1);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        vq_unpop(&chain);
        ck_assert_ptr_null(chain.vq);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_uint_eq(chain.head, head);
        ck_assert_int_eq(vq_pop(&vq, &chain), VQ_E_EMPTY);
        gmem_free(mem);
}
END_TEST

/* The indexes run over 16 bits, and rings are walked many times. */
START_TEST(test_wrap)
{
        const struct mock_seg seg = { BUF, 16, true };
        uint32_t id, len;
        bool notify;

        begin(2);
        vq.next_avail = vq.next_used = vq.published = 0xfffe;
        q.avail_idx = q.used_seen = 0xfffe;
        mock_set_avail_idx(&q, 0xfffe);
        for (unsigned i = 0; i < 5; i++) {
                uint16_t head = mock_add(&q, &seg, 1);

                ck_assert_int_eq(vq_pop(&vq, &chain), 0);
                ck_assert_int_eq(chain_done(&chain), 0);
                ck_assert_int_eq(vq_publish(&vq, &notify), 0);
                ck_assert(mock_used(&q, &id, &len));
                ck_assert_uint_eq(id, head);
        }
        ck_assert_uint_eq(mock_used_idx(&q), 3);
        gmem_free(mem);
}
END_TEST

START_TEST(test_indirect)
{
        struct mock_seg segs[VQ_SEGS_MAX];

        for (unsigned i = 0; i < VQ_SEGS_MAX; i++)
                segs[i] = (struct mock_seg){ BUF + i * 16, 16, i >= 100 };
        begin(SIZE);
        (void)mock_add_indirect(&q, 0x10000, segs, VQ_SEGS_MAX);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_uint_eq(chain.nr_segs, VQ_SEGS_MAX);
        ck_assert_uint_eq(chain.nr_readable, 100);
        ck_assert_int_eq(chain_done(&chain), 0);
        gmem_free(mem);
}
END_TEST

START_TEST(test_segs_beyond_the_limit)
{
        struct mock_seg segs[VQ_SEGS_MAX + 1];

        for (unsigned i = 0; i <= VQ_SEGS_MAX; i++)
                segs[i] = (struct mock_seg){ BUF + i * 16, 16, false };
        begin(256);
        (void)mock_add(&q, segs, VQ_SEGS_MAX);
        (void)mock_add(&q, segs, VQ_SEGS_MAX + 1);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_int_eq(vq_pop(&vq, &chain), VQ_E_BROKEN);
        gmem_free(mem);
}
END_TEST

#define D_NEXT  VRING_DESC_F_NEXT
#define D_WRITE VRING_DESC_F_WRITE
#define D_IND   VRING_DESC_F_INDIRECT

/* Descriptors 0.. of the ring, and a table at TABLE, as a driver should not write them. */
#define TABLE 0x10000u
static const struct hostile {
        const char *what;
        struct {
                uint64_t addr;
                uint32_t len;
                unsigned flags, next;
        } ring[3], table[3];
        unsigned head;
        bool no_indirect;
} hostile[] = {
        { .what = "head beyond the table", .head = SIZE },
        { .what = "next beyond the table", .ring = { { BUF, 1, D_NEXT, SIZE } } },
        { .what = "a loop of one", .ring = { { BUF, 1, D_NEXT, 0 } } },
        { .what = "a loop of two", .ring = { { BUF, 1, D_NEXT, 1 }, { BUF, 1, D_NEXT, 0 } } },
        { .what = "readable after writable", .ring = { { BUF, 1, D_NEXT | D_WRITE, 1 }, { BUF, 1, 0, 0 } } },
        { .what = "outside RAM", .ring = { { RAM, 1, 0, 0 } } },
        { .what = "one byte beyond RAM", .ring = { { RAM - 15, 16, 0, 0 } } },
        { .what = "an address that wraps", .ring = { { UINT64_MAX - 7, 16, 0, 0 } } },
        { .what = "indirect, not negotiated",
          .no_indirect = true,
          .ring = { { TABLE, 16, D_IND, 0 } },
          .table = { { BUF, 1, 0, 0 } } },
        { .what = "indirect and next",
          .ring = { { TABLE, 16, D_IND | D_NEXT, 1 }, { BUF, 1, 0, 0 } },
          .table = { { BUF, 1, 0, 0 } } },
        { .what = "an empty table", .ring = { { TABLE, 0, D_IND, 0 } } },
        { .what = "a table of a descriptor and a half",
          .ring = { { TABLE, 24, D_IND, 0 } },
          .table = { { BUF, 1, 0, 0 } } },
        { .what = "a table beyond the limit",
          .ring = { { TABLE, 16 * (VQ_SIZE_MAX + 1), D_IND, 0 } },
          .table = { { BUF, 1, 0, 0 } } },
        { .what = "a table outside RAM", .ring = { { RAM, 16, D_IND, 0 } } },
        { .what = "a table that ends outside RAM", .ring = { { RAM - 16, 32, D_IND, 0 } } },
        { .what = "a table in a table",
          .ring = { { TABLE, 32, D_IND, 0 } },
          .table = { { TABLE + 16, 16, D_IND, 0 }, { BUF, 1, 0, 0 } } },
        { .what = "next beyond the table, indirect",
          .ring = { { TABLE, 16, D_IND, 0 } },
          .table = { { BUF, 1, D_NEXT, 1 } } },
        { .what = "a loop, indirect",
          .ring = { { TABLE, 32, D_IND, 0 } },
          .table = { { BUF, 1, D_NEXT, 1 }, { BUF, 1, D_NEXT, 0 } } },
        { .what = "readable in the table after writable in the ring",
          .ring = { { BUF, 1, D_NEXT | D_WRITE, 1 }, { TABLE, 16, D_IND, 0 } },
          .table = { { BUF, 1, 0, 0 } } },
};

START_TEST(test_hostile_chains)
{
        for (size_t i = 0; i < array_size(hostile); i++) {
                const struct hostile *h = &hostile[i];
                bool notify;

                begin(SIZE);
                vq.indirect = !h->no_indirect;
                for (unsigned n = 0; n < 3; n++) {
                        mock_desc(&q, n, h->ring[n].addr, h->ring[n].len, h->ring[n].flags, h->ring[n].next);
                        mock_desc_at(mem, TABLE + 16 * n, h->table[n].addr, h->table[n].len,
                                     h->table[n].flags, h->table[n].next);
                }
                mock_desc_at(mem, RAM - 16, BUF, 1, D_NEXT, 1);
                mock_push(&q, h->head);
                ck_assert_msg(vq_pop(&vq, &chain) == VQ_E_BROKEN, "%s", h->what);
                ck_assert_msg(!chain.vq, "%s", h->what);
                /* And so it stays: EMPTY is not BROKEN. */
                mock_desc(&q, 0, BUF, 1, 0, 0);
                mock_push(&q, 0);
                ck_assert_msg(vq_pop(&vq, &chain) == VQ_E_BROKEN, "%s", h->what);
                ck_assert_msg(vq_publish(&vq, &notify) == VQ_E_BROKEN && !notify, "%s", h->what);
                vq_reset(&vq);
                ck_assert_int_eq(vq_pop(&vq, &chain), VQ_E_EMPTY);
                gmem_free(mem);
        }
}
END_TEST

START_TEST(test_bytes_of_a_chain)
{
        struct mock_seg segs[3] = { { 0, RAM, true }, { 0, RAM, true }, { 0, RAM, true } };

        begin(SIZE);
        (void)mock_add(&q, segs, 3);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_uint_eq(chain_writable(&chain), 3ull * RAM);
        gmem_free(mem);
        /* 4 GiB - 1 is the most that used.len can say. */
        mem = NULL;
        ck_assert_int_eq(gmem_new(&mem), 0);
        ck_assert_int_eq(gmem_add_ram(mem, GPA(0), 0x80000000ull), 0);
        vq_init(&vq, mem);
        mock_vq_init(&q, &vq, 0, SIZE);
        segs[0].len = 0x80000000u;
        segs[1].len = 0x7fffffffu;
        (void)mock_add(&q, segs, 2);
        segs[1].len = 0x80000000u;
        (void)mock_add(&q, segs, 2);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_int_eq(vq_pop(&vq, &chain), VQ_E_BROKEN);
        gmem_free(mem);
}
END_TEST

START_TEST(test_index_ahead_of_the_queue)
{
        begin(SIZE);
        for (unsigned i = 0; i < SIZE; i++)
                mock_desc(&q, i, BUF, 1, 0, 0);
        mock_set_avail_idx(&q, SIZE);
        for (unsigned i = 0; i < SIZE; i++)
                ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_int_eq(vq_pop(&vq, &chain), VQ_E_EMPTY);
        mock_set_avail_idx(&q, 2 * SIZE + 1);
        ck_assert_int_eq(vq_pop(&vq, &chain), VQ_E_BROKEN);
        gmem_free(mem);
}
END_TEST

START_TEST(test_rings_must_lie_in_ram)
{
        static const struct {
                const char *what;
                uint16_t size;
                uint64_t desc, avail, used;
                bool good;
        } rows[] = {
                { "as it should be", 8, 0x1000, 0x2000, 0x3000, true },
                { "size 0", 0, 0x1000, 0x2000, 0x3000, false },
                { "no power of two", 6, 0x1000, 0x2000, 0x3000, false },
                { "the largest", VQ_SIZE_MAX, 0x10000, 0x20000, 0x30000, true },
                { "beyond the largest", VQ_SIZE_MAX * 2, 0x10000, 0x20000, 0x30000, false },
                { "descriptors misaligned", 8, 0x1008, 0x2000, 0x3000, false },
                { "available ring misaligned", 8, 0x1000, 0x2001, 0x3000, false },
                { "used ring misaligned", 8, 0x1000, 0x2000, 0x3002, false },
                { "descriptors at the end", 8, RAM - 128, 0x2000, 0x3000, true },
                { "descriptors beyond the end", 8, RAM - 112, 0x2000, 0x3000, false },
                { "available ring at the end", 8, 0x1000, RAM - 22, 0x3000, true },
                { "available ring beyond the end", 8, 0x1000, RAM - 20, 0x3000, false },
                { "used ring at the end", 8, 0x1000, 0x2000, RAM - 72, true },
                { "used ring beyond the end", 8, 0x1000, 0x2000, RAM - 68, false },
                { "an address that wraps", 8, 0x1000, 0x2000, UINT64_MAX - 3, false },
        };

        begin(SIZE);
        for (size_t i = 0; i < array_size(rows); i++) {
                vq.size = rows[i].size;
                vq.desc = GPA(rows[i].desc);
                vq.avail = GPA(rows[i].avail);
                vq.used = GPA(rows[i].used);
                ck_assert_msg(vq_check(&vq) == rows[i].good, "%s", rows[i].what);
        }
        gmem_free(mem);
}
END_TEST

static bool publish_one(void)
{
        const struct mock_seg seg = { BUF, 16, true };
        bool notify;

        (void)mock_add(&q, &seg, 1);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        ck_assert_int_eq(chain_done(&chain), 0);
        ck_assert_int_eq(vq_publish(&vq, &notify), 0);
        return notify;
}

START_TEST(test_interrupt_suppression_by_flag)
{
        begin(SIZE);
        ck_assert(publish_one());
        mock_set_avail_flags(&q, VRING_AVAIL_F_NO_INTERRUPT);
        ck_assert(!publish_one());
        gmem_free(mem);
}
END_TEST

START_TEST(test_interrupt_suppression_by_event)
{
        begin(SIZE);
        vq.event_idx = true;
        mock_set_avail_flags(&q, VRING_AVAIL_F_NO_INTERRUPT); /* means nothing with EVENT_IDX */
        mock_set_used_event(&q, 0);
        ck_assert(publish_one()); /* 0 -> 1 passes 0 */
        ck_assert(!publish_one());
        mock_set_used_event(&q, 3);
        ck_assert(!publish_one()); /* 2 -> 3 does not */
        ck_assert(publish_one());
        gmem_free(mem);
}
END_TEST

START_TEST(test_kick_suppression)
{
        const struct mock_seg seg = { BUF, 16, true };
        bool more;

        begin(SIZE);
        ck_assert_int_eq(vq_disarm(&vq), 0);
        ck_assert_uint_eq(mock_used_flags(&q), VRING_USED_F_NO_NOTIFY);
        ck_assert_int_eq(vq_arm(&vq, &more), 0);
        ck_assert(!more);
        ck_assert_uint_eq(mock_used_flags(&q), 0);
        vq.event_idx = true;
        (void)publish_one();
        ck_assert_int_eq(vq_arm(&vq, &more), 0);
        ck_assert(!more);
        ck_assert_uint_eq(mock_avail_event(&q), 1);
        (void)mock_add(&q, &seg, 1);
        ck_assert_int_eq(vq_arm(&vq, &more), 0);
        ck_assert(more);
        gmem_free(mem);
}
END_TEST

START_TEST(test_save_and_load)
{
        const struct mock_seg seg = { BUF, 16, true };
        uint8_t first[128], second[128];
        struct buf b = buf_of(first, sizeof(first)), c = buf_of(second, sizeof(second));
        struct vq other;

        begin(SIZE);
        (void)publish_one();
        (void)mock_add(&q, &seg, 1);
        vq_save(&vq, &b);
        ck_assert(!b.bad);
        vq_init(&other, mem);
        b.at = 0;
        vq_load(&other, &b);
        ck_assert(!b.bad);
        vq_save(&other, &c);
        ck_assert_mem_eq(first, second, c.at);
        ck_assert_int_eq(vq_pop(&other, &chain), 0);
        ck_assert_int_eq(vq_pop(&other, &chain), VQ_E_EMPTY);
        gmem_free(mem);
}
END_TEST

START_TEST(test_load_refuses)
{
        uint8_t bytes[128];
        struct buf b = buf_of(bytes, sizeof(bytes));
        struct vq other;

        begin(SIZE);
        vq.used = GPA(RAM);
        vq_save(&vq, &b);
        vq_init(&other, mem);
        b.at = 0;
        vq_load(&other, &b);
        ck_assert(b.bad);
        b = buf_of(bytes, 20); /* cut short */
        vq_load(&other, &b);
        ck_assert(b.bad);
        gmem_free(mem);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_empty,
                test_pop_and_done,
                test_done_twice_counts_once,
                test_older_generation_is_dropped,
                test_unpop,
                test_wrap,
                test_indirect,
                test_segs_beyond_the_limit,
                test_hostile_chains,
                test_bytes_of_a_chain,
                test_index_ahead_of_the_queue,
                test_rings_must_lie_in_ram,
                test_interrupt_suppression_by_flag,
                test_interrupt_suppression_by_event,
                test_kick_suppression,
                test_save_and_load,
                test_load_refuses,
        };

        return run_tests("queue", tests, array_size(tests));
}
