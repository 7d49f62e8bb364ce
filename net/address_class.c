/*
 * What an address is for: the special-purpose registries of IANA (RFC 6890 and its updates), and the clouds'.
 * Input:  addresses of a guest, of DNS answers and of rules.
 * Runs:   any thread; pure.
 * Limits: none.
 */
#include "net/address.h"

#include <string.h>

#include "vmm/base/assert.h"
#include "vmm/base/compiler.h"

struct block {
        uint8_t prefix;
        enum address_class class;
        uint8_t bytes[16]; /* the first ones */
};

/* The first that holds the address is its class, so what is smaller stands before what holds it. */
static const struct block blocks4[] = {
        { 32, ADDRESS_METADATA, { 169, 254, 169, 254 } }, /* most clouds */
        { 32, ADDRESS_METADATA, { 169, 254, 169, 253 } }, /* AWS: resolver */
        { 32, ADDRESS_METADATA, { 169, 254, 169, 123 } }, /* AWS: time */
        { 32, ADDRESS_METADATA, { 169, 254, 170, 2 } },   /* AWS: credentials of containers */
        { 32, ADDRESS_METADATA, { 169, 254, 170, 23 } },  /* AWS: credentials of pods */
        { 32, ADDRESS_METADATA, { 169, 254, 42, 42 } },   /* Scaleway */
        { 32, ADDRESS_METADATA, { 169, 254, 0, 23 } },    /* Tencent */
        { 32, ADDRESS_METADATA, { 100, 100, 100, 200 } }, /* Alibaba */
        { 32, ADDRESS_METADATA, { 168, 63, 129, 16 } },   /* Azure: agent and resolver, in a public range */
        { 32, ADDRESS_METADATA, { 192, 0, 0, 192 } },     /* Oracle, its older one */
        { 8, ADDRESS_THIS_NETWORK, { 0 } },
        { 8, ADDRESS_PRIVATE, { 10 } },
        { 10, ADDRESS_SHARED, { 100, 64 } },
        { 8, ADDRESS_LOOPBACK, { 127 } },
        { 16, ADDRESS_LINK_LOCAL, { 169, 254 } },
        { 12, ADDRESS_PRIVATE, { 172, 16 } },
        { 24, ADDRESS_RESERVED, { 192, 0, 0 } }, /* protocol assignments */
        { 24, ADDRESS_DOCUMENTATION, { 192, 0, 2 } },
        { 24, ADDRESS_RESERVED, { 192, 31, 196 } }, /* AS112 */
        { 24, ADDRESS_RESERVED, { 192, 52, 193 } }, /* AMT */
        { 24, ADDRESS_RESERVED, { 192, 88, 99 } },  /* relays of 6to4 */
        { 24, ADDRESS_RESERVED, { 192, 175, 48 } }, /* AS112 */
        { 16, ADDRESS_PRIVATE, { 192, 168 } },
        { 15, ADDRESS_DOCUMENTATION, { 198, 18 } }, /* benchmarks */
        { 24, ADDRESS_DOCUMENTATION, { 198, 51, 100 } },
        { 24, ADDRESS_DOCUMENTATION, { 203, 0, 113 } },
        { 4, ADDRESS_MULTICAST, { 224 } },
        { 32, ADDRESS_BROADCAST, { 255, 255, 255, 255 } },
        { 4, ADDRESS_RESERVED, { 240 } },
};

static const struct block blocks6[] = {
        { 128, ADDRESS_METADATA, { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 } }, /* AWS */
        { 128, ADDRESS_METADATA, { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x53 } }, /* AWS: resolver */
        { 128, ADDRESS_METADATA, { 0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23 } },              /* AWS: pods */
        { 128, ADDRESS_METADATA, { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x01, [15] = 0x23 } }, /* AWS: time */
        { 128, ADDRESS_METADATA, { 0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54 } }, /* Google */
        { 128, ADDRESS_METADATA, { 0xfd, 0x00, 0x00, 0x42, [15] = 0x42 } },              /* Scaleway */
        { 128,
          ADDRESS_METADATA,
          { 0xfd, 0x00, 0x00, 0xc1, [4] = 0xc1, [14] = 0x02, [15] = 0x54 } }, /* Oracle */
        { 128, ADDRESS_THIS_NETWORK, { 0 } },
        { 128, ADDRESS_LOOPBACK, { [15] = 1 } },
        { 96, ADDRESS_TRANSLATED, { [10] = 0xff, [11] = 0xff } },           /* mapped */
        { 96, ADDRESS_TRANSLATED, { [8] = 0xff, [9] = 0xff } },             /* SIIT */
        { 96, ADDRESS_TRANSLATED, { 0 } },                                  /* compatible */
        { 48, ADDRESS_TRANSLATED, { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 } }, /* NAT64 of a site */
        { 8, ADDRESS_RESERVED, { 0 } },
        { 8, ADDRESS_RESERVED, { 0x01 } },                         /* 100::/64 discards */
        { 32, ADDRESS_TRANSLATED, { 0x20, 0x01 } },                /* Teredo */
        { 48, ADDRESS_DOCUMENTATION, { 0x20, 0x01, 0x00, 0x02 } }, /* benchmarks */
        { 32, ADDRESS_DOCUMENTATION, { 0x20, 0x01, 0x0d, 0xb8 } },
        { 23, ADDRESS_RESERVED, { 0x20, 0x01 } },                         /* protocol assignments */
        { 16, ADDRESS_TRANSLATED, { 0x20, 0x02 } },                       /* 6to4 */
        { 48, ADDRESS_RESERVED, { 0x26, 0x20, 0x00, 0x4f, 0x80, 0x00 } }, /* AS112 */
        { 20, ADDRESS_DOCUMENTATION, { 0x3f, 0xff } },
        { 7, ADDRESS_PRIVATE, { 0xfc } },
        { 10, ADDRESS_LINK_LOCAL, { 0xfe, 0x80 } },
        { 10, ADDRESS_PRIVATE, { 0xfe, 0xc0 } }, /* site-local */
        { 8, ADDRESS_MULTICAST, { 0xff } },
        /* Outside of 2000::/3 nothing has been given out. */
        { 3, ADDRESS_RESERVED, { 0x00 } },
        { 2, ADDRESS_RESERVED, { 0x40 } },
        { 1, ADDRESS_RESERVED, { 0x80 } },
};

static const struct address nat64 = { ADDRESS_IP6, { 0x00, 0x64, 0xff, 0x9b } };

static struct address base_of(const struct block *b, uint8_t family)
{
        struct address a = { .family = family };

        memcpy(a.bytes, b->bytes, sizeof(a.bytes));
        return a;
}

static const struct block *blocks_of(uint8_t family, size_t *ret_nr)
{
        *ret_nr = family == ADDRESS_IP4 ? array_size(blocks4) : array_size(blocks6);
        return family == ADDRESS_IP4 ? blocks4 : blocks6;
}

static bool is_nat64(const struct address *a)
{
        return address_in(a, &nat64, 96);
}

enum address_class address_classify(const struct address *a, unsigned *ret_prefix)
{
        const struct block *blocks;
        unsigned ignored;
        size_t nr;

        if (!ret_prefix)
                ret_prefix = &ignored;
        *ret_prefix = 0;
        if (is_nat64(a)) {
                struct address inside = address_ip4(a->bytes + 12);
                enum address_class c = address_classify(&inside, NULL);

                *ret_prefix = c ? 128 : 0;
                return c;
        }
        blocks = blocks_of(a->family, &nr);
        for (size_t i = 0; i < nr; i++) {
                struct address base = base_of(&blocks[i], a->family);

                if (!address_in(a, &base, blocks[i].prefix))
                        continue;
                *ret_prefix = blocks[i].prefix;
                return blocks[i].class;
        }
        return ADDRESS_PUBLIC;
}

unsigned address_range_narrowest(const struct address *base, unsigned prefix)
{
        const struct block *blocks;
        unsigned narrowest;
        size_t nr;

        (void)address_classify(base, &narrowest);
        if (base->family == ADDRESS_IP6 &&
            (address_in(&nat64, base, prefix) || (is_nat64(base) && prefix < 128)))
                return 128; /* each has a block of its own */
        blocks = blocks_of(base->family, &nr);
        for (size_t i = 0; i < nr; i++) {
                struct address b = base_of(&blocks[i], base->family);

                if (blocks[i].prefix >= prefix && blocks[i].prefix > narrowest &&
                    address_in(&b, base, prefix))
                        narrowest = blocks[i].prefix;
        }
        return narrowest;
}

bool address_embedded(const struct address *a, struct address *ret)
{
        static const struct {
                uint8_t prefix, at;
                uint8_t bytes[12];
        } forms[] = {
                { 96, 12, { [10] = 0xff, [11] = 0xff } },
                { 96, 12, { [8] = 0xff, [9] = 0xff } },
                { 96, 12, { 0 } },
                { 96, 12, { 0x00, 0x64, 0xff, 0x9b } },
                { 48, 12, { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 } },
                { 16, 2, { 0x20, 0x02 } },
                { 32, 12, { 0x20, 0x01 } },
        };

        for (size_t i = 0; a->family == ADDRESS_IP6 && i < array_size(forms); i++) {
                struct address base = { .family = ADDRESS_IP6 };

                memcpy(base.bytes, forms[i].bytes, sizeof(forms[i].bytes));
                if (!address_in(a, &base, forms[i].prefix))
                        continue;
                *ret = address_ip4(a->bytes + forms[i].at);
                /* Teredo hides the client's address by turning its bits. */
                for (unsigned b = 0; forms[i].prefix == 32 && b < 4; b++)
                        ret->bytes[b] ^= 0xff;
                return true;
        }
        return false;
}

const char *address_class_words(enum address_class c)
{
        static const char *const words[ADDRESS_NR_CLASSES] = {
                "public",
                "of no host (0.0.0.0/8, ::)",
                "the host's loopback",
                "private",
                "shared behind a carrier's NAT (100.64.0.0/10)",
                "link-local",
                "of a cloud's metadata service",
                "multicast",
                "broadcast",
                "for documentation or benchmarks",
                "reserved",
                "an IPv4 address in an IPv6 form",
        };

        ASSERT(c < ADDRESS_NR_CLASSES);
        return words[c];
}
