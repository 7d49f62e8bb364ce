/*
 * Options whose value is a list of words.
 * Input:  words of a person or a program.
 * Runs:   main thread.
 * Limits: CONFIG_DISKS_MAX disks, CONFIG_NETS_MAX networks.
 */
#include <stdio.h>
#include <string.h>

#include "vmm/base/parse.h"
#include "vmm/options_priv.h"
#include "vmm/status.h"

static int set_serial(struct config_disk *d, const char *name, const char *text, struct problem *p)
{
        size_t len = strlen(text);

        if (!len || len > CONFIG_SERIAL_MAX)
                return problem_set(p, VMM_E_USAGE, "--%s: serial '%s' must have 1 to %u bytes", name, text,
                                   CONFIG_SERIAL_MAX);
        memcpy(d->serial, text, len + 1);
        return 0;
}

static int set_rate(struct rate_bucket_config *ret, const char *name, const char *word, struct problem *p)
{
        bool is_bytes = *word == 'b';
        const char *text = strchr(word, '=') + 1;
        uint64_t v;

        if (!(is_bytes ? parse_size(text, &v) : parse_u64(text, &v)) || !v)
                return problem_set(p, VMM_E_USAGE, "--%s: '%s' is not a %s a second, such as %s", name, word,
                                   is_bytes       ? "size"
                                   : *word == 'i' ? "number of requests"
                                                  : "number of packets",
                                   is_bytes       ? "bw=10M"
                                   : *word == 'i' ? "iops=100"
                                                  : "pps=1000");
        *ret = (struct rate_bucket_config){ .size = v, .refill_ms = RATE_REFILL_MS };
        return 0;
}

static int set_disk_word(struct config_disk *d, const char *name, const char *word, struct problem *p)
{
        if (!strcmp(word, "ro") || !strcmp(word, "rw"))
                d->read_only = word[1] == 'o';
        else if (!strcmp(word, "direct"))
                d->direct = true;
        else if (!strncmp(word, "serial=", 7))
                return set_serial(d, name, word + 7, p);
        else if (!strncmp(word, "bw=", 3))
                return set_rate(&d->rate.bandwidth, name, word, p);
        else if (!strncmp(word, "iops=", 5))
                return set_rate(&d->rate.ops, name, word, p);
        else
                return problem_set(p, VMM_E_USAGE,
                                   "--%s: unknown setting '%s': ro, rw, direct, serial=ID, bw=SIZE and "
                                   "iops=N are known",
                                   name, word);
        return 0;
}

static void move_image_first(struct vm_config *c)
{
        struct config_disk image = c->disks[c->nr_disks - 1];

        memmove(&c->disks[1], &c->disks[0], (c->nr_disks - 1) * sizeof(image));
        c->disks[0] = image;
        c->has_image = true;
}

int options_add_disk(struct vm_config *c, const char *name, char *words, struct problem *p)
{
        bool is_image = !strcmp(name, "image");
        struct config_disk *d = &c->disks[c->nr_disks];
        const char *word;

        if (is_image && c->has_image)
                return problem_set(p, VMM_E_USAGE, "--image is given twice: use --disk for further disks");
        if (c->nr_disks == CONFIG_DISKS_MAX)
                return problem_set(p, VMM_E_USAGE, "more than %u disks", CONFIG_DISKS_MAX);
        *d = (struct config_disk){ .path = strsep(&words, ","), .read_only = is_image };
        c->nr_disks++;
        if (!*d->path)
                return problem_set(p, VMM_E_USAGE, "--%s: FILE is missing", name);
        while ((word = strsep(&words, ",")))
                if (set_disk_word(d, name, word, p))
                        return -1;
        if (is_image)
                move_image_first(c);
        return 0;
}

static int set_mac(struct config_net *n, const char *text, struct problem *p)
{
        unsigned b[6];
        int len = -1;

        if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &len) != 6 ||
            len != 17 || strlen(text) != 17 || strspn(text, "0123456789abcdefABCDEF:") != 17)
                return problem_set(p, VMM_E_USAGE, "--net: MAC '%s' is not of the form 02:00:00:00:00:01",
                                   text);
        for (unsigned i = 0; i < 6; i++)
                n->mac[i] = (uint8_t)b[i];
        n->has_mac = true;
        return 0;
}

static int set_net_number(unsigned *ret, const char *word, struct problem *p)
{
        uint64_t v;

        if (!parse_u64(strchr(word, '=') + 1, &v) || v > INT32_MAX)
                return problem_set(p, VMM_E_USAGE, "--net: '%s' is not a number in range", word);
        *ret = (unsigned)v;
        return 0;
}

static int set_net_word(struct config_net *n, const char *word, struct problem *p)
{
        int r = 0;

        if (!strcmp(word, "vnet"))
                n->vnet = true;
        else if (!strncmp(word, "mac=", 4))
                r = set_mac(n, word + 4, p);
        else if (!strncmp(word, "mtu=", 4))
                r = set_net_number(&n->mtu, word, p);
        else if (!strncmp(word, "queues=", 7))
                r = set_net_number(&n->queues, word, p);
        else if (!strncmp(word, "bw=", 3))
                r = set_rate(&n->rx.bandwidth, "net", word, p);
        else if (!strncmp(word, "pps=", 4))
                r = set_rate(&n->rx.ops, "net", word, p);
        else
                return problem_set(p, VMM_E_USAGE,
                                   "--net: unknown setting '%s': mac=MAC, mtu=N, queues=N, vnet, bw=SIZE and "
                                   "pps=N are known",
                                   word);
        n->tx = n->rx; /* each direction has as much */
        return r;
}

/* The first word: what is at the other side. */
static int set_net_side(struct config_net *n, const char *word, struct problem *p)
{
        static const struct {
                const char *name;
                enum config_net_kind kind;
                bool is_fd;
        } kinds[] = { { "tap=", NET_TAP, false },
                      { "tapfd=", NET_TAP_FD, true },
                      { "stream=", NET_STREAM, false },
                      { "fd=", NET_STREAM_FD, true } };

        for (unsigned i = 0; i < array_size(kinds); i++) {
                size_t len = strlen(kinds[i].name);
                unsigned fd;

                if (strncmp(word, kinds[i].name, len))
                        continue;
                n->kind = kinds[i].kind;
                if (kinds[i].is_fd) {
                        if (set_net_number(&fd, word, p))
                                return -1;
                        n->fd = (int)fd;
                        return 0;
                }
                n->name = word + len;
                if (!*n->name || (n->kind == NET_TAP && strlen(n->name) > CONFIG_TAP_MAX))
                        return problem_set(p, VMM_E_USAGE, "--net: '%s' names nothing that can be", word);
                return 0;
        }
        return problem_set(p, VMM_E_USAGE,
                           "--net: '%s' is unknown: begin with tap=NAME, tapfd=N, stream=SOCKET or fd=N",
                           word);
}

int options_add_net(struct vm_config *c, char *words, struct problem *p)
{
        struct config_net *n = &c->nets[c->nr_nets];
        const char *word;

        if (c->nr_nets == CONFIG_NETS_MAX)
                return problem_set(p, VMM_E_USAGE, "more than %u networks", CONFIG_NETS_MAX);
        *n = (struct config_net){ .fd = -1, .queues = 1 };
        c->nr_nets++;
        if (set_net_side(n, strsep(&words, ","), p))
                return -1;
        while ((word = strsep(&words, ",")))
                if (set_net_word(n, word, p))
                        return -1;
        return 0;
}

static int set_balloon_word(struct config_balloon *b, const char *word, struct problem *p)
{
        if (!strcmp(word, "off"))
                b->on = false;
        else if (!strcmp(word, "deflate-on-oom"))
                b->deflate_on_oom = true;
        else if (!strncmp(word, "stats=", 6) && parse_duration(word + 6, &b->stats_interval_ns))
                return 0;
        else if (!parse_size(word, &b->target_bytes))
                return problem_set(p, VMM_E_USAGE,
                                   "--balloon: '%s' is unknown: off, a SIZE such as 64M, deflate-on-oom and "
                                   "stats=TIME are known",
                                   word);
        return 0;
}

int options_set_balloon(struct config_balloon *b, char *words, struct problem *p)
{
        const char *word;

        *b = (struct config_balloon){ .on = true };
        while ((word = strsep(&words, ",")))
                if (set_balloon_word(b, word, p))
                        return -1;
        return 0;
}
