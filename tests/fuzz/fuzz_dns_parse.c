/*
 * A message as a guest's question and as an upstream's answer, and what is built of them.
 */
#include <string.h>

#include "net/dns_parse.h"
#include "vmm/base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_reply(const struct dns_question *q, const struct dns_answer *answer)
{
        static uint8_t reply[DNS_UDP_SIZE], query[DNS_UDP_MIN];
        const struct dns_reply r = { .rcode = answer->rcode,
                                     .ttl_s = answer->ttl_s,
                                     .nr_addresses = answer->nr_addresses,
                                     .addresses = answer->addresses };
        size_t n = dns_build_reply(reply, q->udp_size, q, &r);
        struct dns_question again;
        struct dns_answer back;

        ASSERT(n >= DNS_HEADER_LEN && n <= q->udp_size);
        if (!*q->name || (q->type != DNS_A && q->type != DNS_AAAA))
                return;
        ASSERT(dns_parse_answer(reply, n, q->id, q->name, q->type, &back) == DNS_OK);
        ASSERT(back.truncated || back.rcode == r.rcode);
        ASSERT(back.nr_addresses <= r.nr_addresses);
        n = dns_build_query(query, sizeof(query), q->id, q->name, q->type);
        ASSERT(n && dns_parse_question(query, n, &again) == DNS_OK && !strcmp(again.name, q->name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct dns_answer answer = { 0 };
        struct dns_question q;
        int r = dns_parse_question(data, size, &q);
        name_t again;

        ASSERT(r == DNS_OK || r == DNS_E_DROP || r == DNS_E_FORMAT || r == DNS_E_NOTIMP || r == DNS_E_NAME);
        ASSERT(r != DNS_OK ||
               (name_read(q.name, strlen(q.name), again) == NAME_OK && !strcmp(q.name, again)));
        ASSERT(q.nr_wire <= DNS_WIRE_NAME && q.udp_size >= DNS_UDP_MIN && q.udp_size <= DNS_UDP_SIZE);
        if (r != DNS_E_DROP)
                check_reply(&q, &answer);
        if (size < 2)
                return 0;
        /* As the answer to the seeds' question. */
        r = dns_parse_answer(data, size, (uint16_t)(data[0] << 8 | data[1]), "www.example.com",
                             size % 2 ? DNS_AAAA : DNS_A, &answer);
        ASSERT(r == DNS_OK || r == DNS_E_OTHER || r == DNS_E_BROKEN);
        ASSERT(answer.nr_addresses <= DNS_ADDRESSES_MAX && answer.rcode <= DNS_REFUSED);
        ASSERT(answer.nr_addresses || !answer.ttl_s);
        return 0;
}
