/*
 * Server names of TLS.
 */
#include <stdlib.h>
#include <string.h>

#include "net/bytes.h"
#include "net/hello_parse.h"
#include "tests/unit/run.h"

#define SIZE 140000u
/* One extension: its type, a length in two bytes, what it has. */
#define NAME(list) "\0\0" list

struct hello_bytes {
        uint8_t bytes[SIZE];
        size_t n;
};

static struct hello_bytes body, hello;

static void put(struct hello_bytes *h, const void *bytes, size_t n)
{
        ck_assert_uint_le(h->n + n, sizeof(h->bytes));
        memcpy(h->bytes + h->n, bytes, n);
        h->n += n;
}

static void put16(struct hello_bytes *h, size_t v)
{
        put(h, (const uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

/* What stands before the extensions. */
static void begin_body(void)
{
        body.n = 0;
        put(&body, "\3\3", 2);
        put(&body, "0123456789abcdef0123456789abcdef", 32);
        put(&body, "\4sess", 5);
        put(&body, "\0\4\x13\1\x13\2", 6);
        put(&body, "\1", 2);
}

static void make_body(const char *extensions, size_t n)
{
        begin_body();
        put16(&body, n);
        put(&body, extensions, n);
}

/* The body as a handshake message, in records of @size bytes. */
static void make_hello(size_t size)
{
        static struct hello_bytes message;

        message.n = 0;
        put(&message, (const uint8_t[]){ 1, (uint8_t)(body.n >> 16) }, 2);
        put16(&message, body.n & 0xffff);
        put(&message, body.bytes, body.n);
        hello.n = 0;
        for (size_t at = 0; at < message.n; at += size) {
                size_t n = message.n - at < size ? message.n - at : size;

                put(&hello, "\x16\3\1", 3);
                put16(&hello, n);
                put(&hello, message.bytes + at, n);
        }
}

/* Of all its beginnings, each in memory of just its size. */
static enum hello parse(name_t ret)
{
        enum hello last = HELLO_MORE;
        name_t before;

        for (size_t n = 0; n <= hello.n; n++) {
                uint8_t *bytes = malloc(n ? n : 1);
                enum hello r;

                memcpy(bytes, hello.bytes, n);
                r = hello_parse(bytes, n, ret);
                free(bytes);
                ck_assert_msg(r != HELLO_MORE || n < HELLO_MAX, "more than the limit");
                ck_assert_msg(last == HELLO_MORE || (r == last && !strcmp(before, ret)), "changed at %zu", n);
                ck_assert(r == HELLO_NAME ? ret[0] : r == HELLO_ENCRYPTED || !ret[0]);
                last = r;
                strcpy(before, ret);
        }
        return last;
}

static const struct {
        const char *what;
        const char *extensions;
        size_t n;
        enum hello result;
        const char *name;
} rows[] = {
#define ROW(what, extensions, result, name)                                                                  \
        {                                                                                                    \
                what, extensions, sizeof(extensions) - 1, result, name                                       \
        }
        ROW("no extensions", "", HELLO_NONE, ""),
        ROW("others only", "\0\x17\0\0\0\x2b\0\3\2\3\4", HELLO_NONE, ""),
        ROW("a name",
            NAME("\0\x10\0\x0e\0\0\x0b"
                 "example.com"),
            HELLO_NAME, "example.com"),
        ROW("a name, mixed",
            "\x0a\x0a\0\0" NAME("\0\x10\0\x0e\0\0\x0b"
                                "eXample.COM") "\0\x17\0\0",
            HELLO_NAME, "example.com"),
        ROW("a dot at its end",
            NAME("\0\x11\0\x0f\0\0\x0c"
                 "example.com."),
            HELLO_NAME, "example.com"),
        ROW("one letter", NAME("\0\6\0\4\0\0\1x"), HELLO_NAME, "x"),
        ROW("empty name", NAME("\0\5\0\3\0\0\0"), HELLO_BROKEN, ""),
        ROW("empty list", NAME("\0\2\0\0"), HELLO_BROKEN, ""),
        ROW("empty extension", NAME("\0\0"), HELLO_BROKEN, ""),
        ROW("list longer than extension", NAME("\0\6\0\5\0\0\1x"), HELLO_BROKEN, ""),
        ROW("list shorter than extension", NAME("\0\7\0\4\0\0\1xy"), HELLO_BROKEN, ""),
        ROW("name longer than list", NAME("\0\6\0\4\0\0\2x"), HELLO_BROKEN, ""),
        ROW("name shorter than list", NAME("\0\7\0\5\0\0\1xy"), HELLO_BROKEN, ""),
        ROW("two names", NAME("\0\x0a\0\x08\0\0\1x\0\0\1x"), HELLO_BROKEN, ""),
        ROW("two extensions", NAME("\0\6\0\4\0\0\1x") NAME("\0\6\0\4\0\0\1x"), HELLO_BROKEN, ""),
        ROW("another kind", NAME("\0\6\0\4\1\0\1x"), HELLO_BROKEN, ""),
        ROW("address",
            NAME("\0\x0c\0\x0a\0\0\7"
                 "1.2.3.4"),
            HELLO_BROKEN, ""),
        ROW("address in a spelling",
            NAME("\0\x0a\0\x08\0\0\5"
                 "0x7f1"),
            HELLO_BROKEN, ""),
        ROW("NUL",
            NAME("\0\x0a\0\x08\0\0\5"
                 "a\0.bc"),
            HELLO_BROKEN, ""),
        ROW("NUL at its end", NAME("\0\7\0\5\0\0\2x\0"), HELLO_BROKEN, ""),
        ROW("space", NAME("\0\x08\0\6\0\0\3a b"), HELLO_BROKEN, ""),
        ROW("ECH", "\xfe\x0d\0\1x", HELLO_ENCRYPTED, ""),
        ROW("ECH and a name", "\xfe\x0d\0\1x" NAME("\0\6\0\4\0\0\1x"), HELLO_ENCRYPTED, "x"),
        ROW("a name and ECH", NAME("\0\6\0\4\0\0\1x") "\xfe\x0d\0\1x", HELLO_ENCRYPTED, "x"),
        ROW("ECH and two names", "\xfe\x0d\0\1x" NAME("\0\6\0\4\0\0\1x") NAME("\0\6\0\4\0\0\1x"),
            HELLO_BROKEN, ""),
        ROW("ECH of a draft", "\xfe\x08\0\0", HELLO_ENCRYPTED, ""),
        ROW("before the drafts", "\xfe\x07\0\0", HELLO_NONE, ""),
        ROW("behind ECH", "\xfe\x0e\0\0", HELLO_NONE, ""),
        ROW("ESNI", "\xff\xce\0\0", HELLO_ENCRYPTED, ""),
        ROW("extension cut", "\0\x17\0\1", HELLO_BROKEN, ""),
        ROW("extension's length cut", "\0\x17\0", HELLO_BROKEN, ""),
        ROW("extension's type cut", "\0", HELLO_BROKEN, ""),
#undef ROW
};

START_TEST(test_extensions)
{
        static const size_t sizes[] = { 1, 3, 7, 1u << 14 };

        for (size_t i = 0; i < array_size(rows); i++) {
                for (size_t s = 0; s < array_size(sizes); s++) {
                        enum hello r;
                        name_t name;

                        make_body(rows[i].extensions, rows[i].n);
                        make_hello(sizes[s]);
                        put(&hello, "\xff\xff\xff\xff\xff\xff", 6); /* what follows does not count */
                        r = parse(name);
                        ck_assert_msg(r == rows[i].result, "%s: %d", rows[i].what, r);
                        ck_assert_msg(!strcmp(name, rows[i].name), "%s: %s", rows[i].what, name);
                }
        }
}
END_TEST

START_TEST(test_body)
{
        static const struct {
                const char *what, *bytes;
                size_t n;
                enum hello result;
        } bodies[] = {
#define ROW(what, bytes, result) { what, bytes, sizeof(bytes) - 1, result }
#define FIRST                                                                                                \
        "\3\3"                                                                                               \
        "0123456789abcdef0123456789abcdef"
#define NAMED "\0\x0a" NAME("\0\6\0\4\0\0\1x")
                ROW("all",
                    FIRST "\0"
                          "\0\2\x13\1"
                          "\1\0" NAMED,
                    HELLO_NAME),
                ROW("TLS 1.0",
                    "\3\1"
                    "0123456789abcdef0123456789abcdef"
                    "\0"
                    "\0\2\x13\1"
                    "\1\0" NAMED,
                    HELLO_NAME),
                ROW("version 2",
                    "\2\3"
                    "0123456789abcdef0123456789abcdef"
                    "\0"
                    "\0\2\x13\1"
                    "\1\0" NAMED,
                    HELLO_BROKEN),
                ROW("version 4",
                    "\4\3"
                    "0123456789abcdef0123456789abcdef"
                    "\0"
                    "\0\2\x13\1"
                    "\1\0" NAMED,
                    HELLO_BROKEN),
                ROW("empty", "", HELLO_BROKEN),
                ROW("random cut",
                    "\3\3"
                    "0123456789abcdef0123456789abcde",
                    HELLO_BROKEN),
                ROW("no session", FIRST, HELLO_BROKEN),
                ROW("session of 32",
                    FIRST "\x20"
                          "0123456789abcdef0123456789abcdef"
                          "\0\2\x13\1"
                          "\1\0" NAMED,
                    HELLO_NAME),
                ROW("session of 33",
                    FIRST "\x21"
                          "0123456789abcdef0123456789abcdefg"
                          "\0\2\x13\1"
                          "\1\0" NAMED,
                    HELLO_BROKEN),
                ROW("session cut",
                    FIRST "\x20"
                          "0123",
                    HELLO_BROKEN),
                ROW("no ciphers",
                    FIRST "\0"
                          "\0\0"
                          "\1\0" NAMED,
                    HELLO_BROKEN),
                ROW("half a cipher",
                    FIRST "\0"
                          "\0\3\x13\1\x13"
                          "\1\0" NAMED,
                    HELLO_BROKEN),
                ROW("ciphers cut",
                    FIRST "\0"
                          "\0\6\x13\1\1\0",
                    HELLO_BROKEN),
                ROW("no compression",
                    FIRST "\0"
                          "\0\2\x13\1"
                          "\0" NAMED,
                    HELLO_BROKEN),
                ROW("compression cut",
                    FIRST "\0"
                          "\0\2\x13\1"
                          "\2\0",
                    HELLO_BROKEN),
                ROW("without extensions",
                    FIRST "\0"
                          "\0\2\x13\1"
                          "\1\0",
                    HELLO_NONE),
                ROW("with none",
                    FIRST "\0"
                          "\0\2\x13\1"
                          "\1\0"
                          "\0\0",
                    HELLO_NONE),
                ROW("half a length",
                    FIRST "\0"
                          "\0\2\x13\1"
                          "\1\0"
                          "\0",
                    HELLO_BROKEN),
                ROW("extensions cut",
                    FIRST "\0"
                          "\0\2\x13\1"
                          "\1\0"
                          "\0\x0b" NAME("\0\6\0\4\0\0\1x"),
                    HELLO_BROKEN),
                ROW("a byte behind them",
                    FIRST "\0"
                          "\0\2\x13\1"
                          "\1\0" NAMED "\0",
                    HELLO_BROKEN),
#undef ROW
        };

        for (size_t i = 0; i < array_size(bodies); i++) {
                enum hello r;
                name_t name;

                body.n = 0;
                put(&body, bodies[i].bytes, bodies[i].n);
                make_hello(1u << 14);
                r = parse(name);
                ck_assert_msg(r == bodies[i].result, "%s: %d", bodies[i].what, r);
        }
}
END_TEST

START_TEST(test_first_bytes)
{
        static const struct {
                const char *what, *bytes;
                size_t n;
                enum hello result;
        } firsts[] = {
#define ROW(what, bytes, result) { what, bytes, sizeof(bytes) - 1, result }
                ROW("nothing", "", HELLO_MORE),
                ROW("HTTP", "GET / HTTP/1.1\r\n", HELLO_NOT_TLS),
                ROW("SSH", "SSH-2.0-x\r\n", HELLO_NOT_TLS),
                ROW("length first", "\0\0\0\x08", HELLO_NOT_TLS),
                ROW("before the records", "\x13\3\1", HELLO_NOT_TLS),
                ROW("behind the records", "\x19\3\1", HELLO_NOT_TLS),
                ROW("telnet", "\xff\xfd\3", HELLO_NOT_TLS),
                ROW("handshake", "\x16", HELLO_MORE),
                ROW("major version", "\x16\2", HELLO_BROKEN),
                ROW("minor version 4", "\x16\3\4", HELLO_MORE),
                ROW("minor version 5", "\x16\3\5", HELLO_BROKEN),
                ROW("any version", "\x16\xff\xff\0\5\1", HELLO_BROKEN),
                ROW("empty record", "\x16\3\1\0\0", HELLO_BROKEN),
                ROW("record of 2^14", "\x16\3\1\x40\0", HELLO_MORE),
                ROW("longer record", "\x16\3\1\x40\1", HELLO_BROKEN),
                ROW("server's hello", "\x16\3\1\0\4\2", HELLO_BROKEN),
                ROW("hello", "\x16\3\1\0\4\1", HELLO_MORE),
                ROW("another record within", "\x16\3\1\0\1\1\x17\3\1\0\1\0", HELLO_BROKEN),
                ROW("another version within", "\x16\3\1\0\1\1\x16\3\5", HELLO_BROKEN),
                ROW("empty record within", "\x16\3\1\0\1\1\x16\3\1\0\0", HELLO_BROKEN),
                ROW("hello of 2^14", "\x16\3\1\0\4\1\0\x3f\xfc", HELLO_MORE),
                ROW("longer hello", "\x16\3\1\0\4\1\0\x3f\xfd", HELLO_BROKEN),
                ROW("alert before", "\x15\3\1\0\2\1\0", HELLO_BROKEN),
                ROW("alert of version 0.1", "\x15\0\1\0\2\1\0", HELLO_BROKEN),
                ROW("no alert", "\x15\x10", HELLO_NOT_TLS),
                ROW("change of cipher before", "\x14\3\3\0\1\1", HELLO_BROKEN),
                ROW("data before", "\x17\3\3\0\1\1", HELLO_BROKEN),
                ROW("heartbeat before", "\x18\3\3\0\1\1", HELLO_BROKEN),
                ROW("SSL 2 that offers TLS", "\x80\x2e\1\3\1\0\x15", HELLO_NONE),
                ROW("SSL 2", "\x80\x2e\1\0\2\0\x15", HELLO_NOT_TLS),
                ROW("SSL 2's other message", "\x80\x2e\2\3\1", HELLO_NOT_TLS),
                ROW("SSL 2 begins", "\x80\x2e\1", HELLO_MORE),
#undef ROW
        };

        for (size_t i = 0; i < array_size(firsts); i++) {
                enum hello r;
                name_t name;

                hello.n = 0;
                put(&hello, firsts[i].bytes, firsts[i].n);
                r = parse(name);
                ck_assert_msg(r == firsts[i].result, "%s: %d", firsts[i].what, r);
        }
}
END_TEST

/* @n: bytes of all records */
static void make_hello_of(size_t n)
{
        size_t padding =
                n - 5 - 4 - 47 - 2 - 10 - 4; /* the heads, what make_body() has, the two extensions */

        begin_body();
        put16(&body, 10 + 4 + padding);
        put(&body, NAME("\0\6\0\4\0\0\1x"), 10);
        put16(&body, 21);
        put16(&body, padding);
        memset(body.bytes + body.n, 0, padding);
        body.n += padding;
        make_hello(1u << 14);
        ck_assert_uint_eq(hello.n, n);
}

START_TEST(test_longest)
{
        name_t name;

        make_hello_of(HELLO_MAX);
        ck_assert_int_eq(hello_parse(hello.bytes, hello.n - 1, name), HELLO_MORE);
        ck_assert_int_eq(hello_parse(hello.bytes, hello.n, name), HELLO_NAME);
        ck_assert_str_eq(name, "x");
        put(&hello, "data", 4);
        ck_assert_int_eq(hello_parse(hello.bytes, hello.n, name), HELLO_NAME);
        make_hello_of(HELLO_MAX + 1);
        ck_assert_int_eq(hello_parse(hello.bytes, HELLO_MAX - 1, name), HELLO_MORE);
        ck_assert_int_eq(hello_parse(hello.bytes, HELLO_MAX, name), HELLO_BROKEN);
        ck_assert_int_eq(hello_parse(hello.bytes, hello.n, name), HELLO_BROKEN);
}
END_TEST

START_TEST(test_longest_name)
{
        for (size_t n = NAME_LEN_MAX; n <= NAME_LEN_MAX + 1; n++) {
                char extension[400];
                name_t name;

                bytes_put16((uint8_t *)extension, 0);
                bytes_put16((uint8_t *)extension + 2, (uint16_t)(n + 5));
                bytes_put16((uint8_t *)extension + 4, (uint16_t)(n + 3));
                extension[6] = 0;
                bytes_put16((uint8_t *)extension + 7, (uint16_t)n);
                for (size_t i = 0; i < n; i++)
                        extension[9 + i] = i % 64 == 63 ? '.' : 'x';
                make_body(extension, n + 9);
                make_hello(100);
                ck_assert_int_eq(parse(name), n <= NAME_LEN_MAX ? HELLO_NAME : HELLO_BROKEN);
                ck_assert_uint_eq(strlen(name), n <= NAME_LEN_MAX ? n : 0);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_extensions, test_body, test_first_bytes, test_longest,
                                       test_longest_name };

        return run_tests("hello_parse", tests, array_size(tests));
}
