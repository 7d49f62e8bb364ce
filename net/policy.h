#pragma once
/*
 * What a sandbox may reach. Plain values and pure functions: no I/O, no clock; docs/network.md tells it to users.
 *
 * A connection is decided in two steps. policy_decide(): when its address is known, and the names that the
 * resolver pinned to it. If that says `inspect`, policy_decide_seen(): when its first bytes are, with the name in
 * them. Names are decided by policy_question() before they are asked for, their addresses by policy_keeps().
 *
 * The first rule that matches decides, then the mode. "Names it": an allow rule reaches an address of special use
 * only if its range lies within that address's block (10.1.0.0/16 within 10.0.0.0/8), so that 0.0.0.0/0 means the
 * Internet and 169.254.0.0/16 no metadata service. A deny rule reaches all it contains, inside IPv6 forms too.
 */
#include "net/address.h"
#include "net/name.h"

#define POLICY_RULES_MAX 256u /* each is looked at for each connection */
#define POLICY_PORTS_MAX 16u  /* ranges in a rule */
/* Names of one address that count: many sites share one address of a large CDN. */
#define POLICY_NAMES_MAX 16u
/* Addresses of the host: one with many containers has hundreds of interfaces. */
#define POLICY_HOST_MAX 1024u

#define POLICY_CONNECTIONS_DEFAULT 1024u
#define POLICY_CONNECTIONS_MAX     65536u
#define POLICY_RATE_MAX            1000000u     /* connections a second */
#define POLICY_BYTES_MAX           (1ull << 40) /* bytes a second */
#define POLICY_RULE_TEXT_MAX       (16 + 254 + 50 + 12 * POLICY_PORTS_MAX)

enum policy_mode { POLICY_NONE, POLICY_DENY, POLICY_ALLOW, POLICY_PUBLIC };
enum policy_proto { POLICY_ANY, POLICY_TCP, POLICY_UDP, POLICY_ICMP };
enum policy_target {
        POLICY_TO_NAME,
        POLICY_TO_BELOW, /* *.name */
        POLICY_TO_ALL,   /* *: any name, any public address */
        POLICY_TO_RANGE, /* address or CIDR */
        POLICY_TO_HOST,  /* the gateway's address, which stands for the host's loopback */
        POLICY_TO_METADATA
};

struct policy_ports {
        uint16_t first, last; /* 1 … 65535 */
};

struct policy_rule {
        bool allow;
        enum policy_target target;
        enum policy_proto proto;
        name_t name;            /* NAME, BELOW */
        struct address address; /* RANGE: the bits behind the prefix are 0 */
        unsigned prefix;
        unsigned nr_ports; /* 0: all, and ICMP */
        struct policy_ports ports[POLICY_PORTS_MAX];
};

struct policy {
        enum policy_mode mode;
        uint64_t bytes_per_second;       /* each direction; 0: no limit */
        uint64_t connections_per_second; /* 0: no limit */
        uint64_t connections;            /* at once, at least 1 */
        unsigned nr_rules;
        struct policy_rule rules[POLICY_RULES_MAX];
};

/* What belongs to the host beside what its class tells: the addresses of its interfaces. */
struct policy_host {
        unsigned nr;
        struct address addresses[POLICY_HOST_MAX];
};

/* What the guest wants; the address of the gateway means the host. */
struct policy_flow {
        enum policy_proto proto; /* not ANY */
        struct address address;
        uint16_t port; /* of ICMP: 0 */
};

/* Valid now, of the flow's address: pins_find(). Beyond POLICY_NAMES_MAX none is looked at. */
struct policy_names {
        unsigned nr;
        const char *names[POLICY_NAMES_MAX];
};

enum policy_seen {
        POLICY_SEEN_OTHER,  /* neither TLS nor HTTP */
        POLICY_SEEN_NAME,   /* TLS or HTTP, and its name */
        POLICY_SEEN_NO_NAME /* TLS or HTTP whose name is absent, encrypted or not to be trusted */
};

#define POLICY_BY_MODE (-1)

struct policy_decision {
        bool allow;
        bool inspect;    /* of policy_decide(), if allow: ask again when the first bytes are known */
        int rule;        /* index, or POLICY_BY_MODE */
        const char *why; /* words for the event: "no rule matches", … */
};

struct policy_decision policy_decide(const struct policy *p, const struct policy_host *host,
                                     const struct policy_flow *flow, const struct policy_names *names);
/* @seen_name: with SEEN_NAME, as name_read() makes it or the text of an address */
struct policy_decision policy_decide_seen(const struct policy *p, const struct policy_host *host,
                                          const struct policy_flow *flow, const struct policy_names *names,
                                          enum policy_seen seen, const char *seen_name);

/*
 * policy_question() - may the resolver ask for this name?
 * Deny rules that have ports or a protocol do not decide here: the name may be used for others.
 * Return: .allow: ask, and keep of the answer what policy_keeps(). Otherwise REFUSED, and nothing is sent.
 */
struct policy_decision policy_question(const struct policy *p, const char *name);
/* @question: what policy_question() said. Whether the guest gets to know this address, and it is pinned. */
bool policy_keeps(const struct policy *p, const struct policy_host *host,
                  const struct policy_decision *question, const struct address *address);

/* "allow example.com:443", or "mode allow" for POLICY_BY_MODE */
void policy_rule_text(const struct policy *p, int rule, char ret[POLICY_RULE_TEXT_MAX]);
const char *policy_mode_text(enum policy_mode mode);
const char *policy_proto_text(enum policy_proto proto);
