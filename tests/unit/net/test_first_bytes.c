/*
 * What other protocols say first is known to be neither TLS nor HTTP without waiting for more: the other side may
 * be waiting for it.
 */
#include "net/hello_parse.h"
#include "net/http_parse.h"
#include "tests/unit/run.h"

#define ROW(text)                                                                                            \
        {                                                                                                    \
                text, sizeof(text) - 1                                                                       \
        }

START_TEST(test_neither)
{
        static const struct {
                const char *bytes;
                size_t n;
        } rows[] = {
                ROW("0032git-upload-pack /project.git\0host=example.com\0"),
                ROW("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
                ROW("EHLO example.com\r\n"),
                ROW("*1\r\n$4\r\nPING\r\n"),
                ROW("\0\0\0\x08\x04\xd2\x16\x2f"),           /* PostgreSQL: asks for TLS */
                ROW("\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"), /* MQTT */
                ROW("\x05\x01\0"),                           /* SOCKS 5 */
                ROW("\x04\x01\0\x50\x5d\xb8\xd8\x22\0"),     /* SOCKS 4 */
                ROW("\x13"
                    "BitTorrent protocol"),
                ROW("\0\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01"
                    "a\0\0\x01\0\x01"), /* DNS */
                ROW("{\"id\":1}"),
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                const uint8_t *bytes = (const uint8_t *)rows[i].bytes;
                name_t name;

                ck_assert_msg(hello_parse(bytes, rows[i].n, name) == HELLO_NOT_TLS, "row %zu", i);
                ck_assert_msg(http_parse(bytes, rows[i].n, name) == HTTP_NOT_HTTP, "row %zu", i);
        }
}
END_TEST

/* Cut anywhere, a request is waited for, and never taken for something else before it is whole. */
START_TEST(test_pieces)
{
        static const char request[] = "\r\nGET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
        name_t name;

        for (size_t n = 0; n < sizeof(request) - 1; n++)
                ck_assert_int_eq(http_parse((const uint8_t *)request, n, name), HTTP_MORE);
        ck_assert_int_eq(http_parse((const uint8_t *)request, sizeof(request) - 1, name), HTTP_NAME);
        ck_assert_str_eq(name, "example.com");
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_neither, test_pieces };

        return run_tests("first_bytes", tests, array_size(tests));
}
