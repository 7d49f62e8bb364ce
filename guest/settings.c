/*
 * Settings: reads the agent's words from the kernel command line.
 * Input:  /proc/cmdline (whoever starts the monitor).
 * Runs:   the agent's only thread; pure.
 * Limits: the sizes in struct settings.
 */
#include "guest/settings.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>

#include "guest/text.h"

#define PIDS_MOST (4u << 20) /* PID_MAX_LIMIT of Linux */

struct word {
        const char *s;
        size_t len;
};

static bool has_prefix(const struct word *w, const char *prefix, struct word *ret_rest)
{
        size_t n = strlen(prefix);

        if (w->len < n || memcmp(w->s, prefix, n))
                return false;
        *ret_rest = (struct word){ w->s + n, w->len - n };
        return true;
}

static void copy(char *to, size_t size, const struct word *w)
{
        if (w->len >= size)
                return;
        memcpy(to, w->s, w->len);
        to[w->len] = 0;
}

/* Return: false for what is none; *ret is untouched then. */
static bool parse_net(const struct word *w, struct settings_net *ret)
{
        struct settings_net net = { 0 };
        char address[96], *slash, *comma;
        uint32_t prefix;

        if (w->len >= sizeof(address))
                return false;
        memcpy(address, w->s, w->len);
        address[w->len] = 0;
        slash = strchr(address, '/');
        comma = slash ? strchr(slash, ',') : NULL;
        if (!comma)
                return false;
        *slash = *comma = 0;
        net.family = strchr(address, ':') ? AF_INET6 : AF_INET;
        if (inet_pton(net.family, address, net.address) != 1 ||
            inet_pton(net.family, comma + 1, net.gateway) != 1 ||
            !text_number(slash + 1, (size_t)(comma - slash - 1), net.family == AF_INET ? 32 : 128, &prefix))
                return false;
        net.prefix = (uint8_t)prefix;
        copy(net.resolver, sizeof(net.resolver), &(struct word){ comma + 1, strlen(comma + 1) });
        *ret = net;
        return true;
}

static void apply(struct settings *s, const struct word *w)
{
        struct word rest;

        if (has_prefix(w, "root=", &rest))
                copy(s->root, sizeof(s->root), &rest);
        else if (has_prefix(w, "fstype=", &rest))
                copy(s->fstype, sizeof(s->fstype), &rest);
        else if (has_prefix(w, "upper=", &rest))
                copy(s->upper, sizeof(s->upper), &rest);
        else if (has_prefix(w, "hostname=", &rest))
                copy(s->hostname, sizeof(s->hostname), &rest);
        else if (has_prefix(w, "pids=", &rest))
                (void)!text_number(rest.s, rest.len, PIDS_MOST, &s->pids); /* else there is no limit */
        else if (has_prefix(w, "net4=", &rest))
                (void)parse_net(&rest, &s->net[0]);
        else if (has_prefix(w, "net6=", &rest))
                (void)parse_net(&rest, &s->net[1]);
        else if (has_prefix(w, "overlay=", &rest) && rest.len == 1)
                s->overlay = *rest.s != '0';
        else if (has_prefix(w, "once", &rest) && !rest.len)
                s->once = true;
}

void settings_parse(const char *cmdline, size_t len, struct settings *ret)
{
        *ret = (struct settings){ .overlay = true };

        for (size_t i = 0; i < len;) {
                size_t start = i;

                while (i < len && cmdline[i] != ' ' && cmdline[i] != '\n')
                        i++;

                struct word w = { cmdline + start, i - start }, rest;

                if (has_prefix(&w, "vmlet.", &rest))
                        apply(ret, &rest);
                i++;
        }
}
