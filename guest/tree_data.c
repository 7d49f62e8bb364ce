/*
 * The bytes of a stream, and files with holes.
 * Input:  a tar stream (hostile).
 * Runs:   worker child of the agent; the host's thread that receives a tree.
 * Limits: TREE_MAP_MAX pieces of a sparse file.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "guest/tree_priv.h"

#define LINE_MAX_SIZE 21u /* a number of a sparse map, and its newline */

/* At least a byte in u->at. */
static int fill(struct tree_unpack *u)
{
        if (u->left)
                return 0;

        ssize_t n = u->read(u->ctx, &u->at);

        if (n <= 0)
                return n ? (int)n : TREE_E_CUT;
        u->left = (size_t)n;
        return 0;
}

static void consume(struct tree_unpack *u, size_t n)
{
        u->at += n;
        u->left -= n;
}

int tree_read(struct tree_unpack *u, void *to, size_t len)
{
        for (uint8_t *out = to; len;) {
                int r = fill(u);
                size_t n = len < u->left ? len : u->left;

                if (r)
                        return r;
                memcpy(out, u->at, n);
                consume(u, n);
                out += n;
                len -= n;
        }
        return 0;
}

int tree_skip(struct tree_unpack *u, uint64_t len)
{
        while (len) {
                int r = fill(u);
                size_t n = len < u->left ? (size_t)len : u->left;

                if (r)
                        return r;
                consume(u, n);
                len -= n;
        }
        return 0;
}

static int write_piece(struct tree_unpack *u, int fd, uint64_t offset, uint64_t len)
{
        while (len) {
                int r = fill(u);
                size_t want = len < u->left ? (size_t)len : u->left;

                if (r)
                        return r;

                ssize_t n = u->is_sparse ? pwrite(fd, u->at, want, (off_t)offset) : write(fd, u->at, want);

                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > 0) {
                        consume(u, (size_t)n);
                        offset += (uint64_t)n;
                        len -= (uint64_t)n;
                }
        }
        return 0;
}

int tree_write_data(struct tree_unpack *u, int fd, uint64_t size)
{
        uint64_t left = size;
        int r = 0;

        if (!u->is_sparse) {
                r = write_piece(u, fd, 0, size);
                return r ? r : tree_skip(u, -size % TAR_BLOCK);
        }
        for (uint32_t i = 0; !r && i < u->map.nr; i++) {
                const struct tar_extent *e = &u->map.extents[i];

                if (e->len > left || e->offset + e->len > u->real_size)
                        return TAR_E_SPARSE;
                r = write_piece(u, fd, e->offset, e->len);
                left -= e->len;
        }
        if (!r && ftruncate(fd, (off_t)u->real_size))
                r = -errno;
        return r ? r : tree_skip(u, left + -size % TAR_BLOCK);
}

/* A line of the map that a sparse 1.0 file begins with. Takes its bytes off @left. */
static int read_line(struct tree_unpack *u, uint64_t *left, uint64_t *ret)
{
        char line[LINE_MAX_SIZE];

        for (size_t len = 0; len < sizeof(line) && *left; len++) {
                int r = tree_read(u, line + len, 1);

                if (r)
                        return r;
                (*left)--;
                if (line[len] == '\n')
                        return tar_parse_number((struct tar_text){ line, len }, INT64_MAX, ret);
        }
        return TAR_E_SPARSE;
}

/* Its number of entries, then each offset and length, filled up to whole blocks. */
static int read_map(struct tree_unpack *u, struct tar_header *h)
{
        uint64_t left = h->size, n, value, padding;
        int r = read_line(u, &left, &n);

        if (r || n > TREE_MAP_MAX)
                return r ? r : TAR_E_SPARSE;
        for (n *= 2; !r && n; n--) {
                r = read_line(u, &left, &value);
                if (!r)
                        r = tar_map_number(&u->map, value);
        }
        if (r)
                return r;
        padding = -(h->size - left) % TAR_BLOCK;
        if (padding > left)
                return TAR_E_SPARSE;
        h->size = left - padding;
        return tree_skip(u, padding);
}

/* "offset,length,offset,length" */
static int parse_list(struct tree_unpack *u, struct tar_text list)
{
        const char *at = list.s, *end = list.s + list.len;
        uint64_t n;
        int r = 0;

        while (!r && at < end) {
                const char *comma = memchr(at, ',', (size_t)(end - at));
                size_t len = (size_t)((comma ? comma : end) - at);

                r = tar_parse_number((struct tar_text){ at, len }, INT64_MAX, &n);
                if (!r)
                        r = tar_map_number(&u->map, n);
                at += len + 1;
        }
        return r;
}

static int read_gnu_blocks(struct tree_unpack *u)
{
        bool more;
        int r = tar_parse_gnu_map(u->block, true, &u->map, &more, &u->real_size);

        while (!r && more) {
                r = tree_read(u, u->block, TAR_BLOCK);
                if (!r)
                        r = tar_parse_gnu_map(u->block, false, &u->map, &more, NULL);
        }
        return r;
}

int tree_read_sparse(struct tree_unpack *u, struct tar_header *h)
{
        struct tar_text key, value;
        uint64_t n, version = 0;
        size_t size;
        int r = 0;

        u->map = (struct tar_map){ .extents = u->extents, .max = TREE_MAP_MAX };
        u->is_sparse = h->kind == TAR_GNU_SPARSE;
        u->real_size = 0;
        if (u->is_sparse)
                return read_gnu_blocks(u);
        for (size_t at = 0; !r && at < u->pax_len; at += size) {
                r = tar_parse_record(u->pax + at, u->pax_len - at, &key, &value, &size);
                if (r || key.len < 11 || memcmp(key.s, "GNU.sparse.", 11) != 0)
                        continue;
                if (tar_text_is(key, "GNU.sparse.major")) {
                        r = tar_parse_number(value, 1, &version);
                } else if (tar_text_is(key, "GNU.sparse.realsize") || tar_text_is(key, "GNU.sparse.size")) {
                        r = tar_parse_number(value, INT64_MAX, &u->real_size);
                        u->is_sparse = true;
                } else if (tar_text_is(key, "GNU.sparse.offset") || tar_text_is(key, "GNU.sparse.numbytes")) {
                        r = tar_parse_number(value, INT64_MAX, &n);
                        if (!r)
                                r = tar_map_number(&u->map, n);
                } else if (tar_text_is(key, "GNU.sparse.map")) {
                        r = parse_list(u, value);
                }
        }
        return !r && u->is_sparse && version ? read_map(u, h) : r;
}
