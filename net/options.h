#pragma once
/*
 * The command line of vmlet-net. One table names every option; --help comes from it.
 */
#include "net/dns.h"
#include "net/lan.h"
#include "net/publish.h"
#include "vmm/base/err.h"

enum options_mode { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION };

struct options {
        enum options_mode mode;
        int fd, ready_fd; /* -1: none */
        const char *policy, *events, *control;
        uint64_t events_limit_bytes;
        struct lan lan;
        struct frame_end resolvers[DNS_SERVERS_MAX];
        unsigned nr_resolvers;
        struct publish_spec ports[PUBLISH_MAX];
        unsigned nr_ports;
};

/* Return: 0, or -1 with *p filled (NET_E_USAGE). */
int must_check options_read(struct options *o, int argc, char **argv, struct problem *p);
/* The text of --help, on standard output. */
void options_help(void);
