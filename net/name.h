#pragma once
/*
 * A host's name, as everybody here passes it: lower case, without the dot at the end, labels of 1 to 63
 * letters, digits, '-' and '_', of which the last one is no number. Whatever differs from that in DNS, TLS and
 * HTTP ends here. Pure.
 */
#include <stdbool.h>
#include <stddef.h>

#define NAME_LEN_MAX   253u /* RFC 1035: 255 with the first length and the root */
#define NAME_LABEL_MAX 63u

typedef char name_t[NAME_LEN_MAX + 1];

enum {
        NAME_OK,
        NAME_E_EMPTY,  /* "" or "." */
        NAME_E_LONG,   /* more than NAME_LEN_MAX */
        NAME_E_LABEL,  /* an empty label, or one of more than NAME_LABEL_MAX */
        NAME_E_BYTE,   /* a byte that no name has; a NUL too */
        NAME_E_IDN,    /* beyond ASCII */
        NAME_E_NUMBER, /* the last label is a number: an address in some spelling */
        NAME_E_NR
};

/* name_read() - @ret is set on NAME_OK only */
int name_read(const char *text, size_t len, name_t ret);
const char *name_strerror(int error);
/* Is @name below @parent, at any depth, and not @parent itself? */
bool name_is_below(const char *name, const char *parent);
