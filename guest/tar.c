/*
 * tar: reads and writes headers and records.
 * Input:  blocks of a stream (hostile).
 * Runs:   anywhere; pure, no allocation, no I/O, no state.
 * Limits: TAR_PAX_MAX bytes of records; the caller's room for a sparse map.
 */
#include "guest/tar.h"

#include <string.h>

/* Fields of a header: offset and size. */
enum {
        AT_NAME = 0,
        AT_MODE = 100,
        AT_UID = 108,
        AT_GID = 116,
        AT_SIZE = 124,
        AT_MTIME = 136,
        AT_CHECKSUM = 148,
        AT_KIND = 156,
        AT_LINK = 157,
        AT_MAGIC = 257,
        AT_UNAME = 265,
        AT_GNAME = 297,
        AT_MAJOR = 329,
        AT_MINOR = 337,
        AT_PREFIX = 345,
        AT_GNU_MAP = 386,
        AT_GNU_MORE = 482,
        AT_GNU_SIZE = 483,
        AT_GNU_NEXT_MORE = 504,
};
enum { NAME_SIZE = 100, PREFIX_SIZE = 155, OWNER_SIZE = 32, ID_SIZE = 8, LONG_SIZE = 12 };
#define GNU_MAP_FIRST 4u
#define GNU_MAP_NEXT  21u
#define ID_MAX        UINT32_MAX
#define SIZE_LIMIT    INT64_MAX

bool tar_is_end(const uint8_t block[TAR_BLOCK])
{
        return !block[0] && !memcmp(block, block + 1, TAR_BLOCK - 1);
}

/* The sum of all bytes, those of the checksum itself as blanks. Eight at a time: it is most of a header's cost. */
static uint32_t checksum(const uint8_t *block)
{
        const uint64_t even = 0x00ff00ff00ff00ffu;
        uint64_t word, sums = 0;
        uint32_t sum = ID_SIZE * ' ';

        for (size_t i = 0; i < TAR_BLOCK; i += sizeof(word)) {
                memcpy(&word, block + i, sizeof(word));
                sums += (word & even) + (word >> 8 & even); /* at most 64 * 510 in each of four */
        }
        for (; sums; sums >>= 16)
                sum += sums & 0xffff;
        for (size_t i = AT_CHECKSUM; i < AT_CHECKSUM + ID_SIZE; i++)
                sum -= block[i];
        return sum;
}

/* Octal with blanks around it, or GNU's base 256 with the highest bit set. An empty field is 0. */
static int field(const uint8_t *p, size_t size, uint64_t max, uint64_t *ret)
{
        uint64_t n = 0;
        size_t i = 0;

        if (*p & 0x80) {
                if (*p & 0x40) /* negative: a time before 1970, for the caller to take as one */
                        return TAR_E_NUMBER;
                n = *p & 0x3f;
                for (i = 1; i < size; i++) {
                        if (n >> 55)
                                return TAR_E_NUMBER;
                        n = n << 8 | p[i];
                }
        } else {
                while (i < size && p[i] == ' ')
                        i++;
                for (; i < size && p[i] >= '0' && p[i] <= '7'; i++)
                        n = n << 3 | (uint64_t)(p[i] - '0');
                if (i < size && p[i] && p[i] != ' ')
                        return TAR_E_NUMBER;
        }
        *ret = n;
        return n > max ? TAR_E_NUMBER : TAR_OK;
}

static struct tar_text text_field(const uint8_t *p, size_t size)
{
        return (struct tar_text){ (const char *)p, strnlen((const char *)p, size) };
}

int tar_parse_header(const uint8_t block[TAR_BLOCK], struct tar_header *ret)
{
        uint64_t sum, mode, uid, gid, size, mtime, major = 0, minor = 0;
        bool is_ustar = !memcmp(block + AT_MAGIC, "ustar", 5);
        bool has_devices = is_ustar && (block[AT_KIND] == TAR_CHAR || block[AT_KIND] == TAR_BLOCK_DEVICE);

        if (field(block + AT_CHECKSUM, ID_SIZE, UINT32_MAX, &sum) || sum != checksum(block))
                return TAR_E_CHECKSUM;
        if (field(block + AT_MTIME, LONG_SIZE, SIZE_LIMIT, &mtime))
                mtime = 0; /* before 1970: not worth a refusal */
        if (field(block + AT_MODE, ID_SIZE, UINT32_MAX, &mode) ||
            field(block + AT_UID, ID_SIZE, ID_MAX, &uid) || field(block + AT_GID, ID_SIZE, ID_MAX, &gid) ||
            field(block + AT_SIZE, LONG_SIZE, SIZE_LIMIT, &size) ||
            (has_devices && (field(block + AT_MAJOR, ID_SIZE, UINT32_MAX, &major) ||
                             field(block + AT_MINOR, ID_SIZE, UINT32_MAX, &minor))))
                return TAR_E_NUMBER;
        *ret = (struct tar_header){ .kind = block[AT_KIND] ? (char)block[AT_KIND] : TAR_FILE,
                                    .mode = (uint32_t)mode & 07777,
                                    .uid = (uint32_t)uid,
                                    .gid = (uint32_t)gid,
                                    .major = (uint32_t)major,
                                    .minor = (uint32_t)minor,
                                    .size = size,
                                    .mtime = (int64_t)mtime,
                                    .name = text_field(block + AT_NAME, NAME_SIZE),
                                    .link = text_field(block + AT_LINK, NAME_SIZE) };
        if (is_ustar) {
                ret->uname = text_field(block + AT_UNAME, OWNER_SIZE);
                ret->gname = text_field(block + AT_GNAME, OWNER_SIZE);
                if (!block[AT_MAGIC + 5]) /* GNU's own format has other things there */
                        ret->prefix = text_field(block + AT_PREFIX, PREFIX_SIZE);
        }
        /* Before there was a kind for folders their names ended so. */
        if (ret->kind == TAR_FILE && ret->name.len && ret->name.s[ret->name.len - 1] == '/')
                ret->kind = TAR_DIR;
        return TAR_OK;
}

bool tar_text_is(struct tar_text text, const char *s)
{
        return strlen(s) == text.len && !memcmp(text.s, s, text.len);
}

int tar_parse_number(struct tar_text text, uint64_t max, uint64_t *ret)
{
        uint64_t n = 0;

        if (!text.len || text.len > 20)
                return TAR_E_NUMBER;
        for (size_t i = 0; i < text.len; i++) {
                uint64_t digit = (uint64_t)(text.s[i] - '0');

                if (text.s[i] < '0' || text.s[i] > '9' || __builtin_mul_overflow(n, 10, &n) ||
                    __builtin_add_overflow(n, digit, &n))
                        return TAR_E_NUMBER;
        }
        *ret = n;
        return n > max ? TAR_E_NUMBER : TAR_OK;
}

int tar_parse_time(struct tar_text text, int64_t *ret, uint32_t *ret_ns)
{
        const char *dot = text.len ? memchr(text.s, '.', text.len) : NULL;
        bool negative = text.len && *text.s == '-';
        struct tar_text whole = { text.s + negative, (dot ? (size_t)(dot - text.s) : text.len) - negative };
        uint64_t seconds;
        uint32_t ns = 0, unit = 100000000;

        if (tar_parse_number(whole, (uint64_t)1 << 56, &seconds))
                return TAR_E_NUMBER;
        for (size_t i = whole.len + negative + 1; i < text.len; i++, unit /= 10) {
                if (text.s[i] < '0' || text.s[i] > '9')
                        return TAR_E_NUMBER;
                ns += (uint32_t)(text.s[i] - '0') * unit;
        }
        *ret = negative ? -(int64_t)seconds - (ns > 0) : (int64_t)seconds;
        *ret_ns = negative && ns ? 1000000000 - ns : ns;
        return TAR_OK;
}

/* "LENGTH KEY=VALUE\n", the length in decimal and of all of it. */
int tar_parse_record(const char *p, size_t len, struct tar_text *ret_key, struct tar_text *ret_value,
                     size_t *ret_size)
{
        const char *space = memchr(p, ' ', len < 20 ? len : 20);
        uint64_t size;

        if (!space || tar_parse_number((struct tar_text){ p, (size_t)(space - p) }, len, &size) ||
            size < (size_t)(space - p) + 4 || p[size - 1] != '\n')
                return TAR_E_RECORD;

        const char *key = space + 1, *end = p + size - 1, *equals = memchr(key, '=', (size_t)(end - key));

        if (!equals || equals == key)
                return TAR_E_RECORD;
        *ret_key = (struct tar_text){ key, (size_t)(equals - key) };
        *ret_value = (struct tar_text){ equals + 1, (size_t)(end - equals - 1) };
        *ret_size = (size_t)size;
        return TAR_OK;
}

int tar_apply_record(struct tar_text key, struct tar_text value, struct tar_header *h)
{
        uint64_t n;
        int r = TAR_OK;

        if (tar_text_is(key, "path")) {
                h->name = value;
                h->prefix = (struct tar_text){ 0 };
        } else if (tar_text_is(key, "linkpath")) {
                h->link = value;
        } else if (tar_text_is(key, "uname")) {
                h->uname = value;
        } else if (tar_text_is(key, "gname")) {
                h->gname = value;
        } else if (tar_text_is(key, "mtime")) {
                r = tar_parse_time(value, &h->mtime, &h->mtime_ns);
        } else if (tar_text_is(key, "size")) {
                r = tar_parse_number(value, SIZE_LIMIT, &h->size);
        } else if (tar_text_is(key, "uid")) {
                r = tar_parse_number(value, ID_MAX, &n);
                h->uid = r ? h->uid : (uint32_t)n;
        } else if (tar_text_is(key, "gid")) {
                r = tar_parse_number(value, ID_MAX, &n);
                h->gid = r ? h->gid : (uint32_t)n;
        }
        return r;
}

int tar_map_add(struct tar_map *m, uint64_t offset, uint64_t len)
{
        uint64_t end = m->nr ? m->extents[m->nr - 1].offset + m->extents[m->nr - 1].len : 0;

        if (offset > SIZE_LIMIT || len > SIZE_LIMIT - offset || offset < end)
                return TAR_E_SPARSE;
        if (!len)
                return TAR_OK; /* a hole at the end is said so */
        if (m->nr && offset == end) {
                m->extents[m->nr - 1].len += len;
                return TAR_OK;
        }
        if (m->nr == m->max)
                return TAR_E_SPARSE;
        m->extents[m->nr++] = (struct tar_extent){ offset, len };
        return TAR_OK;
}

int tar_map_number(struct tar_map *m, uint64_t n)
{
        if (!m->has_pending) {
                m->pending = n;
                m->has_pending = true;
                return TAR_OK;
        }
        m->has_pending = false;
        return tar_map_add(m, m->pending, n);
}

int tar_parse_gnu_map(const uint8_t block[TAR_BLOCK], bool first, struct tar_map *m, bool *ret_more,
                      uint64_t *ret_size)
{
        const uint8_t *p = block + (first ? AT_GNU_MAP : 0);
        uint64_t offset, len;

        for (unsigned i = 0; i < (first ? GNU_MAP_FIRST : GNU_MAP_NEXT); i++, p += 2 * LONG_SIZE) {
                if (!p[0] && !p[LONG_SIZE])
                        break;
                if (field(p, LONG_SIZE, SIZE_LIMIT, &offset) ||
                    field(p + LONG_SIZE, LONG_SIZE, SIZE_LIMIT, &len))
                        return TAR_E_NUMBER;

                int r = tar_map_add(m, offset, len);

                if (r)
                        return r;
        }
        *ret_more = block[first ? AT_GNU_MORE : AT_GNU_NEXT_MORE];
        return first ? field(block + AT_GNU_SIZE, LONG_SIZE, SIZE_LIMIT, ret_size) : TAR_OK;
}

static bool put_octal(uint8_t *p, size_t size, uint64_t n)
{
        bool fits = !(n >> (size - 1) * 3);

        p[--size] = 0;
        for (n = fits ? n : 0; size--; n >>= 3)
                p[size] = (uint8_t)('0' + (n & 7));
        return fits;
}

static bool put_text(uint8_t *p, size_t size, struct tar_text text)
{
        bool fits = text.len <= size;

        if (text.len)
                memcpy(p, text.s, fits ? text.len : size);
        return fits;
}

/* A long name may be cut at a slash: what is before goes to the prefix. */
static bool put_name(uint8_t *block, struct tar_text name)
{
        if (put_text(block + AT_NAME, NAME_SIZE, name))
                return true;
        for (size_t cut = name.len - NAME_SIZE - 1; cut <= PREFIX_SIZE && cut < name.len - 1; cut++) {
                if (!cut || name.s[cut] != '/')
                        continue;
                memset(block + AT_NAME, 0, NAME_SIZE);
                put_text(block + AT_PREFIX, PREFIX_SIZE, (struct tar_text){ name.s, cut });
                put_text(block + AT_NAME, NAME_SIZE,
                         (struct tar_text){ name.s + cut + 1, name.len - cut - 1 });
                return true;
        }
        return false;
}

bool tar_put_header(uint8_t block[TAR_BLOCK], const struct tar_header *h)
{
        bool fits = true;

        memset(block, 0, TAR_BLOCK);
        fits &= put_name(block, h->name);
        fits &= put_octal(block + AT_MODE, ID_SIZE, h->mode);
        fits &= put_octal(block + AT_UID, ID_SIZE, h->uid);
        fits &= put_octal(block + AT_GID, ID_SIZE, h->gid);
        fits &= put_octal(block + AT_SIZE, LONG_SIZE, h->size);
        fits &= put_octal(block + AT_MTIME, LONG_SIZE, h->mtime < 0 ? UINT64_MAX : (uint64_t)h->mtime);
        block[AT_KIND] = (uint8_t)h->kind;
        fits &= put_text(block + AT_LINK, NAME_SIZE, h->link);
        put_text(block + AT_MAGIC, 8, (struct tar_text){ "ustar\00000", 8 });
        fits &= put_text(block + AT_UNAME, OWNER_SIZE - 1, h->uname);
        fits &= put_text(block + AT_GNAME, OWNER_SIZE - 1, h->gname);
        fits &= put_octal(block + AT_MAJOR, ID_SIZE, h->major);
        fits &= put_octal(block + AT_MINOR, ID_SIZE, h->minor);
        put_octal(block + AT_CHECKSUM, ID_SIZE - 1, checksum(block));
        block[AT_CHECKSUM + ID_SIZE - 1] = ' ';
        return fits;
}

size_t tar_put_number(char *out, uint64_t n)
{
        char digits[20];
        size_t len = 0;

        do
                digits[len++] = (char)('0' + n % 10);
        while (n /= 10);
        for (size_t i = 0; i < len; i++)
                out[i] = digits[len - 1 - i];
        return len;
}

size_t tar_put_record(char *out, size_t room, const char *key, const void *value, size_t len)
{
        char digits[20];
        size_t key_len = strlen(key), rest = key_len + len + 3, size = rest + 1;

        while (size != rest + tar_put_number(digits, size))
                size = rest + tar_put_number(digits, size);
        if (size > room)
                return size;
        out += tar_put_number(out, size);
        *out++ = ' ';
        out = mempcpy(out, key, key_len);
        *out++ = '=';
        out = mempcpy(out, value, len);
        *out = '\n';
        return size;
}

const char *tar_strerror(int error)
{
        static const char *const texts[] = {
                [TAR_OK] = "well-formed",
                [TAR_E_CHECKSUM] = "not a tar stream, or a damaged one",
                [TAR_E_NUMBER] = "a number of the tar stream is malformed",
                [TAR_E_RECORD] = "an extended header of the tar stream is malformed",
                [TAR_E_SPARSE] = "the map of a sparse file is malformed or too long",
        };

        _Static_assert(sizeof(texts) / sizeof(texts[0]) == TAR_E_NR, "one text for each error");
        return error >= 0 && error < TAR_E_NR ? texts[error] : "unknown error";
}
