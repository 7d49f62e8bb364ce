/*
 * What a port of the host leads to, as people write it.
 * Input:  the command line, or a sandbox's configuration (the user).
 * Runs:   any thread; pure.
 * Limits: SPEC_MAX characters.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/forward.h"
#include "vmm/base/parse.h"

#define SPEC_MAX (FORWARD_PATH_MAX + 64)

static bool parse_port(const char *text, bool any, uint32_t *ret)
{
        uint64_t port;

        if (!parse_u64(text, &port) || port > 65535 || (!port && !any))
                return false;
        *ret = (uint32_t)port;
        return true;
}

/* "" = the loopback; localhost; an address as a number, of IPv6 in brackets. */
static bool parse_host(char *host, uint32_t port, struct sockaddr_storage *ret)
{
        struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
        size_t len = strlen(host);

        *ret = (struct sockaddr_storage){ 0 };
        if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
                host[len - 1] = 0;
                v6->sin6_family = AF_INET6;
                v6->sin6_port = htons((uint16_t)port);
                return inet_pton(AF_INET6, host + 1, &v6->sin6_addr) == 1;
        }
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return inet_pton(AF_INET, !len || !strcmp(host, "localhost") ? "127.0.0.1" : host, &v4->sin_addr) ==
               1;
}

/* Where the last ':' before the guest's part is. */
static char *split(char *text)
{
        char *path = strstr(text, ":/"), *abstract = strstr(text, ":@");

        if (path || abstract)
                return path && (!abstract || path < abstract) ? path : abstract;
        return strrchr(text, ':');
}

int forward_parse(const char *text, struct forward_spec *ret, struct problem *problem)
{
        char words[SPEC_MAX], *to, *port, none[] = "", *host = none;
        uint32_t listen = 0;
        bool good;

        snprintf(words, sizeof(words), "%s", text);
        *ret = (struct forward_spec){ 0 };
        to = split(words);
        if (to)
                *to++ = 0;
        port = strrchr(words, ':');
        if (port) {
                *port++ = 0;
                host = words;
        } else {
                port = words;
        }
        good = strlen(text) < sizeof(words) && parse_port(port, to, &listen) &&
               parse_host(host, listen, &ret->listen);
        if (good && to && (*to == '/' || *to == '@'))
                good = strlen(to) <= PROTOCOL_PATH_MAX && to[1] && stpcpy(ret->path, to);
        else if (good)
                good = parse_port(to ? to : port, false, &ret->port);
        if (!good)
                return problem_set(
                        problem, LINK_FAILED,
                        "%.64s: write PORT, PORT:GUEST_PORT, ADDRESS:PORT:GUEST_PORT or PORT:/PATH", text);
        return 0;
}
