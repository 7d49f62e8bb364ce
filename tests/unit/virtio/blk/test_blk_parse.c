/*
 * Block requests, parsed: what is right, and a table of what is not.
 */
#include "virtio/blk/blk_parse.h"

#include <string.h>

#include "tests/mock/driver.h"
#include "tests/unit/run.h"
#include "virtio/blk/blk_wire.h"

#define RAM     0x400000u
#define HDR     0x20000u
#define DATA    0x21000u
#define SECTORS 100u

#define DISCARD (1ull << VIRTIO_BLK_F_DISCARD)
#define ZEROES  (1ull << VIRTIO_BLK_F_WRITE_ZEROES)

static struct gmem *mem;
static struct vq vq;
static struct mock_vq q;
static struct vq_chain chain;
static struct blk_parsed parsed;
static struct blk_limits limits;

static void begin(void)
{
        mem = mock_ram(RAM);
        vq_init(&vq, mem);
        mock_vq_init(&q, &vq, 0, 256);
        limits = (struct blk_limits){ .size_bytes = 512ull * SECTORS, .features = DISCARD | ZEROES };
}

static int parse(uint32_t type, uint64_t sector, const struct mock_seg *segs, unsigned n)
{
        struct virtio_blk_hdr hdr = { .type = le32_of(type), .sector = le64_of(sector) };

        mock_put(mem, HDR, &hdr, sizeof(hdr));
        (void)mock_add(&q, segs, n);
        ck_assert_int_eq(vq_pop(&vq, &chain), 0);
        return blk_parse(&chain, &limits, &parsed);
}

START_TEST(test_read)
{
        const struct mock_seg segs[] = { { HDR, 16, false },
                                         { DATA, 1024, true },
                                         { DATA + 0x1000, 513, true } };

        begin();
        ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, 97, segs, 3), 0);
        ck_assert_int_eq(parsed.kind, BLK_READ);
        ck_assert_uint_eq(parsed.at, 97 * 512);
        ck_assert_uint_eq(parsed.len, 1536);
        ck_assert_uint_eq(parsed.data_at, 0);
        ck_assert_uint_eq(parsed.status_at, 1536);
        gmem_free(mem);
}
END_TEST

/* virtio 1.2, 2.7.4: no assumption about how a message is cut into descriptors. */
START_TEST(test_write_cut_anyhow)
{
        const struct mock_seg segs[] = {
                { HDR, 7, false }, { HDR + 7, 14, false }, { HDR + 21, 507, false },
                { DATA, 0, true }, { DATA, 1, true },
        };

        begin();
        ck_assert_int_eq(parse(VIRTIO_BLK_T_OUT, 99, segs, 5), 0);
        ck_assert_int_eq(parsed.kind, BLK_WRITE);
        ck_assert_uint_eq(parsed.at, 99 * 512);
        ck_assert_uint_eq(parsed.len, 512);
        ck_assert_uint_eq(parsed.data_at, 16);
        ck_assert_uint_eq(parsed.status_at, 0);
        gmem_free(mem);
}
END_TEST

START_TEST(test_flush_and_id)
{
        const struct mock_seg flush[] = { { HDR, 16, false }, { DATA, 1, true } };
        const struct mock_seg id[] = { { HDR, 16, false }, { DATA, 21, true } };

        begin();
        ck_assert_int_eq(parse(VIRTIO_BLK_T_FLUSH, 0, flush, 2), 0);
        ck_assert_int_eq(parsed.kind, BLK_FLUSH);
        ck_assert_int_eq(parse(VIRTIO_BLK_T_GET_ID, 0, id, 2), 0);
        ck_assert_int_eq(parsed.kind, BLK_GET_ID);
        ck_assert_uint_eq(parsed.len, 20);
        gmem_free(mem);
}
END_TEST

static const struct row {
        const char *what;
        uint32_t type;
        uint64_t sector;
        uint32_t sent, got; /* bytes after the header, and before the status byte and with it */
        int r;
        bool read_only;
} rows[] = {
        { "read: the last sector", VIRTIO_BLK_T_IN, 99, 0, 513, 0, false },
        { "read: one beyond it", VIRTIO_BLK_T_IN, 100, 0, 513, BLK_E_IOERR, false },
        { "read: ends beyond it", VIRTIO_BLK_T_IN, 99, 0, 1025, BLK_E_IOERR, false },
        { "read: far out", VIRTIO_BLK_T_IN, UINT64_MAX, 0, 513, BLK_E_IOERR, false },
        { "read: bytes of the sector wrap to 0", VIRTIO_BLK_T_IN, 1ull << 55, 0, 513, BLK_E_IOERR, false },
        { "read: all of it", VIRTIO_BLK_T_IN, 0, 0, 512 * SECTORS + 1, 0, false },
        { "read: one sector more", VIRTIO_BLK_T_IN, 0, 0, 512 * (SECTORS + 1) + 1, BLK_E_IOERR, false },
        { "read: half a sector", VIRTIO_BLK_T_IN, 0, 0, 257, BLK_E_IOERR, false },
        { "read: a byte more", VIRTIO_BLK_T_IN, 0, 0, 514, BLK_E_IOERR, false },
        { "read: nothing", VIRTIO_BLK_T_IN, 0, 0, 1, BLK_E_IOERR, false },
        { "read: data both ways", VIRTIO_BLK_T_IN, 0, 512, 513, BLK_E_IOERR, false },
        { "read: no status", VIRTIO_BLK_T_IN, 0, 0, 0, BLK_E_BROKEN, false },
        { "read: of a read-only disk", VIRTIO_BLK_T_IN, 0, 0, 513, 0, true },
        { "write: the last sector", VIRTIO_BLK_T_OUT, 99, 512, 1, 0, false },
        { "write: one beyond it", VIRTIO_BLK_T_OUT, 100, 512, 1, BLK_E_IOERR, false },
        { "write: ends beyond it", VIRTIO_BLK_T_OUT, 99, 1024, 1, BLK_E_IOERR, false },
        { "write: a byte short", VIRTIO_BLK_T_OUT, 0, 511, 1, BLK_E_IOERR, false },
        { "write: nothing", VIRTIO_BLK_T_OUT, 0, 0, 1, BLK_E_IOERR, false },
        { "write: data both ways", VIRTIO_BLK_T_OUT, 0, 512, 513, BLK_E_IOERR, false },
        { "write: no status", VIRTIO_BLK_T_OUT, 0, 512, 0, BLK_E_BROKEN, false },
        { "write: to a read-only disk", VIRTIO_BLK_T_OUT, 0, 512, 1, BLK_E_IOERR, true },
        { "flush: no status", VIRTIO_BLK_T_FLUSH, 0, 0, 0, BLK_E_BROKEN, false },
        { "flush: of a read-only disk", VIRTIO_BLK_T_FLUSH, 0, 0, 1, 0, true },
        { "id: a byte short", VIRTIO_BLK_T_GET_ID, 0, 0, 20, BLK_E_IOERR, false },
        { "id: more room", VIRTIO_BLK_T_GET_ID, 0, 0, 513, 0, false },
        { "discard: no range", VIRTIO_BLK_T_DISCARD, 0, 0, 1, BLK_E_IOERR, false },
        { "discard: half a range", VIRTIO_BLK_T_DISCARD, 0, 8, 1, BLK_E_IOERR, false },
        { "discard: a range and a half", VIRTIO_BLK_T_DISCARD, 0, 24, 1, BLK_E_IOERR, false },
        { "discard: most ranges", VIRTIO_BLK_T_DISCARD, 0, 16 * BLK_RANGES_MAX, 1, 0, false },
        { "discard: one more", VIRTIO_BLK_T_DISCARD, 0, 16 * (BLK_RANGES_MAX + 1), 1, BLK_E_IOERR, false },
        { "discard: of a read-only disk", VIRTIO_BLK_T_DISCARD, 0, 16, 1, BLK_E_IOERR, true },
        { "zeroes: most ranges", VIRTIO_BLK_T_WRITE_ZEROES, 0, 16 * BLK_RANGES_MAX, 1, 0, false },
        { "zeroes: one more", VIRTIO_BLK_T_WRITE_ZEROES, 0, 16 * (BLK_RANGES_MAX + 1), 1, BLK_E_IOERR,
          false },
        { "zeroes: of a read-only disk", VIRTIO_BLK_T_WRITE_ZEROES, 0, 16, 1, BLK_E_IOERR, true },
        { "a type that nobody knows", 2, 0, 0, 513, BLK_E_UNSUPP, false },
        { "secure erase, which was not offered", 14, 0, 16, 1, BLK_E_UNSUPP, false },
        { "all bits set", UINT32_MAX, UINT64_MAX, 512, 1, BLK_E_UNSUPP, false },
};

START_TEST(test_rows)
{
        begin();
        for (size_t i = 0; i < array_size(rows); i++) {
                const struct row *w = &rows[i];
                const struct mock_seg segs[] = {
                        { HDR, 16, false },
                        { DATA, w->sent, false },
                        { DATA + 0x100000, w->got, true },
                };

                limits.read_only = w->read_only;
                ck_assert_msg(parse(w->type, w->sector, segs, 3) == w->r, "%s", w->what);
                if (w->r != BLK_E_BROKEN)
                        ck_assert_msg(parsed.status_at == w->got - 1, "%s", w->what);
                /* Rows come one after the other in the ring. */
        }
        gmem_free(mem);
}
END_TEST

START_TEST(test_short_header)
{
        const struct mock_seg short_one[] = { { HDR, 15, false }, { DATA, 513, true } };
        const struct mock_seg none[] = { { DATA, 513, true } };
        const struct mock_seg only[] = { { HDR, 16, false } };

        begin();
        ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, 0, short_one, 2), BLK_E_BROKEN);
        ck_assert_int_eq(parse(VIRTIO_BLK_T_IN, 0, none, 1), BLK_E_BROKEN);
        ck_assert_int_eq(parse(VIRTIO_BLK_T_FLUSH, 0, only, 1), BLK_E_BROKEN);
        gmem_free(mem);
}
END_TEST

static int parse_range(uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
        const struct mock_seg segs[] = { { HDR, 16, false }, { DATA, 16, false }, { DATA + 16, 1, true } };
        struct virtio_blk_range range = { .sector = le64_of(sector),
                                          .num_sectors = le32_of(n),
                                          .flags = le32_of(flags) };

        mock_put(mem, DATA, &range, sizeof(range));
        return parse(type, 0, segs, 3);
}

START_TEST(test_ranges)
{
        const uint32_t discard = VIRTIO_BLK_T_DISCARD, zeroes = VIRTIO_BLK_T_WRITE_ZEROES;

        begin();
        ck_assert_int_eq(parse_range(discard, 10, 90, 0), 0);
        ck_assert_uint_eq(parsed.nr_ranges, 1);
        ck_assert_uint_eq(parsed.ranges[0].at, 5120);
        ck_assert_uint_eq(parsed.ranges[0].len, 512 * 90);
        ck_assert_int_eq(parse_range(discard, 10, 91, 0), BLK_E_IOERR);
        ck_assert_int_eq(parse_range(discard, 100, 0, 0), 0);
        ck_assert_int_eq(parse_range(discard, 101, 0, 0), BLK_E_IOERR);
        ck_assert_int_eq(parse_range(discard, UINT64_MAX, 2, 0), BLK_E_IOERR);
        ck_assert_int_eq(parse_range(discard, 0, UINT32_MAX, 0), BLK_E_IOERR);
        ck_assert_int_eq(parse_range(discard, 0, 1, VIRTIO_BLK_RANGE_F_UNMAP), BLK_E_UNSUPP);
        ck_assert_int_eq(parse_range(zeroes, 0, 1, VIRTIO_BLK_RANGE_F_UNMAP), 0);
        ck_assert(parsed.ranges[0].unmap);
        ck_assert_int_eq(parse_range(zeroes, 0, 1, 0), 0);
        ck_assert(!parsed.ranges[0].unmap);
        ck_assert_int_eq(parse_range(zeroes, 0, 1, 2), BLK_E_UNSUPP);
        gmem_free(mem);
}
END_TEST

START_TEST(test_range_limits)
{
        begin();
        limits.size_bytes = 1ull << 50;
        ck_assert_int_eq(parse_range(VIRTIO_BLK_T_DISCARD, 0, BLK_DISCARD_SECTORS_MAX, 0), 0);
        ck_assert_int_eq(parse_range(VIRTIO_BLK_T_DISCARD, 0, BLK_DISCARD_SECTORS_MAX + 1, 0), BLK_E_IOERR);
        ck_assert_int_eq(parse_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, BLK_ZEROES_SECTORS_MAX, 0), 0);
        ck_assert_int_eq(parse_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, BLK_ZEROES_SECTORS_MAX + 1, 0),
                         BLK_E_IOERR);
        gmem_free(mem);
}
END_TEST

START_TEST(test_ranges_need_the_feature)
{
        begin();
        limits.features = ZEROES;
        ck_assert_int_eq(parse_range(VIRTIO_BLK_T_DISCARD, 0, 1, 0), BLK_E_UNSUPP);
        limits.features = DISCARD;
        ck_assert_int_eq(parse_range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), BLK_E_UNSUPP);
        gmem_free(mem);
}
END_TEST

int main(void)
{
        const TTest *const tests[] = {
                test_read,         test_write_cut_anyhow, test_flush_and_id, test_rows,
                test_short_header, test_ranges,           test_range_limits, test_ranges_need_the_feature,
        };

        return run_tests("blk_parse", tests, array_size(tests));
}
