#pragma once
/*
 * The host that an HTTP/1 request is for (RFC 9112). Pure: called with all bytes since the connection's first
 * one, again when there are more. Stricter than servers are: what two readers could understand in two ways is
 * BROKEN.
 */
#include "net/name.h"

#include <stdint.h>

#define HTTP_HEAD_MAX (16u << 10) /* what servers take: nginx 32 KiB in pieces of 8, Apache 8 KiB a line */

enum http {
        HTTP_MORE, /* may still be one; never with n >= HTTP_HEAD_MAX */
        HTTP_NAME, /* and *ret is it, without the port; or an address as address_to_text() writes it */
        HTTP_NONE, /* a request that names no host */
        HTTP_BROKEN, /* several hosts or hosts that differ, HTTP/2 without TLS, too long, against the rules: refuse */
        HTTP_NOT_HTTP
};

enum http http_parse(const uint8_t *bytes, size_t n, name_t ret);
