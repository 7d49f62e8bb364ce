/*
 * The options of vmlet-net: one table for the command line and --help.
 * Input:  words of a program or a person.
 * Runs:   main thread.
 * Limits: PUBLISH_MAX ports, DNS_SERVERS_MAX resolvers.
 */
#include "net/options.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "net/dns_parse.h"
#include "net/status.h"
#include "vmm/base/parse.h"

#define HELP_COLUMN  22
#define EVENTS_LIMIT (10ull << 20)

enum kind { KIND_TEXT, KIND_FD, KIND_SIZE, KIND_MAC, KIND_RESOLVER, KIND_PORT, KIND_MODE };

struct option {
        const char *name;
        enum kind kind;
        size_t offset; /* in struct options */
        const char *arg;
        const char *help;
        enum options_mode mode;
};

#define FIELD(n, k, field, a, h)                                                                             \
        {                                                                                                    \
                .name = (n), .kind = (k), .offset = offsetof(struct options, field), .arg = (a), .help = (h) \
        }
#define MODE(n, m, h)                                                                                        \
        {                                                                                                    \
                .name = (n), .kind = KIND_MODE, .mode = (m), .help = (h)                                     \
        }

static const struct option table[] = {
        FIELD("fd", KIND_FD, fd, "N",
              "the wire: a connected Unix stream socket, frames as in vmm --net fd=N,vnet"),
        FIELD("policy", KIND_TEXT, policy, "FILE", "what may be reached"),
        FIELD("events", KIND_TEXT, events, "FILE", "write every decision, as lines of JSON"),
        FIELD("events-limit", KIND_SIZE, events_limit_bytes, "SIZE", "cap of that file; with FILE.1 (10M)"),
        FIELD("control", KIND_TEXT, control, "SOCKET", "take requests: stats, another policy"),
        FIELD("publish", KIND_PORT, ports, "SPEC", "[ADDRESS:]PORT:GUESTPORT[/udp] leads into the guest"),
        FIELD("resolver", KIND_RESOLVER, resolvers, "ADDRESS",
              "[ADDRESS]:PORT too; instead of those of /etc/resolv.conf"),
        FIELD("mac", KIND_MAC, lan, "ADDRESS", "the guest's"),
        FIELD("ready-fd", KIND_FD, ready_fd, "N", "write a line to this descriptor when all is open"),
        MODE("help", OPTIONS_HELP, "this text"),
        MODE("version", OPTIONS_VERSION, "the version"),
};

static int bad_value(const struct option *opt, const char *value, const char *wanted, struct problem *p)
{
        return problem_set(p, NET_E_USAGE, "--%s: '%s' is not %s", opt->name, value, wanted);
}

/* ADDRESS, or [ADDRESS]:PORT */
static bool read_resolver(const char *value, struct frame_end *ret)
{
        char text[ADDRESS_TEXT_MAX];
        const char *end = strchr(value, ']');
        uint64_t port;

        ret->port = DNS_PORT;
        if (*value != '[')
                return address_from_text(value, &ret->address);
        if (!end || end[1] != ':' || !parse_u64(end + 2, &port) || !port || port > UINT16_MAX ||
            (size_t)(end - value) > sizeof(text))
                return false;
        (void)snprintf(text, sizeof(text), "%.*s", (int)(end - value - 1), value + 1);
        ret->port = (uint16_t)port;
        return address_from_text(text, &ret->address);
}

static int add_resolver(struct options *o, const struct option *opt, const char *value, struct problem *p)
{
        if (o->nr_resolvers == DNS_SERVERS_MAX)
                return problem_set(p, NET_E_USAGE, "more than %u resolvers", DNS_SERVERS_MAX);
        if (!read_resolver(value, &o->resolvers[o->nr_resolvers]))
                return bad_value(opt, value, "an address of a resolver", p);
        o->nr_resolvers++;
        return 0;
}

static int add_port(struct options *o, const struct option *opt, const char *value, struct problem *p)
{
        if (o->nr_ports == PUBLISH_MAX)
                return problem_set(p, NET_E_USAGE, "more than %u published ports", PUBLISH_MAX);
        if (!publish_read(value, &o->ports[o->nr_ports]))
                return bad_value(opt, value, "[ADDRESS:]PORT:GUESTPORT[/udp]", p);
        o->nr_ports++;
        return 0;
}

static int set(struct options *o, const struct option *opt, const char *value, struct problem *p)
{
        void *field = (char *)o + opt->offset;
        uint64_t n;

        switch (opt->kind) {
        case KIND_TEXT:
                *(const char **)field = value;
                return 0;
        case KIND_FD:
                if (!parse_u64(value, &n) || n > INT_MAX)
                        return bad_value(opt, value, "the number of a descriptor", p);
                *(int *)field = (int)n;
                return 0;
        case KIND_SIZE:
                if (!parse_size(value, (uint64_t *)field))
                        return bad_value(opt, value, "a size such as 10M", p);
                return 0;
        case KIND_MAC:
                if (!lan_read_mac(value, o->lan.guest_mac))
                        return bad_value(opt, value,
                                         "an Ethernet address such as "
                                         "02:76:6d:6c:74:02",
                                         p);
                return 0;
        case KIND_RESOLVER:
                return add_resolver(o, opt, value, p);
        case KIND_PORT:
                return add_port(o, opt, value, p);
        case KIND_MODE:
                o->mode = opt->mode;
                return 0;
        }
        return 0;
}

static const struct option *find(const char *name, size_t len)
{
        for (unsigned i = 0; i < array_size(table); i++)
                if (strlen(table[i].name) == len && !strncmp(table[i].name, name, len))
                        return &table[i];
        return NULL;
}

static int unknown(const char *word, struct problem *p)
{
        const char *names[array_size(table) + 1] = { NULL }, *meant;

        for (unsigned i = 0; i < array_size(table); i++)
                names[i] = table[i].name;
        meant = strncmp(word, "--", 2) ? NULL : parse_closest(word + 2, names);
        if (meant)
                return problem_set(p, NET_E_USAGE, "unknown option '%.64s'; did you mean --%s?", word, meant);
        return problem_set(p, NET_E_USAGE, "unknown option '%.64s'; see vmlet-net --help", word);
}

int options_read(struct options *o, int argc, char **argv, struct problem *p)
{
        *o = (struct options){ .fd = -1, .ready_fd = -1, .events_limit_bytes = EVENTS_LIMIT };
        lan_init(&o->lan);
        for (int i = 1; i < argc; i++) {
                const char *word = argv[i], *name = word + 2, *value = NULL;
                const struct option *opt = NULL;
                size_t len;

                if (!strncmp(word, "--", 2)) {
                        len = strcspn(name, "=");
                        opt = find(name, len);
                        value = name[len] ? name + len + 1 : NULL;
                }
                if (!opt)
                        return unknown(word, p);
                if (opt->kind == KIND_MODE && value)
                        return problem_set(p, NET_E_USAGE, "--%s takes no value", opt->name);
                if (opt->kind != KIND_MODE && !value && ++i == argc)
                        return problem_set(p, NET_E_USAGE, "--%s: %s is missing", opt->name, opt->arg);
                if (set(o, opt, value ? value : argv[i], p))
                        return -1;
        }
        if (o->mode != OPTIONS_RUN)
                return 0;
        if (o->fd < 0)
                return problem_set(p, NET_E_USAGE, "--fd is missing");
        if (!o->policy)
                return problem_set(p, NET_E_USAGE, "--policy is missing");
        return 0;
}

void options_help(void)
{
        (void)puts("Usage: vmlet-net --fd N --policy FILE [OPTION]...\n"
                   "The network of one sandbox: ends its connections, decides them, and makes those that are "
                   "allowed.\n");
        for (unsigned i = 0; i < array_size(table); i++) {
                const struct option *opt = &table[i];
                char left[64];

                (void)snprintf(left, sizeof(left), "--%s%s%s", opt->name, opt->arg ? " " : "",
                               opt->arg ? opt->arg : "");
                (void)printf("  %-*s %s\n", HELP_COLUMN, left, opt->help);
        }
}
