/*
 * Hosts of HTTP requests.
 */
#include <stdlib.h>
#include <string.h>

#include "net/http_parse.h"
#include "tests/unit/run.h"

/* Of all its beginnings, each in memory of just its size. */
static enum http parse(const char *text, size_t len, name_t ret)
{
        enum http last = HTTP_MORE;
        name_t before;

        for (size_t n = 0; n <= len; n++) {
                uint8_t *bytes = malloc(n ? n : 1);
                enum http r;

                memcpy(bytes, text, n);
                r = http_parse(bytes, n, ret);
                free(bytes);
                ck_assert_msg(r != HTTP_MORE || n < HTTP_HEAD_MAX, "more than the limit");
                ck_assert_msg(last == HTTP_MORE || (r == last && !strcmp(before, ret)), "changed at %zu", n);
                ck_assert((r == HTTP_NAME) == !!ret[0]);
                last = r;
                strcpy(before, ret);
        }
        return last;
}

struct row {
        const char *text;
        enum http result;
        const char *name;
};

static void check_rows(const struct row *rows, size_t nr)
{
        for (size_t i = 0; i < nr; i++) {
                name_t name;
                enum http r = parse(rows[i].text, strlen(rows[i].text), name);

                ck_assert_msg(r == rows[i].result, "row %zu: %s: %d", i, rows[i].text, r);
                ck_assert_msg(!strcmp(name, rows[i].name ? rows[i].name : ""), "row %zu: %s", i, name);
        }
}

#define GET "GET / HTTP/1.1\r\n"

START_TEST(test_hosts)
{
        static const struct row rows[] = {
                { GET "Host: example.com\r\n\r\n", HTTP_NAME, "example.com" },
                { GET "Host: example.com\r\n\r\nGET / HTTP/1.1\r\nHost: example.org\r\n\r\n", HTTP_NAME,
                  "example.com" },
                { GET "Accept: */*\r\nhOST:Example.COM:8080\r\nX-Y: \t a:b \t\r\n\r\n", HTTP_NAME,
                  "example.com" },
                { GET "Host: \t example.com. \t \r\n\r\n", HTTP_NAME, "example.com" },
                { GET "Host: example.com:\r\n\r\n", HTTP_NAME, "example.com" },
                { GET "Host: example.com:65535\r\n\r\n", HTTP_NAME, "example.com" },
                { GET "Host: example.com:123456\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com:80x\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com:80:80\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com:-1\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: :80\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: .\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: a..b\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: 198.51.100.7:80\r\n\r\n", HTTP_NAME, "198.51.100.7" },
                { GET "Host: [2001:DB8:0::7]:80\r\n\r\n", HTTP_NAME, "2001:db8::7" },
                { GET "Host: [::ffff:1.2.3.4]\r\n\r\n", HTTP_NAME, "::ffff:1.2.3.4" },
                { GET "Host: 2001:db8::7\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: [2001:db8::7\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: [2001:db8::7]80\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: [fe80::1%1]\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: [fe80::1%25eth0]\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: [198.51.100.7]\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: [example.com]\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: [v1.x]\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: []\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: 3325256711\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: 0x7f.1\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: 0177.0.0.1\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: 198.51.100\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: user@example.com\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com/\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com, example.org\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com example.org\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: ex%61mple.com\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: ex\xc3\xa4mple.com\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: xn--exmple-cua.com\r\n\r\n", HTTP_NAME, "xn--exmple-cua.com" },
                { GET "Host: _x.example.com\r\n\r\n", HTTP_NAME, "_x.example.com" },
                { GET "Host:\r\n\r\n", HTTP_NONE, NULL },
                { GET "Host: \t\r\n\r\n", HTTP_NONE, NULL },
                { GET "\r\n", HTTP_NONE, NULL },
                { GET "X-Host: example.com\r\nHosts: example.com\r\n\r\n", HTTP_NONE, NULL },
                { "GET / HTTP/1.0\r\n\r\n", HTTP_NONE, NULL },
                { "GET / HTTP/1.0\r\nHost: example.com\r\n\r\n", HTTP_NAME, "example.com" },
                { GET "Host: example.com\r\nHost: example.com\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com\r\nHost: example.org\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host:\r\nHost: example.org\r\n\r\n", HTTP_BROKEN, NULL },
        };

        check_rows(rows, array_size(rows));
}
END_TEST

#define HOST " HTTP/1.1\r\nHost: example.com\r\n\r\n"

START_TEST(test_targets)
{
        static const struct row rows[] = {
                { "GET /a?b=http://example.org" HOST, HTTP_NAME, "example.com" },
                { "GET //example.org/" HOST, HTTP_NAME, "example.com" },
                { "GET /\xc3\xa4" HOST, HTTP_NAME, "example.com" },
                { "GET http://example.com/" HOST, HTTP_NAME, "example.com" },
                { "GET HTTPS://Example.com:443?x" HOST, HTTP_NAME, "example.com" },
                { "GET http://example.com#x" HOST, HTTP_NAME, "example.com" },
                { "GET http://example.com" HOST, HTTP_NAME, "example.com" },
                { "GET http://example.org/" HOST, HTTP_BROKEN, NULL },
                { "GET http://example.com@example.org/" HOST, HTTP_BROKEN, NULL },
                { "GET http://example.org@example.com/" HOST, HTTP_BROKEN, NULL },
                { "GET http://" HOST, HTTP_BROKEN, NULL },
                { "GET http:///" HOST, HTTP_BROKEN, NULL },
                { "GET http:/example.com/" HOST, HTTP_BROKEN, NULL },
                { "GET http:example.com" HOST, HTTP_BROKEN, NULL },
                { "GET ://example.com" HOST, HTTP_BROKEN, NULL },
                { "GET example.com" HOST, HTTP_BROKEN, NULL },
                { "GET http://example.com\\@example.org/" HOST, HTTP_BROKEN, NULL },
                { "GET http://example.org/ HTTP/1.0\r\n\r\n", HTTP_NAME, "example.org" },
                { "GET http://[2001:db8::1]:80/ HTTP/1.1\r\nHost: [2001:db8:0::1]\r\n\r\n", HTTP_NAME,
                  "2001:db8::1" },
                { "GET http://example.org/ HTTP/1.1\r\nHost:\r\n\r\n", HTTP_BROKEN, NULL },
                { "OPTIONS *" HOST, HTTP_NAME, "example.com" },
                { "OPTIONS * HTTP/1.1\r\n\r\n", HTTP_NONE, NULL },
                { "GET *" HOST, HTTP_BROKEN, NULL },
                { "CONNECT example.com:443" HOST, HTTP_NAME, "example.com" },
                { "CONNECT example.org:443 HTTP/1.1\r\n\r\n", HTTP_NAME, "example.org" },
                { "CONNECT [2001:db8::1]:443 HTTP/1.1\r\n\r\n", HTTP_NAME, "2001:db8::1" },
                { "CONNECT 198.51.100.7:443 HTTP/1.1\r\n\r\n", HTTP_NAME, "198.51.100.7" },
                { "CONNECT example.org:443" HOST, HTTP_BROKEN, NULL },
                { "CONNECT example.com" HOST, HTTP_BROKEN, NULL },
                { "CONNECT example.com:" HOST, HTTP_BROKEN, NULL },
                { "CONNECT /" HOST, HTTP_BROKEN, NULL },
                { "CONNECT http://example.com:80/" HOST, HTTP_BROKEN, NULL },
                { "connect example.com:80" HOST, HTTP_BROKEN, NULL },
                { "M-SEARCH /" HOST, HTTP_NAME, "example.com" },
        };

        check_rows(rows, array_size(rows));
}
END_TEST

START_TEST(test_lines)
{
        static const struct row rows[] = {
                { "\r\n\n\r\n" GET "Host: example.com\r\n\r\n", HTTP_NAME, "example.com" },
                { "GET / HTTP/1.1\nHost: example.com\n\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com\r\n\n", HTTP_BROKEN, NULL },
                { GET "Host: example.com\rX: y\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "Host : example.com\r\n\r\n", HTTP_BROKEN, NULL },
                { GET " Host: example.com\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "X: y\r\n Host: example.com\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "X: y\r\n\tz\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "X\r\n\r\n", HTTP_BROKEN, NULL },
                { GET ": x\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "X: \x01\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "X: \x7f\r\n\r\n", HTTP_BROKEN, NULL },
                { GET "X: \xff\r\n\r\n", HTTP_NONE, NULL },
                { GET "X@Y: z\r\n\r\n", HTTP_BROKEN, NULL },
                { "GET  / HTTP/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET /  HTTP/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET / HTTP/1.1 \r\n", HTTP_BROKEN, NULL },
                { "GET\t/ HTTP/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET /\tHTTP/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET /\vHTTP/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET / x HTTP/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET HTTP/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET /\x01 HTTP/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET /\x7f HTTP/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET / http/1.1\r\n", HTTP_BROKEN, NULL },
                { "GET / HTTP/1.2\r\n", HTTP_BROKEN, NULL },
                { "GET / HTTP/1.10\r\n", HTTP_BROKEN, NULL },
                { "GET / HTTP/2.0\r\n", HTTP_BROKEN, NULL },
                { "GET / HTTP/\r\n", HTTP_BROKEN, NULL },
                { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_BROKEN, NULL },
                { "GET /\r\n", HTTP_BROKEN, NULL }, /* HTTP/0.9 */
                { "get /\n", HTTP_BROKEN, NULL },
                { "GET http://example.com/\r\n", HTTP_BROKEN, NULL },
        };
        name_t name;

        check_rows(rows, array_size(rows));
        ck_assert_int_eq(parse(GET "X: \0\r\n\r\n", 23, name), HTTP_BROKEN);
        ck_assert_int_eq(parse(GET "Host: a\0b\r\n\r\n", 29, name), HTTP_BROKEN);
        ck_assert_int_eq(parse("GET /\0 HTTP/1.1\r\n", 17, name), HTTP_BROKEN);
        ck_assert_int_eq(parse("GET http://a\0/ HTTP/1.1\r\n", 25, name), HTTP_BROKEN);
}
END_TEST

START_TEST(test_others)
{
        static const struct row rows[] = {
                { "", HTTP_MORE, NULL },
                { "\r\n", HTTP_MORE, NULL },
                { "GET", HTTP_MORE, NULL },
                { GET "Host: example.com\r\n\r", HTTP_MORE, NULL },
                { GET "Host: example.com\r\n", HTTP_MORE, NULL },
                { "EHLO example.com\r\n", HTTP_NOT_HTTP, NULL },
                { "PING\r\n", HTTP_NOT_HTTP, NULL },
                { "PING\n", HTTP_NOT_HTTP, NULL },
                { "get key\r\n", HTTP_NOT_HTTP, NULL },
                { "*2\r\n$3\r\nGET\r\n", HTTP_NOT_HTTP, NULL },
                { "SSH-2.0-OpenSSH_9.2\r\n", HTTP_NOT_HTTP, NULL },
                { "NICK x\r\nUSER y HTTP/1.1\r\n", HTTP_NOT_HTTP, NULL },
                { "OPTIONS rtsp://example.com RTSP/1.0\r\n", HTTP_NOT_HTTP, NULL },
                { "{\"id\":1}\n", HTTP_NOT_HTTP, NULL },
                { " GET / HTTP/1.1\r\n", HTTP_NOT_HTTP, NULL },
                { "GE(T", HTTP_NOT_HTTP, NULL },
                { "\x16\x03\x01", HTTP_NOT_HTTP, NULL },
                { "\x80", HTTP_NOT_HTTP, NULL },
        };
        name_t name;

        check_rows(rows, array_size(rows));
        ck_assert_int_eq(parse("\0\0\0\x08", 4, name), HTTP_NOT_HTTP);
        ck_assert_int_eq(parse("GET\0/ HTTP/1.1\r\n", 16, name), HTTP_NOT_HTTP);
}
END_TEST

/* A head of @len bytes, with a host. */
static void make_head(char *ret, size_t len)
{
        static const char first[] = GET "Host: example.com\r\nX: ";

        memset(ret, 'x', len);
        memcpy(ret, first, sizeof(first) - 1);
        memcpy(ret + len - 4, "\r\n\r\n", 4);
}

START_TEST(test_longest)
{
        static char head[HTTP_HEAD_MAX + 8];
        const uint8_t *bytes = (const uint8_t *)head;
        name_t name;

        make_head(head, HTTP_HEAD_MAX);
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX - 1, name), HTTP_MORE);
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX, name), HTTP_NAME);
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX + 8, name), HTTP_NAME);
        make_head(head, HTTP_HEAD_MAX + 1);
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX - 1, name), HTTP_MORE);
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX, name), HTTP_BROKEN);
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX + 1, name), HTTP_BROKEN);
        /* A line without an end, empty ones without one. */
        memset(head, 'x', sizeof(head));
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX - 1, name), HTTP_MORE);
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX, name), HTTP_BROKEN);
        memset(head, '\n', sizeof(head));
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX - 1, name), HTTP_MORE);
        ck_assert_int_eq(http_parse(bytes, HTTP_HEAD_MAX, name), HTTP_BROKEN);
}
END_TEST

START_TEST(test_longest_name)
{
        for (size_t n = NAME_LEN_MAX; n <= NAME_LEN_MAX + 1; n++) {
                char head[400] = GET "Host: ";
                size_t at = strlen(head);
                name_t name;

                for (size_t i = 0; i < n; i++)
                        head[at + i] = i % 64 == 63 ? '.' : 'x';
                strcpy(head + at + n, ":80\r\n\r\n");
                ck_assert_int_eq(parse(head, strlen(head), name),
                                 n <= NAME_LEN_MAX ? HTTP_NAME : HTTP_BROKEN);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_hosts,  test_targets, test_lines,
                                       test_others, test_longest, test_longest_name };

        return run_tests("http_parse", tests, array_size(tests));
}
