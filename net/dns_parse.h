#pragma once
/*
 * DNS messages (RFC 1035, RFC 6891): the guest's questions, an upstream's answers, and how ours are built.
 * Pure. An answer to the guest is built anew from what was understood; no byte of the upstream's is copied.
 */
#include "net/address.h"
#include "net/name.h"

#define DNS_PORT          53
#define DNS_HEADER_LEN    12u
#define DNS_WIRE_NAME     255u  /* a name with its lengths and the root */
#define DNS_UDP_MIN       512u  /* of a client without EDNS */
#define DNS_UDP_SIZE      1232u /* what we tell and keep to: no fragments on any network */
#define DNS_MESSAGE_MAX   65535u
#define DNS_ADDRESSES_MAX 32u  /* of one answer; the others are left out */
#define DNS_CHAIN_MAX     8u   /* CNAMEs in a row */
#define DNS_RECORDS_MAX   256u /* looked at in one answer */
#define DNS_POINTERS_MAX  32u  /* followed in one name */

enum dns_type {
        DNS_A = 1,
        DNS_CNAME = 5,
        DNS_PTR = 12,
        DNS_AAAA = 28,
        DNS_OPT = 41,
        DNS_SVCB = 64,
        DNS_HTTPS = 65,
        DNS_ALL = 255
};

enum dns_rcode { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED };

enum {
        DNS_OK,
        DNS_E_DROP,   /* not a question, or too short to be answered */
        DNS_E_FORMAT, /* answer FORMERR; only the id is known, nr_wire is 0 */
        DNS_E_NOTIMP, /* answer NOTIMP: another opcode or class, or several questions */
        DNS_E_NAME,   /* answer NXDOMAIN: no host has this name; nr_wire is set, name is "" */
        DNS_E_OTHER,  /* of dns_parse_answer(): not the answer to this question: go on waiting for it */
        DNS_E_BROKEN, /* of dns_parse_answer(): the answer to it, but not to be understood: SERVFAIL */
        DNS_E_NR
};

struct dns_question {
        uint16_t id;
        bool recursion_desired;
        bool edns;
        uint16_t udp_size; /* DNS_UDP_MIN to DNS_UDP_SIZE: how long a reply over UDP may be */
        uint16_t type;
        name_t name;
        uint8_t wire[DNS_WIRE_NAME]; /* the name as asked, in its own case */
        size_t nr_wire;
};

struct dns_answer {
        enum dns_rcode rcode; /* others than those above: SERVFAIL */
        bool truncated;       /* ask again over TCP; nothing else is set */
        uint32_t ttl_s;       /* the shortest of chain and addresses; of no addresses 0 */
        unsigned nr_addresses;
        struct address addresses[DNS_ADDRESSES_MAX];
};

/* dns_parse_question() - Return: DNS_OK, DNS_E_DROP, DNS_E_FORMAT, DNS_E_NOTIMP, DNS_E_NAME */
int dns_parse_question(const uint8_t *bytes, size_t n, struct dns_question *ret);
/*
 * dns_parse_answer() - the upstream's
 * @id: of our query. @name, @type: A or AAAA; the answer's question must be exactly that.
 * Addresses are those at the end of the chain of CNAMEs that begins at the name; records beside it do not count.
 * Return: DNS_OK, DNS_E_OTHER, DNS_E_BROKEN
 */
int dns_parse_answer(const uint8_t *bytes, size_t n, uint16_t id, const char *name, enum dns_type type,
                     struct dns_answer *ret);

/* Built by dns_build.c. Return: the length; 0 if it does not fit into @size. */
size_t dns_build_query(uint8_t *ret, size_t size, uint16_t id, const char *name, enum dns_type type);

struct dns_reply {
        enum dns_rcode rcode;
        uint32_t ttl_s; /* sent as at least 1 */
        unsigned nr_addresses;
        const struct address *addresses; /* those of the question's type are sent */
};

/* @size: the room, and with UDP no more than q->udp_size; what does not fit is left out, and TC says so. */
size_t dns_build_reply(uint8_t *ret, size_t size, const struct dns_question *q,
                       const struct dns_reply *reply);
