/*
 * The tar codec: the first byte says which parser. What is accepted is written and read again.
 */
#include <stdlib.h>
#include <string.h>

#include "guest/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
        if (!ok)
                abort();
}

static bool lies_in(struct tar_text text, const void *bytes, size_t len)
{
        const char *begin = bytes;

        return !text.len || (text.s >= begin && text.len <= len && text.s + text.len <= begin + len);
}

static void on_header(const uint8_t *p, size_t len)
{
        uint8_t block[TAR_BLOCK], again[TAR_BLOCK];
        struct tar_header h, h2;

        if (len < TAR_BLOCK)
                return;
        memcpy(block, p, sizeof(block));

        /* A fuzzer does not find checksums: it is told. */
        uint32_t sum = 0;

        memset(block + 148, ' ', 8);
        for (size_t i = 0; i < TAR_BLOCK; i++)
                sum += block[i];
        for (size_t i = 0; i < 6; i++)
                block[153 - i] = (uint8_t)('0' + (sum >> 3 * i & 7));
        (void)tar_is_end(block);
        if (tar_parse_header(block, &h))
                return;
        check(lies_in(h.name, block, TAR_BLOCK) && lies_in(h.link, block, TAR_BLOCK));
        check(lies_in(h.prefix, block, TAR_BLOCK) && lies_in(h.uname, block, TAR_BLOCK));
        check(h.size <= INT64_MAX && h.mode <= 07777);
        h.prefix = (struct tar_text){ 0 };
        if (!tar_put_header(again, &h))
                return;
        check(!tar_parse_header(again, &h2));
        check(h2.size == h.size && h2.mode == h.mode && h2.uid == h.uid && h2.mtime == h.mtime);
        check(h2.name.len == h.name.len && !memcmp(h2.name.s, h.name.s, h.name.len));
}

static void on_records(const uint8_t *p, size_t len)
{
        struct tar_text key, value, key2, value2;
        struct tar_header h = { 0 };
        size_t size, size2;
        char *out = malloc(len + 1), name[256];

        for (; len && !tar_parse_record((const char *)p, len, &key, &value, &size); p += size, len -= size) {
                check(size <= len && lies_in(key, p, size) && lies_in(value, p, size));
                (void)tar_apply_record(key, value, &h);
                check(h.mtime_ns < 1000000000);
                if (key.len >= sizeof(name) || memchr(key.s, 0, key.len))
                        continue;
                memcpy(name, key.s, key.len);
                name[key.len] = 0;
                size2 = tar_put_record(out, len, name, value.s, value.len);
                check(size2 <= size && !tar_parse_record(out, size2, &key2, &value2, &size));
                check(size == size2 && value2.len == value.len && !memcmp(value2.s, value.s, value.len));
                check(!tar_parse_record((const char *)p, len, &key, &value, &size));
        }
        free(out);
}

static void on_map(const uint8_t *p, size_t len)
{
        struct tar_extent extents[8];
        struct tar_map map = { .extents = extents, .max = 8 };
        uint64_t real, end = 0;
        bool more = true;

        for (bool first = true; more && len >= TAR_BLOCK; p += TAR_BLOCK, len -= TAR_BLOCK, first = false) {
                if (tar_parse_gnu_map(p, first, &map, &more, &real))
                        break;
        }
        for (uint32_t i = 0; i < map.nr; i++) {
                check(extents[i].offset >= end && extents[i].len);
                end = extents[i].offset + extents[i].len;
                check(end <= INT64_MAX);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static void (*const parsers[])(const uint8_t *, size_t) = { on_header, on_records, on_map };

        if (!size)
                return 0;

        uint8_t *p = malloc(size); /* as long as the bytes: a read beyond them is seen */

        memcpy(p, data + 1, size - 1);
        parsers[data[0] % 3](p, size - 1);
        free(p);
        return 0;
}
