/*
 * A request chain, checked.
 * Input:  request chains (guest, hostile).
 * Runs:   any thread; pure.
 * Limits: BLK_RANGES_MAX ranges of BLK_DISCARD_SECTORS_MAX or BLK_ZEROES_SECTORS_MAX.
 */
#include "virtio/blk/blk_parse.h"

#include "virtio/blk/blk_wire.h"

/* Sectors to bytes, within the disk. Subtractions only: no sum that could wrap. */
static bool place(const struct blk_limits *limits, uint64_t sector, uint64_t len, uint64_t *ret_at)
{
        uint64_t size = limits->size_bytes / VIRTIO_BLK_SECTOR;
        uint64_t n = len / VIRTIO_BLK_SECTOR;

        if (len % VIRTIO_BLK_SECTOR || sector > size || n > size - sector)
                return false;
        *ret_at = sector * VIRTIO_BLK_SECTOR;
        return true;
}

/* Data follows the header, or comes before the status byte; what else is there must be nothing. */
static int parse_transfer(const struct vq_chain *c, const struct blk_limits *limits, uint64_t sector,
                          struct blk_parsed *ret)
{
        uint64_t sent = chain_readable(c) - sizeof(struct virtio_blk_hdr);
        bool is_read = ret->kind == BLK_READ;

        ret->data_at = is_read ? 0 : sizeof(struct virtio_blk_hdr);
        ret->len = is_read ? ret->status_at : sent;
        if ((is_read ? sent : ret->status_at) || !ret->len)
                return BLK_E_IOERR;
        if (!is_read && limits->read_only)
                return BLK_E_IOERR;
        return place(limits, sector, ret->len, &ret->at) ? 0 : BLK_E_IOERR;
}

/* virtio 1.2, 5.2.6.2: unknown flags, and unmap where it says nothing, are not supported. */
static int parse_range(const struct blk_limits *limits, enum blk_kind kind,
                       const struct virtio_blk_range *wire, struct blk_range *ret)
{
        uint32_t n = le32_get(wire->num_sectors), flags = le32_get(wire->flags);

        if (flags & ~(kind == BLK_DISCARD ? 0 : VIRTIO_BLK_RANGE_F_UNMAP))
                return BLK_E_UNSUPP;
        if (n > (kind == BLK_DISCARD ? BLK_DISCARD_SECTORS_MAX : BLK_ZEROES_SECTORS_MAX))
                return BLK_E_IOERR;
        ret->len = (uint64_t)n * VIRTIO_BLK_SECTOR;
        ret->unmap = flags & VIRTIO_BLK_RANGE_F_UNMAP;
        return place(limits, le64_get(wire->sector), ret->len, &ret->at) ? 0 : BLK_E_IOERR;
}

static int parse_ranges(const struct vq_chain *c, const struct blk_limits *limits, struct blk_parsed *ret)
{
        unsigned feature = ret->kind == BLK_DISCARD ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES;
        uint64_t sent = chain_readable(c) - sizeof(struct virtio_blk_hdr);
        struct virtio_blk_range wire[BLK_RANGES_MAX];

        if (!(limits->features >> feature & 1))
                return BLK_E_UNSUPP;
        if (limits->read_only || !sent || sent % sizeof(wire[0]) || sent > sizeof(wire))
                return BLK_E_IOERR;
        if (chain_read(c, sizeof(struct virtio_blk_hdr), wire, sent))
                return BLK_E_IOERR;
        ret->nr_ranges = (unsigned)(sent / sizeof(wire[0]));
        for (unsigned i = 0; i < ret->nr_ranges; i++) {
                int r = parse_range(limits, ret->kind, &wire[i], &ret->ranges[i]);

                if (r)
                        return r;
        }
        return 0;
}

static bool kind_of(uint32_t type, enum blk_kind *ret)
{
        switch (type) {
        case VIRTIO_BLK_T_IN:
                *ret = BLK_READ;
                return true;
        case VIRTIO_BLK_T_OUT:
                *ret = BLK_WRITE;
                return true;
        case VIRTIO_BLK_T_FLUSH:
                *ret = BLK_FLUSH;
                return true;
        case VIRTIO_BLK_T_GET_ID:
                *ret = BLK_GET_ID;
                return true;
        case VIRTIO_BLK_T_DISCARD:
                *ret = BLK_DISCARD;
                return true;
        case VIRTIO_BLK_T_WRITE_ZEROES:
                *ret = BLK_WRITE_ZEROES;
                return true;
        default:
                return false;
        }
}

int blk_parse(const struct vq_chain *c, const struct blk_limits *limits, struct blk_parsed *ret)
{
        uint64_t writable = chain_writable(c);
        struct virtio_blk_hdr hdr;

        if (!writable || chain_read(c, 0, &hdr, sizeof(hdr)))
                return BLK_E_BROKEN;
        ret->status_at = writable - 1;
        if (!kind_of(le32_get(hdr.type), &ret->kind))
                return BLK_E_UNSUPP;
        switch (ret->kind) {
        case BLK_READ:
        case BLK_WRITE:
                return parse_transfer(c, limits, le64_get(hdr.sector), ret);
        case BLK_GET_ID:
                ret->data_at = 0;
                ret->len = ret->status_at;
                return ret->len < VIRTIO_BLK_ID_BYTES ? BLK_E_IOERR : 0;
        case BLK_DISCARD:
        case BLK_WRITE_ZEROES:
                return parse_ranges(c, limits, ret);
        case BLK_FLUSH:
        default:
                return 0;
        }
}
