/*
 * tar, the format: headers, pax records, numbers. Pure: bytes in, structs out, and the reverse.
 *
 * Written is pax (POSIX.1-2001) with what GNU and star add to it: GNU sparse 1.0 and SCHILY.xattr. Read is
 * that, ustar, and GNU's own format (long names, base-256 numbers, all its sparse forms). Parsed structs are
 * views into the bytes they came from. Errors are positive: who wrote the stream is at fault.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK   512u
#define TAR_PAX_MAX (256u << 10) /* of one extended header: names, and attributes of 64 KiB each */

enum tar_kind {
        TAR_FILE = '0',
        TAR_LINK = '1', /* hard */
        TAR_SYMLINK = '2',
        TAR_CHAR = '3',
        TAR_BLOCK_DEVICE = '4',
        TAR_DIR = '5',
        TAR_FIFO = '6',
        TAR_CONTIGUOUS = '7', /* a file */
        TAR_PAX = 'x',
        TAR_PAX_GLOBAL = 'g',
        TAR_GNU_NAME = 'L',
        TAR_GNU_LINK = 'K',
        TAR_GNU_SPARSE = 'S',
};

enum {
        TAR_OK,
        TAR_E_CHECKSUM, /* not a header */
        TAR_E_NUMBER,   /* a field that is no number, or too large */
        TAR_E_RECORD,   /* a malformed pax record */
        TAR_E_SPARSE,   /* a map that is out of order or too long */
        TAR_E_NR
};

/* A member. Strings are views and have no NUL at their end. */
struct tar_text {
        const char *s;
        size_t len;
};
struct tar_header {
        char kind; /* enum tar_kind, or what the stream says */
        uint32_t mode, uid, gid, major, minor;
        uint64_t size; /* bytes that follow */
        int64_t mtime;
        uint32_t mtime_ns;
        struct tar_text prefix, name, link, uname, gname; /* prefix: goes before the name, with a slash */
};

/* tar_is_end() - is it a block of zeros? Two of them end a stream. */
bool tar_is_end(const uint8_t block[TAR_BLOCK]);

/* tar_parse_header() - Return: 0 or TAR_E_. */
int tar_parse_header(const uint8_t block[TAR_BLOCK], struct tar_header *ret);

/* tar_parse_record() - one pax record at @p. Return: 0 and its size, or TAR_E_RECORD. */
int tar_parse_record(const char *p, size_t len, struct tar_text *ret_key, struct tar_text *ret_value,
                     size_t *ret_size);

/* tar_parse_number() - a decimal number, all of @text. tar_parse_time() - seconds and their parts. */
int tar_parse_number(struct tar_text text, uint64_t max, uint64_t *ret);
int tar_parse_time(struct tar_text text, int64_t *ret, uint32_t *ret_ns);

/* tar_apply_record() - what a pax record says of names, sizes, owners, times. Return: 0 or TAR_E_NUMBER. */
int tar_apply_record(struct tar_text key, struct tar_text value, struct tar_header *h);

/* tar_text_is() - is @text the string @s? */
bool tar_text_is(struct tar_text text, const char *s);

/* A sparse file: pieces of data in order, the rest is zeros. Pieces that touch are joined. */
struct tar_extent {
        uint64_t offset, len;
};
struct tar_map {
        struct tar_extent *extents;
        uint32_t nr, max;
        uint64_t pending; /* an offset whose length has not come yet, see tar_map_number() */
        bool has_pending;
};
/* tar_map_add() - Return: 0 or TAR_E_SPARSE. */
int tar_map_add(struct tar_map *m, uint64_t offset, uint64_t len);
int tar_map_number(struct tar_map *m, uint64_t n); /* offset, length, offset, ... */

/*
 * tar_parse_gnu_map() - the entries in a GNU sparse header (@first) or in a block behind it.
 * Return: 0 or TAR_E_; @ret_more: another block follows; @ret_size of a first one: the file's real size.
 */
int tar_parse_gnu_map(const uint8_t block[TAR_BLOCK], bool first, struct tar_map *m, bool *ret_more,
                      uint64_t *ret_size);

/*
 * tar_put_header() - a block. Names must fit (100 bytes; 155 more in the prefix if a slash allows it):
 * Return: false if something does not, or no number; then it is cut, and a pax record must say it.
 */
bool tar_put_header(uint8_t block[TAR_BLOCK], const struct tar_header *h);

/* tar_put_record() - a pax record at @out. Return: its size, also if it does not fit in @room (then nothing). */
size_t tar_put_record(char *out, size_t room, const char *key, const void *value, size_t len);

/* tar_put_number() - decimal digits at @out (20 bytes). Return: their number. */
size_t tar_put_number(char *out, uint64_t n);

const char *tar_strerror(int error);
