/*
 * DNS messages: read and written.
 */
#include <stdio.h>
#include <string.h>

#include "net/bytes.h"
#include "net/dns_parse.h"
#include "tests/unit/run.h"

#define MESSAGE_SIZE 70000u
#define ID           0x1234u

struct message {
        uint8_t bytes[MESSAGE_SIZE];
        size_t n;
};

static struct message m;

static void put(const void *bytes, size_t n)
{
        ck_assert_uint_le(m.n + n, sizeof(m.bytes));
        memcpy(m.bytes + m.n, bytes, n);
        m.n += n;
}

static void put16(unsigned v)
{
        put((const uint8_t[]){ (uint8_t)(v >> 8), (uint8_t)v }, 2);
}

static void put_header(unsigned flags, unsigned questions, unsigned answers, unsigned additional)
{
        m.n = 0;
        put16(ID);
        put16(flags);
        put16(questions);
        put16(answers);
        put16(0);
        put16(additional);
}

/* Text with dots. */
static void put_name(const char *name)
{
        while (*name) {
                size_t n = strcspn(name, ".");
                uint8_t len = (uint8_t)n;

                put(&len, 1);
                put(name, n);
                name += n + (name[n] == '.');
        }
        put("", 1);
}

static void put_question(const char *name, unsigned type)
{
        put_name(name);
        put16(type);
        put16(1);
}

static void put_tail(unsigned type, uint32_t ttl_s, const void *data, size_t len)
{
        put16(type);
        put16(1);
        put16(ttl_s >> 16);
        put16(ttl_s & 0xffff);
        put16((unsigned)len);
        put(data, len);
}

static void put_a(const char *owner, uint32_t ttl_s, uint8_t last)
{
        put_name(owner);
        put_tail(DNS_A, ttl_s, (const uint8_t[]){ 198, 51, 100, last }, 4);
}

static void put_cname(const char *owner, uint32_t ttl_s, const char *to)
{
        size_t at;

        put_name(owner);
        put_tail(DNS_CNAME, ttl_s, "", 0);
        at = m.n;
        put_name(to);
        bytes_put16(m.bytes + at - 2, (uint16_t)(m.n - at));
}

static void put_opt(const char *owner, unsigned size, unsigned version)
{
        put_name(owner);
        put16(DNS_OPT);
        put16(size);
        put16(version);
        put16(0);
        put16(0);
}

static int question(struct dns_question *ret)
{
        return dns_parse_question(m.bytes, m.n, ret);
}

static int answer(struct dns_answer *ret)
{
        return dns_parse_answer(m.bytes, m.n, ID, "example.com", DNS_A, ret);
}

START_TEST(test_question)
{
        static const uint8_t wire[] = "\7eXample\3COM";
        struct dns_question q;

        put_header(0x0100, 1, 0, 0);
        put_question("eXample.COM", DNS_AAAA);
        ck_assert_int_eq(question(&q), DNS_OK);
        ck_assert_uint_eq(q.id, ID);
        ck_assert(q.recursion_desired && !q.edns);
        ck_assert_uint_eq(q.udp_size, DNS_UDP_MIN);
        ck_assert_uint_eq(q.type, DNS_AAAA);
        ck_assert_str_eq(q.name, "example.com");
        ck_assert_uint_eq(q.nr_wire, sizeof(wire));
        ck_assert_mem_eq(q.wire, wire, sizeof(wire));
        for (size_t n = 0; n < m.n; n++)
                ck_assert_int_eq(dns_parse_question(m.bytes, n, &q),
                                 n < DNS_HEADER_LEN ? DNS_E_DROP : DNS_E_FORMAT);
}
END_TEST

START_TEST(test_question_header)
{
        static const struct {
                const char *what;
                unsigned flags, questions, answers, additional;
                int result;
        } rows[] = {
                { "all other flags", 0x07b0 & ~0x0200u, 1, 0, 0, DNS_OK },
                { "an answer", 0x8100, 1, 0, 0, DNS_E_DROP },
                { "cut", 0x0300, 1, 0, 0, DNS_E_FORMAT },
                { "status", 0x1000, 1, 0, 0, DNS_E_NOTIMP },
                { "notify", 0x2000, 1, 0, 0, DNS_E_NOTIMP },
                { "update", 0x2800, 1, 0, 0, DNS_E_NOTIMP },
                { "no question", 0x0100, 0, 0, 0, DNS_E_FORMAT },
                { "two questions", 0x0100, 2, 0, 0, DNS_E_NOTIMP },
                { "an answer with it", 0x0100, 1, 1, 0, DNS_E_FORMAT },
                { "a record that is not there", 0x0100, 1, 0, 1, DNS_E_FORMAT },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct dns_question q;

                put_header(rows[i].flags, rows[i].questions, rows[i].answers, rows[i].additional);
                put_question("example.com", DNS_A);
                ck_assert_msg(question(&q) == rows[i].result, "%s", rows[i].what);
                ck_assert(rows[i].result == DNS_OK || !q.nr_wire);
                ck_assert(rows[i].result == DNS_E_DROP || q.id == ID);
        }
}
END_TEST

START_TEST(test_question_class)
{
        struct dns_question q;

        for (unsigned class = 0; class < 256; class ++) {
                put_header(0, 1, 0, 0);
                put_question("example.com", DNS_A);
                bytes_put16(m.bytes + m.n - 2, (uint16_t) class);
                ck_assert_int_eq(question(&q), class == 1 ? DNS_OK : DNS_E_NOTIMP);
        }
}
END_TEST

START_TEST(test_question_name)
{
        static const struct {
                const char *what, *wire;
                size_t n;
                int result;
        } rows[] = {
                { "root", "", 1, DNS_E_NAME },
                { "one label", "\3com", 5, DNS_OK },
                { "underscore", "\4_tcp\3com", 10, DNS_OK },
                { "dot in a label", "\3a.b\3com", 9, DNS_E_NAME },
                { "only a dot", "\1.", 3, DNS_E_NAME },
                { "NUL in a label", "\3a\0b\3com", 9, DNS_E_NAME },
                { "space", "\3a b\3com", 9, DNS_E_NAME },
                { "beyond ASCII", "\2\xc3\xa4\3com", 8, DNS_E_NAME },
                { "number",
                  "\1"
                  "1\1"
                  "2\1"
                  "3\1"
                  "4",
                  9, DNS_E_NAME },
                { "pointer to itself", "\xc0\x0c", 2, DNS_E_FORMAT },
                { "pointer into the header", "\xc0\x04", 2, DNS_E_FORMAT },
                { "pointer at the end", "\1a\xc0\x0c", 4, DNS_E_FORMAT },
                { "label type 01", "\x40", 1, DNS_E_FORMAT },
                { "label type 10", "\x80", 1, DNS_E_FORMAT },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct dns_question q;

                put_header(0, 1, 0, 0);
                put(rows[i].wire, rows[i].n);
                put16(DNS_A);
                put16(1);
                ck_assert_msg(question(&q) == rows[i].result, "%s: %d", rows[i].what, question(&q));
                ck_assert(rows[i].result == DNS_OK || !q.name[0]);
                ck_assert_uint_eq(q.nr_wire, rows[i].result == DNS_E_FORMAT ? 0 : rows[i].n);
        }
}
END_TEST

/* Labels of 63 and one of the rest: @n is the length of the text. */
static void long_name(char *ret, size_t n)
{
        for (size_t i = 0; i < n; i++)
                ret[i] = i % 64 == 63 ? '.' : 'x';
        ret[n] = 0;
}

START_TEST(test_longest_names)
{
        struct dns_question q;
        char name[300];
        uint8_t query[400];

        for (size_t n = 250; n <= 254; n++) {
                bool fits = n <= NAME_LEN_MAX;

                long_name(name, n);
                put_header(0, 1, 0, 0);
                put_question(name, DNS_A);
                ck_assert_int_eq(question(&q), fits ? DNS_OK : DNS_E_FORMAT);
                if (fits)
                        ck_assert_str_eq(q.name, name);
                ck_assert_uint_eq(dns_build_query(query, sizeof(query), 1, name, DNS_A),
                                  fits ? DNS_HEADER_LEN + n + 2 + 4 + 11 : 0);
        }
        memset(name, 'x', 64);
        strcpy(name + 63, ".com");
        ck_assert_uint_gt(dns_build_query(query, sizeof(query), 1, name, DNS_A), 0);
        strcpy(name + 64, ".com");
        name[63] = 'x';
        ck_assert_uint_eq(dns_build_query(query, sizeof(query), 1, name, DNS_A), 0);
        ck_assert_uint_eq(dns_build_query(query, sizeof(query), 1, "", DNS_A), 0);
        ck_assert_uint_eq(dns_build_query(query, sizeof(query), 1, "a..b", DNS_A), 0);
}
END_TEST

START_TEST(test_question_edns)
{
        static const struct {
                const char *what;
                unsigned size, version, owner, nr;
                int result;
                unsigned udp_size;
        } rows[] = {
                { "less than without", 100, 0, 0, 1, DNS_OK, DNS_UDP_MIN },
                { "least", 512, 0, 0, 1, DNS_OK, DNS_UDP_MIN },
                { "one more", 513, 0, 0, 1, DNS_OK, 513 },
                { "most", DNS_UDP_SIZE, 0, 0, 1, DNS_OK, DNS_UDP_SIZE },
                { "beyond", DNS_UDP_SIZE + 1, 0, 0, 1, DNS_OK, DNS_UDP_SIZE },
                { "all", 65535, 0, 0, 1, DNS_OK, DNS_UDP_SIZE },
                { "version 1", 4096, 1, 0, 1, DNS_E_FORMAT, 0 },
                { "of a name", 4096, 0, 1, 1, DNS_E_FORMAT, 0 },
                { "two", 4096, 0, 0, 2, DNS_E_FORMAT, 0 },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct dns_question q;

                put_header(0, 1, 0, rows[i].nr);
                put_question("example.com", DNS_A);
                for (unsigned j = 0; j < rows[i].nr; j++)
                        put_opt(rows[i].owner ? "com" : "", rows[i].size, rows[i].version);
                ck_assert_msg(question(&q) == rows[i].result, "%s", rows[i].what);
                ck_assert(q.edns == (rows[i].result == DNS_OK));
                ck_assert(!rows[i].udp_size || q.udp_size == rows[i].udp_size);
                put("", 1);
                ck_assert_msg(question(&q) == DNS_E_FORMAT, "%s and a byte", rows[i].what);
        }
}
END_TEST

START_TEST(test_question_records)
{
        for (unsigned nr = DNS_RECORDS_MAX; nr <= DNS_RECORDS_MAX + 1; nr++) {
                struct dns_question q;

                put_header(0, 1, 0, nr);
                put_question("example.com", DNS_A);
                for (unsigned i = 0; i < nr; i++)
                        put_a("", 0, 1);
                ck_assert_int_eq(question(&q), nr <= DNS_RECORDS_MAX ? DNS_OK : DNS_E_FORMAT);
        }
}
END_TEST

/* As long as a length can say, and one byte more. */
START_TEST(test_question_longest)
{
        struct dns_question q;

        for (size_t n = DNS_MESSAGE_MAX; n <= DNS_MESSAGE_MAX + 1; n++) {
                size_t data;

                put_header(0, 1, 0, 1);
                put_question("example.com", DNS_A);
                data = n - m.n - 11;
                put("", 1);
                put_tail(99, 0, "", 0);
                bytes_put16(m.bytes + m.n - 2, (uint16_t)data);
                memset(m.bytes + m.n, 0, data);
                m.n += data;
                ck_assert_int_eq(question(&q), n <= DNS_MESSAGE_MAX ? DNS_OK : DNS_E_FORMAT);
        }
}
END_TEST

START_TEST(test_query)
{
        static const uint8_t expected[] = { 0x12, 0x34, 1,   0, 0,    1,   0, 0, 0,  0, 0,
                                            1,    1,    'a', 2, 'b',  'c', 0, 0, 28, 0, 1,
                                            0,    0,    41,  4, 0xd0, 0,   0, 0, 0,  0, 0 };
        uint8_t bytes[64];
        size_t n = dns_build_query(bytes, sizeof(bytes), ID, "a.bc", DNS_AAAA);
        struct dns_question q;

        ck_assert_uint_eq(n, sizeof(expected));
        ck_assert_mem_eq(bytes, expected, n);
        ck_assert_int_eq(dns_parse_question(bytes, n, &q), DNS_OK);
        ck_assert(q.edns && q.udp_size == DNS_UDP_SIZE && !strcmp(q.name, "a.bc"));
        ck_assert_uint_eq(dns_build_query(bytes, n, ID, "a.bc", DNS_A), n);
        for (size_t size = 0; size < n; size++)
                ck_assert_uint_eq(dns_build_query(bytes, size, ID, "a.bc", DNS_A), 0);
}
END_TEST

START_TEST(test_answer)
{
        struct dns_answer a;
        char text[ADDRESS_TEXT_MAX];

        put_header(0x8180, 1, 5, 0);
        put_question("eXample.com", DNS_A);
        put_a("c.example.org", 70, 3); /* before its chain */
        put_cname("Example.COM", 300, "b.example.org");
        put_cname("B.example.org", 60, "c.EXAMPLE.org");
        put_a("c.example.org", 90, 4);
        put_a("other.example.org", 1, 5); /* beside the chain */
        ck_assert_int_eq(answer(&a), DNS_OK);
        ck_assert_int_eq(a.rcode, DNS_NOERROR);
        ck_assert(!a.truncated);
        ck_assert_uint_eq(a.ttl_s, 60);
        ck_assert_uint_eq(a.nr_addresses, 2);
        address_to_text(&a.addresses[0], text);
        ck_assert_str_eq(text, "198.51.100.3");
        address_to_text(&a.addresses[1], text);
        ck_assert_str_eq(text, "198.51.100.4");
        for (size_t n = 0; n < m.n; n++) {
                int r = dns_parse_answer(m.bytes, n, ID, "example.com", DNS_A, &a);

                ck_assert_msg(r == (n < DNS_HEADER_LEN + 17 ? DNS_E_OTHER : DNS_E_BROKEN), "%zu: %d", n, r);
                ck_assert_uint_eq(a.nr_addresses, 0);
        }
}
END_TEST

START_TEST(test_answer_of_another)
{
        static const struct {
                const char *what, *name;
                unsigned id, flags, questions, type, class;
                int result;
        } rows[] = {
                { "ours", "example.com", ID, 0x8180, 1, DNS_A, 1, DNS_OK },
                { "id", "example.com", ID + 1, 0x8180, 1, DNS_A, 1, DNS_E_OTHER },
                { "a question", "example.com", ID, 0x0180, 1, DNS_A, 1, DNS_E_OTHER },
                { "opcode", "example.com", ID, 0x9180, 1, DNS_A, 1, DNS_E_OTHER },
                { "no question", "example.com", ID, 0x8180, 0, DNS_A, 1, DNS_E_OTHER },
                { "two questions", "example.com", ID, 0x8180, 2, DNS_A, 1, DNS_E_OTHER },
                { "name", "example.org", ID, 0x8180, 1, DNS_A, 1, DNS_E_OTHER },
                { "below", "a.example.com", ID, 0x8180, 1, DNS_A, 1, DNS_E_OTHER },
                { "root", "", ID, 0x8180, 1, DNS_A, 1, DNS_E_OTHER },
                { "type", "example.com", ID, 0x8180, 1, DNS_AAAA, 1, DNS_E_OTHER },
                { "class", "example.com", ID, 0x8180, 1, DNS_A, 3, DNS_E_OTHER },
        };

        for (size_t i = 0; i < array_size(rows); i++) {
                struct dns_answer a;

                put_header(rows[i].flags, rows[i].questions, 1, 0);
                bytes_put16(m.bytes, (uint16_t)rows[i].id);
                put_question(rows[i].name, rows[i].type);
                bytes_put16(m.bytes + m.n - 2, (uint16_t)rows[i].class);
                put_a("example.com", 1, 1);
                ck_assert_msg(answer(&a) == rows[i].result, "%s", rows[i].what);
                ck_assert_uint_eq(a.nr_addresses, rows[i].result == DNS_OK);
        }
}
END_TEST

START_TEST(test_answer_codes)
{
        struct dns_answer a;

        for (unsigned rcode = 0; rcode < 16; rcode++) {
                put_header(0x8180 | rcode, 1, 1, 0);
                put_question("example.com", DNS_A);
                put_a("example.com", 1, 1);
                ck_assert_int_eq(answer(&a), DNS_OK);
                ck_assert_uint_eq(a.rcode, rcode <= DNS_REFUSED ? rcode : DNS_SERVFAIL);
                ck_assert_uint_eq(a.nr_addresses, !rcode);
        }
        put_header(0x8380, 1, 7, 0);
        put_question("example.com", DNS_A);
        ck_assert_int_eq(answer(&a), DNS_OK);
        ck_assert(a.truncated && !a.nr_addresses);
        put_header(0x8180, 1, 0, 0);
        put_question("example.com", DNS_A);
        ck_assert_int_eq(answer(&a), DNS_OK);
        ck_assert(!a.rcode && !a.truncated && !a.nr_addresses && !a.ttl_s);
}
END_TEST

START_TEST(test_answer_chain)
{
        for (unsigned nr = DNS_CHAIN_MAX; nr <= DNS_CHAIN_MAX + 1; nr++) {
                struct dns_answer a;
                char from[32] = "example.com", to[32];

                put_header(0x8180, 1, nr + 1, 0);
                put_question("example.com", DNS_A);
                for (unsigned i = 0; i < nr; i++) {
                        snprintf(to, sizeof(to), "n%u.example.org", i);
                        put_cname(from, 60, to);
                        strcpy(from, to);
                }
                put_a(from, 60, 1);
                ck_assert_int_eq(answer(&a), nr <= DNS_CHAIN_MAX ? DNS_OK : DNS_E_BROKEN);
                ck_assert_uint_eq(a.nr_addresses, nr <= DNS_CHAIN_MAX);
        }
}
END_TEST

START_TEST(test_answer_chain_odd)
{
        struct dns_answer a;

        put_header(0x8180, 1, 2, 0); /* a circle */
        put_question("example.com", DNS_A);
        put_cname("example.com", 60, "b.example.com");
        put_cname("b.example.com", 60, "example.com");
        ck_assert_int_eq(answer(&a), DNS_E_BROKEN);
        put_header(0x8180, 1, 1, 0); /* to itself */
        put_question("example.com", DNS_A);
        put_cname("example.com", 60, "example.com");
        ck_assert_int_eq(answer(&a), DNS_E_BROKEN);
        put_header(0x8180, 1, 1, 0); /* to nowhere: no addresses */
        put_question("example.com", DNS_A);
        put_cname("example.com", 60, "b.example.com");
        ck_assert_int_eq(answer(&a), DNS_OK);
        ck_assert(!a.rcode && !a.nr_addresses && !a.ttl_s);
        put_header(0x8180, 1, 2, 0); /* a byte behind the name */
        put_question("example.com", DNS_A);
        put_name("example.com");
        put_tail(DNS_CNAME, 60, "\1b\0", 4);
        put_a("b", 60, 1);
        ck_assert_int_eq(answer(&a), DNS_E_BROKEN);
        put_header(0x8180, 1, 2, 0); /* with addresses of its own: they do not count */
        put_question("example.com", DNS_A);
        put_a("example.com", 60, 1);
        put_cname("example.com", 60, "b.example.com");
        ck_assert_int_eq(answer(&a), DNS_OK);
        ck_assert_uint_eq(a.nr_addresses, 0);
}
END_TEST

START_TEST(test_answer_addresses)
{
        struct dns_answer a;

        for (unsigned nr = DNS_ADDRESSES_MAX - 1; nr <= DNS_ADDRESSES_MAX + 1; nr++) {
                put_header(0x8180, 1, nr, 0);
                put_question("example.com", DNS_A);
                for (unsigned i = 0; i < nr; i++)
                        put_a("example.com", 1000 - i, (uint8_t)i);
                ck_assert_int_eq(answer(&a), DNS_OK);
                ck_assert_uint_eq(a.nr_addresses, nr < DNS_ADDRESSES_MAX ? nr : DNS_ADDRESSES_MAX);
                ck_assert_uint_eq(a.ttl_s, 1001 - a.nr_addresses);
        }
        for (unsigned nr = DNS_RECORDS_MAX - 1; nr <= DNS_RECORDS_MAX; nr++) {
                put_header(0x8180, 1, nr + 1, 0);
                put_question("example.com", DNS_A);
                for (unsigned i = 0; i < nr; i++)
                        put_a("example.org", 60, 1);
                put_a("example.com", 60, 1);
                ck_assert_int_eq(answer(&a), DNS_OK);
                ck_assert_uint_eq(a.nr_addresses, nr < DNS_RECORDS_MAX);
        }
        for (size_t len = 3; len <= 5; len++) {
                put_header(0x8180, 1, 1, 0);
                put_question("example.com", DNS_A);
                put_name("example.com");
                put_tail(DNS_A, 60, "\1\2\3\4\5", len);
                ck_assert_int_eq(answer(&a), len == 4 ? DNS_OK : DNS_E_BROKEN);
        }
        put_header(0x8180, 1, 2, 0); /* another class; a lifetime that is negative */
        put_question("example.com", DNS_A);
        put_a("example.com", 60, 1);
        m.bytes[m.n - 11] = 3;
        put_a("example.com", 1u << 31, 2);
        ck_assert_int_eq(answer(&a), DNS_OK);
        ck_assert(a.nr_addresses == 1 && a.addresses[0].bytes[3] == 2 && a.ttl_s == 0);
}
END_TEST

START_TEST(test_answer_ip6)
{
        static const uint8_t ip6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 1 };
        struct dns_answer a;

        put_header(0x8180, 1, 1, 0);
        put_question("example.com", DNS_AAAA);
        put16(0xc00c);
        put_tail(DNS_AAAA, 60, ip6, 16);
        ck_assert_int_eq(dns_parse_answer(m.bytes, m.n, ID, "example.com", DNS_AAAA, &a), DNS_OK);
        ck_assert_uint_eq(a.nr_addresses, 1);
        ck_assert_int_eq(a.addresses[0].family, ADDRESS_IP6);
        ck_assert_mem_eq(a.addresses[0].bytes, ip6, 16);
}
END_TEST

/* An owner at the end of @nr pointers, which lie in a record's data. */
static int answer_behind_pointers(unsigned nr, struct dns_answer *ret)
{
        size_t at;

        put_header(0x8180, 1, 2, 0);
        put_question("example.com", DNS_A);
        put("", 1);
        put_tail(99, 60, "", 0);
        at = m.n;
        put16(0xc00c);
        for (unsigned i = 2; i < nr; i++)
                put16((unsigned)(0xc000 | (m.n - 2)));
        bytes_put16(m.bytes + at - 2, (uint16_t)(m.n - at));
        put16((unsigned)(0xc000 | (m.n - 2)));
        put_tail(DNS_A, 60, "\1\2\3\4", 4);
        return answer(ret);
}

START_TEST(test_answer_pointers)
{
        static const struct {
                const char *what, *wire;
                size_t n;
                int result;
                unsigned addresses;
        } rows[] = {
                { "to the question", "\xc0\x0c", 2, DNS_OK, 1 },
                { "label and pointer", "\7example\xc0\x14", 10, DNS_OK, 1 },
                { "forward", "\xc0\x40", 2, DNS_E_BROKEN, 0 },
                { "to itself", "\xc0\x1d", 2, DNS_E_BROKEN, 0 },
                { "behind its own label", "\1a\xc0\x1d", 4, DNS_E_BROKEN, 0 },
                { "into the header", "\xc0\x0b", 2, DNS_E_BROKEN, 0 },
                { "label type 01", "\x41", 1, DNS_E_BROKEN, 0 },
                { "an odd name", "\2a.\0", 4, DNS_OK, 0 },
        };
        struct dns_answer a;

        for (size_t i = 0; i < array_size(rows); i++) {
                put_header(0x8180, 1, 1, 0);
                put_question("example.com", DNS_A);
                put(rows[i].wire, rows[i].n);
                put_tail(DNS_A, 60, "\1\2\3\4", 4);
                ck_assert_msg(answer(&a) == rows[i].result, "%s: %d", rows[i].what, answer(&a));
                ck_assert_msg(a.nr_addresses == rows[i].addresses, "%s", rows[i].what);
        }
        ck_assert_int_eq(answer_behind_pointers(DNS_POINTERS_MAX, &a), DNS_OK);
        ck_assert_uint_eq(a.nr_addresses, 1);
        ck_assert_int_eq(answer_behind_pointers(DNS_POINTERS_MAX + 1, &a), DNS_E_BROKEN);
}
END_TEST

/* A name that is too long only by its pointer. */
START_TEST(test_answer_name_too_long)
{
        struct dns_answer a;

        for (size_t n = DNS_WIRE_NAME; n <= DNS_WIRE_NAME + 1; n++) {
                size_t rest = n - 13;

                put_header(0x8180, 1, 1, 0);
                put_question("example.com", DNS_A);
                while (rest) {
                        uint8_t len = (uint8_t)(rest > 64 ? 63 : rest - 1);

                        put(&len, 1);
                        memset(m.bytes + m.n, 'x', len);
                        m.n += len;
                        rest -= len + 1u;
                }
                put16(0xc00c);
                put_tail(DNS_A, 60, "\1\2\3\4", 4);
                ck_assert_int_eq(answer(&a), n <= DNS_WIRE_NAME ? DNS_OK : DNS_E_BROKEN);
        }
}
END_TEST

static void ask_for(struct dns_question *q, bool edns, unsigned type)
{
        put_header(0x0100, 1, 0, edns);
        put_question("exAmple.com", type);
        if (edns)
                put_opt("", 4096, 0);
        ck_assert_int_eq(question(q), DNS_OK);
}

START_TEST(test_reply)
{
        static const uint8_t expected[] = { 0x12, 0x34, 0x81, 0x80, 0,   1,    0,   1,   0, 0,   0,   0,
                                            7,    'e',  'x',  'A',  'm', 'p',  'l', 'e', 3, 'c', 'o', 'm',
                                            0,    0,    1,    0,    1,   0xc0, 12,  0,   1, 0,   1,   0,
                                            0,    0,    1,    0,    4,   1,    2,   3,   4 };
        const struct address addresses[] = { address_ip6((const uint8_t[16]){ 0x20 }),
                                             address_ip4((const uint8_t[]){ 1, 2, 3, 4 }) };
        struct dns_reply reply = { .nr_addresses = 2, .addresses = addresses };
        struct dns_question q;
        struct dns_answer a;
        uint8_t bytes[512];
        size_t n;

        ask_for(&q, false, DNS_A);
        n = dns_build_reply(bytes, sizeof(bytes), &q, &reply);
        ck_assert_uint_eq(n, sizeof(expected));
        ck_assert_mem_eq(bytes, expected, n);
        ask_for(&q, true, DNS_AAAA);
        reply.ttl_s = 77;
        n = dns_build_reply(bytes, sizeof(bytes), &q, &reply);
        ck_assert_int_eq(dns_parse_answer(bytes, n, ID, "example.com", DNS_AAAA, &a), DNS_OK);
        ck_assert(a.nr_addresses == 1 && a.ttl_s == 77 && address_equal(&a.addresses[0], &addresses[0]));
        reply.rcode = DNS_REFUSED; /* then no addresses */
        n = dns_build_reply(bytes, sizeof(bytes), &q, &reply);
        ck_assert_uint_eq(n, DNS_HEADER_LEN + 17 + 11);
        ck_assert_int_eq(dns_parse_answer(bytes, n, ID, "example.com", DNS_AAAA, &a), DNS_OK);
        ck_assert(a.rcode == DNS_REFUSED && !a.nr_addresses);
        /* Of a question that was not understood, the id alone. */
        q = (struct dns_question){ .id = ID, .udp_size = DNS_UDP_MIN };
        n = dns_build_reply(bytes, sizeof(bytes), &q, &(struct dns_reply){ .rcode = DNS_FORMERR });
        ck_assert_uint_eq(n, DNS_HEADER_LEN);
        ck_assert_mem_eq(bytes, "\x12\x34\x80\x81\0\0\0\0\0\0\0\0", n);
}
END_TEST

START_TEST(test_reply_room)
{
        struct address addresses[DNS_ADDRESSES_MAX];
        struct dns_reply reply = { .ttl_s = 1, .nr_addresses = DNS_ADDRESSES_MAX, .addresses = addresses };
        struct dns_question q;
        struct dns_answer a;
        uint8_t bytes[DNS_UDP_SIZE];
        const size_t least = DNS_HEADER_LEN + 17 + 11, each = 12 + 16;

        for (unsigned i = 0; i < DNS_ADDRESSES_MAX; i++)
                addresses[i] = address_ip6((const uint8_t[16]){ 0x20, [15] = (uint8_t)i });
        ask_for(&q, true, DNS_AAAA);
        for (size_t size = 0; size <= sizeof(bytes); size++) {
                size_t n = dns_build_reply(bytes, size, &q, &reply);
                size_t nr = size < least ? 0 : (size - least) / each;

                if (nr > DNS_ADDRESSES_MAX)
                        nr = DNS_ADDRESSES_MAX;
                ck_assert_uint_eq(n, size < least ? 0 : least + nr * each);
                if (!n)
                        continue;
                ck_assert(!(bytes[2] & 2) == (nr == DNS_ADDRESSES_MAX));
                bytes[2] &= 0xfd;
                ck_assert_int_eq(dns_parse_answer(bytes, n, ID, "example.com", DNS_AAAA, &a), DNS_OK);
                ck_assert_uint_eq(a.nr_addresses, nr);
        }
}
END_TEST

int main(void)
{
        const TTest *const tests[] = { test_question,
                                       test_question_header,
                                       test_question_class,
                                       test_question_name,
                                       test_longest_names,
                                       test_question_edns,
                                       test_question_records,
                                       test_question_longest,
                                       test_query,
                                       test_answer,
                                       test_answer_of_another,
                                       test_answer_codes,
                                       test_answer_chain,
                                       test_answer_chain_odd,
                                       test_answer_addresses,
                                       test_answer_ip6,
                                       test_answer_pointers,
                                       test_answer_name_too_long,
                                       test_reply,
                                       test_reply_room };

        return run_tests("dns", tests, array_size(tests));
}
