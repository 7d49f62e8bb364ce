/*
 * The host of an HTTP/1 request's head.
 * Input:  the first bytes of a connection (guest, hostile).
 * Runs:   any thread; pure.
 * Limits: HTTP_HEAD_MAX bytes.
 *
 * What is decided of some bytes holds for all that begin with them. Lines are read one by one, each when it is
 * whole: first leniently, to know whether any server might take them for HTTP, then strictly.
 */
#include "net/http_parse.h"

#include <string.h>
#include <strings.h>

#include "net/address.h"

#define VERSION     "HTTP/1."
#define VERSION_LEN 8u /* with its digit */
#define PORT_DIGITS 5u

struct text {
        const char *at;
        size_t n;
};

struct head {
        bool has_target, has_host; /* set, and not empty */
        bool host_seen;
        name_t target, host;
};

static bool is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 9110, 5.6.2: of methods and of fields' names */
static bool is_token_byte(char c)
{
        return is_letter(c) || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

/* What a lenient server splits a request line at (RFC 9112, 3). */
static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static bool is_token(struct text t)
{
        for (size_t i = 0; i < t.n; i++)
                if (!is_token_byte(t.at[i]))
                        return false;
        return t.n > 0;
}

static bool is_text(struct text t, const char *word)
{
        return t.n == strlen(word) && !memcmp(t.at, word, t.n);
}

/* What stands before @c, which is skipped; false if @c is not there. */
static bool cut_at(struct text *t, char c, struct text *ret)
{
        const char *end = t->n ? memchr(t->at, c, t->n) : NULL;

        if (!end)
                return false;
        *ret = (struct text){ t->at, (size_t)(end - t->at) };
        t->at = end + 1;
        t->n -= ret->n + 1;
        return true;
}

/* "", ":" or ":" and up to five digits */
static bool is_port(struct text t, bool needed)
{
        if (!t.n)
                return !needed;
        if (t.at[0] != ':' || t.n > 1 + PORT_DIGITS || (needed && t.n == 1))
                return false;
        for (size_t i = 1; i < t.n; i++)
                if (t.at[i] < '0' || t.at[i] > '9')
                        return false;
        return true;
}

static bool read_address(struct text t, enum address_family family, name_t ret)
{
        char text[ADDRESS_TEXT_MAX];
        struct address a;

        if (!t.n || t.n >= sizeof(text) || memchr(t.at, 0, t.n))
                return false;
        memcpy(text, t.at, t.n);
        text[t.n] = 0;
        if (!address_from_text(text, &a) || a.family != family)
                return false;
        address_to_text(&a, ret);
        return true;
}

/* host[:port], of Host and of targets; not empty */
static bool read_authority(struct text t, bool needs_port, name_t ret)
{
        struct text host, rest = t;
        const char *colon;

        if (t.n && t.at[0] == '[') {
                if (!cut_at(&rest, ']', &host))
                        return false;
                host.at++;
                host.n--;
                return is_port(rest, needs_port) && read_address(host, ADDRESS_IP6, ret);
        }
        colon = t.n ? memchr(t.at, ':', t.n) : NULL;
        host = (struct text){ t.at, colon ? (size_t)(colon - t.at) : t.n };
        rest = (struct text){ t.at + host.n, t.n - host.n };
        return is_port(rest, needs_port) &&
               (read_address(host, ADDRESS_IP4, ret) || name_read(host.at, host.n, ret) == NAME_OK);
}

/* scheme://authority[/…] */
static bool read_absolute(struct text t, name_t ret)
{
        struct text scheme;
        size_t n = 0;

        if (!cut_at(&t, ':', &scheme) || !is_token(scheme) || t.n < 2 || t.at[0] != '/' || t.at[1] != '/')
                return false;
        t.at += 2;
        t.n -= 2;
        while (n < t.n && !strchr("/?#", t.at[n]))
                n++;
        return read_authority((struct text){ t.at, n }, false, ret);
}

static bool read_target(struct text method, struct text target, struct head *h)
{
        for (size_t i = 0; i < target.n; i++)
                if ((unsigned char)target.at[i] <= ' ' || target.at[i] == 0x7f)
                        return false;
        if (!target.n)
                return false;
        if (is_text(method, "CONNECT"))
                return h->has_target = read_authority(target, true, h->target);
        if (target.at[0] == '/')
                return true;
        if (is_text(target, "*"))
                return is_text(method, "OPTIONS");
        return h->has_target = read_absolute(target, h->target);
}

/* A request line to any server: a word, and behind a blank "HTTP/", or what the first version of all had. */
static bool looks_like_request(struct text line)
{
        size_t word = 0;

        while (word < line.n && is_token_byte(line.at[word]))
                word++;
        for (size_t i = word; i + 6 <= line.n; i++)
                if (is_blank(line.at[i]) && !strncasecmp(line.at + i + 1, "HTTP/", 5))
                        return true;
        return word == 3 && !strncasecmp(line.at, "GET", 3) && line.n > 4 && is_blank(line.at[3]) &&
               (line.at[4] == '/' || (line.n > 8 && !strncasecmp(line.at + 4, "http", 4)));
}

/* Return: HTTP_MORE: go on with the next line */
static enum http read_request_line(struct text line, struct head *h)
{
        struct text method, target;

        if (!looks_like_request(line))
                return HTTP_NOT_HTTP;
        if (!line.n || line.at[line.n - 1] != '\r')
                return HTTP_BROKEN;
        line.n--;
        if (!cut_at(&line, ' ', &method) || !is_token(method) || !cut_at(&line, ' ', &target) ||
            !read_target(method, target, h))
                return HTTP_BROKEN;
        /* HTTP/2's preface is a request line of version 2.0. */
        if (line.n != VERSION_LEN || memcmp(line.at, VERSION, VERSION_LEN - 1) != 0 ||
            (line.at[7] != '0' && line.at[7] != '1'))
                return HTTP_BROKEN;
        return HTTP_MORE;
}

static bool read_field(struct text line, struct head *h)
{
        struct text name;

        if (!cut_at(&line, ':', &name) || !is_token(name))
                return false; /* folded, or with a blank before the colon */
        for (size_t i = 0; i < line.n; i++)
                if (((unsigned char)line.at[i] < ' ' && line.at[i] != '\t') || line.at[i] == 0x7f)
                        return false;
        if (name.n != 4 || strncasecmp(name.at, "Host", 4) != 0)
                return true;
        if (h->host_seen)
                return false;
        h->host_seen = true;
        while (line.n && is_blank(line.at[0])) {
                line.at++;
                line.n--;
        }
        while (line.n && is_blank(line.at[line.n - 1]))
                line.n--;
        h->has_host = line.n;
        return !line.n || read_authority(line, false, h->host);
}

static enum http end_head(const struct head *h, name_t ret)
{
        if (!h->has_target && !h->has_host)
                return HTTP_NONE;
        if (h->has_target && h->host_seen && (!h->has_host || strcmp(h->target, h->host) != 0))
                return HTTP_BROKEN;
        strcpy(ret, h->has_target ? h->target : h->host);
        return HTTP_NAME;
}

/* Return: HTTP_MORE: all lines that are whole are right */
static enum http read_lines(struct text t, name_t ret)
{
        struct head h = { .has_target = false };
        struct text line;
        enum http r;

        if (!cut_at(&t, '\n', &line))
                return HTTP_MORE;
        r = read_request_line(line, &h);
        if (r != HTTP_MORE)
                return r;
        while (cut_at(&t, '\n', &line)) {
                if (!line.n || line.at[line.n - 1] != '\r')
                        return HTTP_BROKEN;
                line.n--;
                if (!line.n)
                        return end_head(&h, ret);
                if (!read_field(line, &h))
                        return HTTP_BROKEN;
        }
        return HTTP_MORE;
}

enum http http_parse(const uint8_t *bytes, size_t n, name_t ret)
{
        struct text t = { (const char *)bytes, n < HTTP_HEAD_MAX ? n : HTTP_HEAD_MAX };
        size_t word = 0;
        enum http r;

        ret[0] = 0;
        /* Servers skip empty lines before a request. */
        while (t.n && (t.at[0] == '\r' || t.at[0] == '\n')) {
                t.at++;
                t.n--;
        }
        /*
         * Every method begins with a letter. The length before git's own request does not; that has no end of a
         * line, either, and would be waited for.
         */
        if (t.n && !is_letter(t.at[0]))
                return HTTP_NOT_HTTP;
        while (word < t.n && is_token_byte(t.at[word]))
                word++;
        if (word < t.n && !is_blank(t.at[word]) && t.at[word] != '\n')
                return HTTP_NOT_HTTP;
        r = read_lines(t, ret);
        return r == HTTP_MORE && n >= HTTP_HEAD_MAX ? HTTP_BROKEN : r;
}
