/*
 * DNS messages, read.
 * Input:  datagrams and streams of a guest (hostile) and of upstream resolvers (hostile too: whoever owns a name
 *         writes its answers).
 * Runs:   any thread; pure.
 * Limits: of dns_parse.h. A pointer goes backwards only, so each name ends.
 */
#include "net/dns_parse.h"

#include <string.h>

#include "net/bytes.h"

#define QUESTION_LEN 4u  /* behind its name: type, class */
#define RECORD_LEN   10u /* behind its name: type, class, lifetime, length */
#define CLASS_IN     1u

#define FLAG_ANSWER    0x8000u
#define FLAG_OPCODE    0x7800u
#define FLAG_TRUNCATED 0x0200u
#define FLAG_RECURSION 0x0100u
#define FLAG_RCODE     0x000fu

/* A message and how far it has been read. */
struct reader {
        const uint8_t *bytes;
        size_t n, at;
};

/* A name on the wire, without pointers, as asked. */
struct wire {
        uint8_t bytes[DNS_WIRE_NAME];
        size_t n;
};

struct record {
        size_t name; /* where */
        uint16_t type, class;
        uint32_t ttl_s;
        size_t data, len;
};

static bool has(const struct reader *r, size_t n)
{
        return r->n - r->at >= n;
}

/* @r: behind the name afterwards. @ret: may be NULL. */
static bool read_name(struct reader *r, struct wire *ret)
{
        size_t at = r->at, begin = r->at; /* begin: of this piece; pointers go before it */
        unsigned pointers = 0;
        struct wire w = { .n = 0 };

        for (;;) {
                uint8_t len;

                if (at >= r->n)
                        return false;
                len = r->bytes[at];
                if (len >= 0xc0) {
                        if (r->n - at < 2 || ++pointers > DNS_POINTERS_MAX)
                                return false;
                        if (pointers == 1)
                                r->at = at + 2;
                        at = bytes_get16(r->bytes + at) & 0x3fffu;
                        if (at >= begin || at < DNS_HEADER_LEN)
                                return false;
                        begin = at;
                        continue;
                }
                if (len > NAME_LABEL_MAX || r->n - at < 1u + len || sizeof(w.bytes) - w.n < 1u + len)
                        return false;
                memcpy(w.bytes + w.n, r->bytes + at, 1u + len);
                w.n += 1u + len;
                at += 1u + len;
                if (!len)
                        break;
        }
        if (!pointers)
                r->at = at;
        if (ret)
                *ret = w;
        return true;
}

static bool read_record(struct reader *r, struct record *ret)
{
        const uint8_t *p;

        ret->name = r->at;
        if (!read_name(r, NULL) || !has(r, RECORD_LEN))
                return false;
        p = r->bytes + r->at;
        r->at += RECORD_LEN;
        ret->type = bytes_get16(p);
        ret->class = bytes_get16(p + 2);
        ret->ttl_s = bytes_get32(p + 4);
        ret->data = r->at;
        ret->len = bytes_get16(p + 8);
        if (ret->ttl_s > INT32_MAX)
                ret->ttl_s = 0; /* RFC 2181, 8 */
        if (!has(r, ret->len))
                return false;
        r->at += ret->len;
        return true;
}

/* False: no host has this name. A dot within a label would look like two labels. */
static bool wire_to_name(const struct wire *w, name_t ret)
{
        char text[DNS_WIRE_NAME];
        size_t n = 0;

        for (size_t at = 0; w->bytes[at]; at += 1u + w->bytes[at]) {
                if (memchr(w->bytes + at + 1, '.', w->bytes[at]))
                        return false;
                memcpy(text + n, w->bytes + at + 1, w->bytes[at]);
                n += w->bytes[at];
                text[n++] = '.';
        }
        return name_read(text, n, ret) == NAME_OK;
}

/* Letters are equal in both cases (RFC 4343); no length is one, being less than 64. */
static bool wire_equal(const struct wire *a, const struct wire *b)
{
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++) {
                uint8_t x = a->bytes[i], y = b->bytes[i];

                if (x >= 'A' && x <= 'Z')
                        x = (uint8_t)(x - 'A' + 'a');
                if (y >= 'A' && y <= 'Z')
                        y = (uint8_t)(y - 'A' + 'a');
                if (x != y)
                        return false;
        }
        return true;
}

/* The records behind a question: of them EDNS alone means something. False: FORMERR. */
static bool read_additional(struct reader *r, unsigned nr, struct dns_question *q)
{
        for (unsigned i = 0; i < nr; i++) {
                struct record rec;

                if (!read_record(r, &rec))
                        return false;
                if (rec.type != DNS_OPT)
                        continue;
                /* One only, of the root, of version 0: after FORMERR a newer client asks without. */
                if (q->edns || r->bytes[rec.name] || r->bytes[rec.data - RECORD_LEN + 5])
                        return false;
                q->edns = true;
                if (rec.class > DNS_UDP_MIN)
                        q->udp_size = rec.class < DNS_UDP_SIZE ? rec.class : DNS_UDP_SIZE;
        }
        return r->at == r->n;
}

int dns_parse_question(const uint8_t *bytes, size_t n, struct dns_question *ret)
{
        struct reader r = { bytes, n, DNS_HEADER_LEN };
        unsigned flags, additional, class;
        struct wire w;

        *ret = (struct dns_question){ .udp_size = DNS_UDP_MIN };
        if (n < DNS_HEADER_LEN || bytes_get16(bytes + 2) & FLAG_ANSWER)
                return DNS_E_DROP;
        flags = bytes_get16(bytes + 2);
        additional = bytes_get16(bytes + 10);
        ret->id = bytes_get16(bytes);
        ret->recursion_desired = flags & FLAG_RECURSION;
        if (n > DNS_MESSAGE_MAX)
                return DNS_E_FORMAT;
        if (flags & FLAG_OPCODE || bytes_get16(bytes + 4) > 1)
                return DNS_E_NOTIMP;
        /* No question; or answers, or authorities, or cut. */
        if (!bytes_get16(bytes + 4) || bytes_get32(bytes + 6) || flags & FLAG_TRUNCATED ||
            additional > DNS_RECORDS_MAX)
                return DNS_E_FORMAT;
        /* Nothing that a pointer could lead to stands before the question. */
        if (!read_name(&r, &w) || r.at != DNS_HEADER_LEN + w.n || !has(&r, QUESTION_LEN))
                return DNS_E_FORMAT;
        ret->type = bytes_get16(bytes + r.at);
        class = bytes_get16(bytes + r.at + 2);
        r.at += QUESTION_LEN;
        if (!read_additional(&r, additional, ret)) {
                ret->edns = false;
                return DNS_E_FORMAT;
        }
        if (class != CLASS_IN)
                return DNS_E_NOTIMP;
        memcpy(ret->wire, w.bytes, w.n);
        ret->nr_wire = w.n;
        return wire_to_name(&w, ret->name) ? DNS_OK : DNS_E_NAME;
}

/* The name asked for, from the question of the answer; false if that is another question. */
static bool read_own_question(struct reader *r, const char *name, enum dns_type type, struct wire *ret)
{
        name_t asked;

        if (!read_name(r, ret) || r->at != DNS_HEADER_LEN + ret->n || !has(r, QUESTION_LEN))
                return false;
        r->at += QUESTION_LEN;
        return bytes_get16(r->bytes + r->at - 4) == type && bytes_get16(r->bytes + r->at - 2) == CLASS_IN &&
               wire_to_name(ret, asked) && !strcmp(asked, name);
}

static bool owned_by(const struct reader *message, const struct record *rec, const struct wire *owner)
{
        struct reader r = { message->bytes, message->n, rec->name };
        struct wire w;

        return rec->class == CLASS_IN && read_name(&r, &w) && wire_equal(&w, owner);
}

static void shorten(uint32_t *ttl_s, uint32_t other)
{
        if (other < *ttl_s)
                *ttl_s = other;
}

/* @owner: becomes the name at the chain's end. False: not to be understood. */
static bool follow_chain(const struct reader *message, const struct record *records, unsigned nr,
                         struct wire *owner, uint32_t *ttl_s)
{
        for (unsigned step = 0;; step++) {
                struct reader r = *message;
                unsigned i = 0;

                while (i < nr && !(records[i].type == DNS_CNAME && owned_by(message, &records[i], owner)))
                        i++;
                if (i == nr)
                        return true;
                r.at = records[i].data;
                /* A circle ends here, too. */
                if (step == DNS_CHAIN_MAX || !read_name(&r, owner) ||
                    r.at != records[i].data + records[i].len)
                        return false;
                shorten(ttl_s, records[i].ttl_s);
        }
}

static bool take_addresses(const struct reader *message, const struct record *records, unsigned nr,
                           const struct wire *owner, struct dns_answer *ret)
{
        for (unsigned i = 0; i < nr; i++) {
                const struct record *rec = &records[i];
                const uint8_t *data = message->bytes + rec->data;

                if ((rec->type != DNS_A && rec->type != DNS_AAAA) || !owned_by(message, rec, owner))
                        continue;
                if (rec->len != (rec->type == DNS_A ? 4 : 16))
                        return false;
                if (ret->nr_addresses == DNS_ADDRESSES_MAX)
                        break;
                shorten(&ret->ttl_s, rec->ttl_s);
                ret->addresses[ret->nr_addresses++] =
                        rec->type == DNS_A ? address_ip4(data) : address_ip6(data);
        }
        return true;
}

int dns_parse_answer(const uint8_t *bytes, size_t n, uint16_t id, const char *name, enum dns_type type,
                     struct dns_answer *ret)
{
        struct record records[DNS_RECORDS_MAX];
        struct reader r = { bytes, n, DNS_HEADER_LEN };
        unsigned flags, nr;
        struct wire owner;

        *ret = (struct dns_answer){ .rcode = DNS_SERVFAIL };
        if (n < DNS_HEADER_LEN || bytes_get16(bytes) != id)
                return DNS_E_OTHER;
        flags = bytes_get16(bytes + 2);
        if (!(flags & FLAG_ANSWER) || flags & FLAG_OPCODE || bytes_get16(bytes + 4) != 1 ||
            !read_own_question(&r, name, type, &owner))
                return DNS_E_OTHER;
        if (flags & FLAG_TRUNCATED) {
                ret->truncated = true;
                return DNS_OK;
        }
        if ((flags & FLAG_RCODE) <= DNS_REFUSED)
                ret->rcode = flags & FLAG_RCODE;
        if (ret->rcode)
                return DNS_OK;
        nr = bytes_get16(bytes + 6);
        if (nr > DNS_RECORDS_MAX)
                nr = DNS_RECORDS_MAX;
        for (unsigned i = 0; i < nr; i++)
                if (!read_record(&r, &records[i]))
                        return DNS_E_BROKEN;
        ret->ttl_s = UINT32_MAX;
        if (!follow_chain(&r, records, nr, &owner, &ret->ttl_s) ||
            !take_addresses(&r, records, nr, &owner, ret)) {
                *ret = (struct dns_answer){ .rcode = DNS_SERVFAIL };
                return DNS_E_BROKEN;
        }
        if (!ret->nr_addresses)
                ret->ttl_s = 0;
        return DNS_OK;
}
