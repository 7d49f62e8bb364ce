#pragma once
/*
 * The server name in a TLS ClientHello (RFC 8446, RFC 6066), in one record or several. Pure: called with all
 * bytes since the connection's first one, again when there are more.
 */
#include "net/name.h"

#include <stdint.h>

#define HELLO_MAX (16u << 10) /* bytes of its records; the largest with post-quantum keys have 2 KiB */

enum hello {
        HELLO_MORE, /* may still be one; never with n >= HELLO_MAX */
        HELLO_NAME, /* and *ret is it */
        HELLO_NONE, /* a hello without a name */
        HELLO_ENCRYPTED, /* the real name may be another one (ECH; GREASE looks the same); *ret: the outer one, or "" */
        HELLO_BROKEN, /* TLS, but against its rules, too long, or with a name that is none: to be refused */
        HELLO_NOT_TLS
};

enum hello hello_parse(const uint8_t *bytes, size_t n, name_t ret);
