/*
 * The server name in a TLS ClientHello.
 * Input:  the first bytes of a connection (guest, hostile).
 * Runs:   any thread; pure.
 * Limits: HELLO_MAX bytes.
 *
 * What is decided of some bytes holds for all that begin with them. Servers differ in what they forgive: some
 * ignore a record's version, some an alert before the hello. What any of them might take for TLS is no
 * HELLO_NOT_TLS here, or a guest could hide a name from us that the server sees.
 */
#include "net/hello_parse.h"

#include <string.h>

#include "net/bytes.h"

#define RECORD_HEADER 5u /* type, version, length */
#define RECORD_MAX    (1u << 14)
#define MESSAGE_HEAD  4u /* type, length in three bytes */

#define RECORD_FIRST     0x14 /* change of cipher; then alert */
#define RECORD_HANDSHAKE 0x16
#define RECORD_LAST      0x18 /* data; then heartbeat */
#define CLIENT_HELLO     1
#define VERSION_MAJOR    3
#define RANDOM_LEN       32u
#define SESSION_MAX      32u

#define EXTENSION_NAME      0x0000u
#define EXTENSION_ECH       0xfe0du /* RFC 9849, and its drafts since 13 */
#define EXTENSION_ECH_FIRST 0xfe08u /* earlier drafts */
#define EXTENSION_ESNI      0xffceu /* what came before them */

/* What is left of the hello, or of a part of it. */
struct part {
        const uint8_t *at;
        size_t n;
};

/* The first @n bytes. False if they are not there. */
static bool split(struct part *p, size_t n, struct part *ret)
{
        if (p->n < n)
                return false;
        *ret = (struct part){ p->at, n };
        p->at += n;
        p->n -= n;
        return true;
}

/* A part behind its length, which has @width bytes. */
static bool split_counted(struct part *p, unsigned width, struct part *ret)
{
        struct part len;

        return split(p, width, &len) && split(p, width == 1 ? len.at[0] : bytes_get16(len.at), ret);
}

/*
 * The handshake's bytes out of the records.
 * Return: HELLO_NAME: the hello is whole in @ret, with or without a name; HELLO_MORE, HELLO_BROKEN
 */
static enum hello join(const uint8_t *bytes, size_t n, uint8_t *ret)
{
        size_t at = 0, len = 0, want = MESSAGE_HEAD;

        while (at < n) {
                size_t part, rest = n - at;

                if (bytes[at] != RECORD_HANDSHAKE || (rest > 1 && bytes[at + 1] != VERSION_MAJOR) ||
                    (rest > 2 && bytes[at + 2] > 4))
                        return HELLO_BROKEN;
                if (rest < RECORD_HEADER)
                        return HELLO_MORE;
                part = bytes_get16(bytes + at + 3);
                if (!part || part > RECORD_MAX)
                        return HELLO_BROKEN;
                rest -= RECORD_HEADER;
                at += RECORD_HEADER;
                if (part > rest)
                        part = rest;
                memcpy(ret + len, bytes + at, part);
                at += part;
                len += part;
                if (len && ret[0] != CLIENT_HELLO)
                        return HELLO_BROKEN;
                if (len >= MESSAGE_HEAD)
                        want = MESSAGE_HEAD + ((size_t)ret[1] << 16 | bytes_get16(ret + 2));
                if (want > HELLO_MAX)
                        return HELLO_BROKEN;
                if (len >= MESSAGE_HEAD && len >= want)
                        return HELLO_NAME;
        }
        return HELLO_MORE;
}

/* Of server_name: exactly one name, of the only kind there is. */
static bool read_server_name(struct part p, name_t ret)
{
        struct part list, kind, name;

        return split_counted(&p, 2, &list) && !p.n && split(&list, 1, &kind) && !kind.at[0] &&
               split_counted(&list, 2, &name) && !list.n &&
               name_read((const char *)name.at, name.n, ret) == NAME_OK;
}

static enum hello read_extensions(struct part p, name_t ret)
{
        bool named = false, encrypted = false;

        while (p.n) {
                struct part head, body;
                unsigned type;

                if (!split(&p, 2, &head) || !split_counted(&p, 2, &body))
                        return HELLO_BROKEN;
                type = bytes_get16(head.at);
                if (type == EXTENSION_NAME) {
                        if (named || !read_server_name(body, ret))
                                return HELLO_BROKEN;
                        named = true;
                } else if (type == EXTENSION_ESNI || (type >= EXTENSION_ECH_FIRST && type <= EXTENSION_ECH)) {
                        encrypted = true;
                }
        }
        if (encrypted)
                return HELLO_ENCRYPTED;
        return named ? HELLO_NAME : HELLO_NONE;
}

static enum hello read_hello(struct part p, name_t ret)
{
        struct part head, session, ciphers, compressions, extensions;

        if (!split(&p, 2 + RANDOM_LEN, &head) || head.at[0] != VERSION_MAJOR ||
            !split_counted(&p, 1, &session) || session.n > SESSION_MAX || !split_counted(&p, 2, &ciphers) ||
            !ciphers.n || ciphers.n % 2 || !split_counted(&p, 1, &compressions) || !compressions.n)
                return HELLO_BROKEN;
        if (!p.n)
                return HELLO_NONE; /* before there were extensions */
        if (!split_counted(&p, 2, &extensions) || p.n)
                return HELLO_BROKEN;
        return read_extensions(extensions, ret);
}

/* A hello of SSL 2 that offers TLS (RFC 5246, E.2): it has no name, and old servers take it. */
static enum hello try_old(const uint8_t *bytes, size_t n)
{
        if (!(bytes[0] & 0x80) || (n > 2 && bytes[2] != CLIENT_HELLO) || (n > 3 && bytes[3] != VERSION_MAJOR))
                return HELLO_NOT_TLS;
        return n > 3 ? HELLO_NONE : HELLO_MORE;
}

enum hello hello_parse(const uint8_t *bytes, size_t n, name_t ret)
{
        uint8_t message[HELLO_MAX];
        bool is_end = n >= HELLO_MAX;
        enum hello r;

        ret[0] = 0;
        if (!n)
                return HELLO_MORE;
        if (bytes[0] < RECORD_FIRST || bytes[0] > RECORD_LAST)
                return try_old(bytes, n);
        /* Other records than a handshake's are TLS if the version is one that somebody takes. */
        if (bytes[0] != RECORD_HANDSHAKE) {
                if (n < 2)
                        return HELLO_MORE;
                return bytes[1] < 0x10 ? HELLO_BROKEN : HELLO_NOT_TLS;
        }
        r = join(bytes, is_end ? HELLO_MAX : n, message);
        if (r == HELLO_MORE)
                return is_end ? HELLO_BROKEN : HELLO_MORE;
        if (r == HELLO_NAME)
                r = read_hello((struct part){ message + MESSAGE_HEAD,
                                              (size_t)message[1] << 16 | bytes_get16(message + 2) },
                               ret);
        if (r != HELLO_NAME && r != HELLO_ENCRYPTED)
                ret[0] = 0;
        return r;
}
