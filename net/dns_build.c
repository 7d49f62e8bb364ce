/*
 * DNS messages, written.
 * Input:  names that name_read() made, questions and addresses that dns_parse.c made.
 * Runs:   any thread; pure.
 * Limits: the caller's room.
 */
#include <string.h>

#include "net/bytes.h"
#include "net/dns_parse.h"

#define CLASS_IN   1u
#define ANSWER     0x8000u /* QR */
#define TRUNCATED  0x0200u /* TC */
#define WANTED     0x0100u /* RD */
#define RECURSIVE  0x0080u /* RA */
#define POINTER    0xc000u /* and where the name is */
#define RECORD_LEN 12u     /* with a pointer as its name */
#define EDNS_LEN   11u

struct writer {
        uint8_t *bytes;
        size_t size, at;
        bool full; /* something did not fit; what came before is whole */
};

static uint8_t *take(struct writer *w, size_t n)
{
        uint8_t *p = w->bytes + w->at;

        if (w->full || w->size - w->at < n) {
                w->full = true;
                return NULL;
        }
        w->at += n;
        return p;
}

static void put16(struct writer *w, unsigned v)
{
        uint8_t *p = take(w, 2);

        if (p)
                bytes_put16(p, (uint16_t)v);
}

static void put_header(struct writer *w, uint16_t id, unsigned flags, const unsigned counts[4])
{
        put16(w, id);
        put16(w, flags);
        for (unsigned i = 0; i < 4; i++)
                put16(w, counts[i]);
}

static void put_bytes(struct writer *w, const void *bytes, size_t n)
{
        uint8_t *p = take(w, n);

        if (p)
                memcpy(p, bytes, n);
}

/* That this side speaks EDNS, and how much it takes. */
static void put_edns(struct writer *w)
{
        uint8_t *p = take(w, EDNS_LEN);

        if (!p)
                return;
        memset(p, 0, EDNS_LEN);
        bytes_put16(p + 1, DNS_OPT);
        bytes_put16(p + 3, DNS_UDP_SIZE);
}

/* False: not a name as name_read() makes it. */
static bool put_name(struct writer *w, const char *name)
{
        if (strlen(name) > NAME_LEN_MAX)
                return false;
        for (;;) {
                size_t n = strcspn(name, ".");
                uint8_t len = (uint8_t)n;

                if (!n || n > NAME_LABEL_MAX)
                        return false;
                put_bytes(w, &len, 1);
                put_bytes(w, name, n);
                if (!name[n])
                        break;
                name += n + 1;
        }
        put_bytes(w, "", 1);
        return true;
}

size_t dns_build_query(uint8_t *ret, size_t size, uint16_t id, const char *name, enum dns_type type)
{
        struct writer w = { .bytes = ret, .size = size };

        put_header(&w, id, WANTED, (const unsigned[4]){ 1, 0, 0, 1 });
        if (!put_name(&w, name))
                return 0;
        put16(&w, type);
        put16(&w, CLASS_IN);
        put_edns(&w);
        return w.full ? 0 : w.at;
}

/* Return: how many; w->full if there are more. */
static unsigned put_addresses(struct writer *w, const struct dns_question *q, const struct dns_reply *reply)
{
        uint8_t family = q->type == DNS_A ? ADDRESS_IP4 : ADDRESS_IP6;
        size_t len = q->type == DNS_A ? 4 : 16;
        unsigned nr = 0;

        if (reply->rcode || !q->nr_wire || (q->type != DNS_A && q->type != DNS_AAAA))
                return 0;
        for (unsigned i = 0; i < reply->nr_addresses; i++) {
                uint8_t *p;

                if (reply->addresses[i].family != family)
                        continue;
                p = take(w, RECORD_LEN + len);
                if (!p)
                        break;
                bytes_put16(p, POINTER | DNS_HEADER_LEN);
                bytes_put16(p + 2, q->type);
                bytes_put16(p + 4, CLASS_IN);
                bytes_put32(p + 6, reply->ttl_s ? reply->ttl_s : 1);
                bytes_put16(p + 10, (uint16_t)len);
                memcpy(p + RECORD_LEN, reply->addresses[i].bytes, len);
                nr++;
        }
        return nr;
}

size_t dns_build_reply(uint8_t *ret, size_t size, const struct dns_question *q, const struct dns_reply *reply)
{
        size_t edns = q->edns ? EDNS_LEN : 0;
        struct writer w = { .bytes = ret, .size = size };
        unsigned flags = ANSWER | RECURSIVE | (q->recursion_desired ? WANTED : 0) | reply->rcode, nr;

        put_header(&w, q->id, flags, (const unsigned[4]){ q->nr_wire ? 1 : 0, 0, 0, q->edns ? 1 : 0 });
        if (q->nr_wire) {
                put_bytes(&w, q->wire, q->nr_wire);
                put16(&w, q->type);
                put16(&w, CLASS_IN);
        }
        if (w.full || w.size - w.at < edns)
                return 0;
        w.size -= edns;
        nr = put_addresses(&w, q, reply);
        bytes_put16(ret + 6, (uint16_t)nr);
        if (w.full)
                bytes_put16(ret + 2, (uint16_t)(flags | TRUNCATED));
        w.size += edns;
        w.full = false;
        if (q->edns)
                put_edns(&w);
        return w.at;
}
