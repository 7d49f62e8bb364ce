#pragma once
/*
 * An IP address of either family, and what kind it is. Plain values, pure functions.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_MAX 46u /* with its NUL: INET6_ADDRSTRLEN */

enum address_family { ADDRESS_IP4 = 4, ADDRESS_IP6 = 6 };

/* Network order; an IPv4 address has the first four bytes, the others are 0. All zeroes: no address. */
struct address {
        uint8_t family;
        uint8_t bytes[16];
};

/* All but PUBLIC are for special use: no name, no wildcard and no wide range reaches them. */
enum address_class {
        ADDRESS_PUBLIC,
        ADDRESS_THIS_NETWORK, /* 0.0.0.0/8, :: */
        ADDRESS_LOOPBACK,
        ADDRESS_PRIVATE, /* RFC 1918, ULA, site-local */
        ADDRESS_SHARED,  /* 100.64.0.0/10: behind a carrier's NAT */
        ADDRESS_LINK_LOCAL,
        ADDRESS_METADATA, /* of a cloud, for its own machines */
        ADDRESS_MULTICAST,
        ADDRESS_BROADCAST,
        ADDRESS_DOCUMENTATION, /* examples and benchmarks */
        ADDRESS_RESERVED,
        ADDRESS_TRANSLATED, /* IPv6 that means an IPv4 address: mapped, compatible, 6to4, Teredo, local NAT64 */
        ADDRESS_NR_CLASSES
};

struct address address_ip4(const uint8_t bytes[4]);
struct address address_ip6(const uint8_t bytes[16]);
/* address_from_text() - as inet_pton() reads it: four decimal numbers, or IPv6 without zone and brackets */
bool address_from_text(const char *text, struct address *ret);
void address_to_text(const struct address *a, char ret[ADDRESS_TEXT_MAX]);
bool address_equal(const struct address *a, const struct address *b);
/* The gateway's own, either family: it stands for the host. */
bool address_is_gateway(const struct address *a);

static inline unsigned address_bits(const struct address *a)
{
        return a->family == ADDRESS_IP4 ? 32 : 128;
}

/* address_in() - is it in @base/@prefix? False for the other family. */
bool address_in(const struct address *a, const struct address *base, unsigned prefix);

/*
 * address_classify()
 * @ret_prefix: of the block of special use that holds it (10.1.2.3: 8); 0 for a public one. May be NULL.
 *   64:ff9b::/96 has the class of the IPv4 address inside, and a block of its own, 128.
 */
enum address_class address_classify(const struct address *a, unsigned *ret_prefix);
/* "private", "of a cloud's metadata service" …, for "10.1.2.3 is …" */
const char *address_class_words(enum address_class c);
/*
 * address_range_narrowest() - the prefix of the smallest block of special use that the range holds, or that holds it;
 * 0: all of it is public
 */
unsigned address_range_narrowest(const struct address *base, unsigned prefix);
/* The IPv4 address inside a translated, mapped, 6to4, Teredo or NAT64 one; false if there is none. */
bool address_embedded(const struct address *a, struct address *ret);
