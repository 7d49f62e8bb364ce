/*
 * Names of hosts, in the one form in which they are compared.
 * Input:  text of a person, a guest, an upstream.
 * Runs:   any thread; pure.
 * Limits: NAME_LEN_MAX, NAME_LABEL_MAX.
 */
#include "net/name.h"

#include <string.h>

static bool is_number(const char *label)
{
        size_t digits = strspn(label, "0123456789");

        if (!label[digits])
                return true;
        return label[0] == '0' && label[1] == 'x' && !label[2 + strspn(label + 2, "0123456789abcdef")];
}

int name_read(const char *text, size_t len, name_t ret)
{
        name_t name;
        size_t label = 0; /* where it begins */

        if (len && text[len - 1] == '.')
                len--;
        if (!len)
                return NAME_E_EMPTY;
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)text[i] >= 0x80)
                        return NAME_E_IDN;
        if (len > NAME_LEN_MAX)
                return NAME_E_LONG;
        for (size_t i = 0; i < len; i++) {
                char c = text[i];

                if (c >= 'A' && c <= 'Z')
                        c = (char)(c - 'A' + 'a');
                if (c == '.') {
                        if (i == label)
                                return NAME_E_LABEL;
                        label = i + 1;
                } else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
                        return NAME_E_BYTE;
                } else if (i - label == NAME_LABEL_MAX) {
                        return NAME_E_LABEL;
                }
                name[i] = c;
        }
        name[len] = 0;
        if (label == len)
                return NAME_E_LABEL;
        if (is_number(name + label))
                return NAME_E_NUMBER;
        memcpy(ret, name, len + 1);
        return NAME_OK;
}

const char *name_strerror(int error)
{
        static const char *const words[NAME_E_NR] = {
                "no mistake",
                "a name is missing",
                "a name has at most 253 letters",
                "between two dots are 1 to 63 letters",
                "a name has letters, digits, '-', '_' and dots",
                "a name beyond ASCII is written in its xn-- form",
                "neither a name nor an address: an address has four numbers from 0 to 255",
        };

        return error >= 0 && error < NAME_E_NR ? words[error] : "unknown";
}

bool name_is_below(const char *name, const char *parent)
{
        size_t n = strlen(name), p = strlen(parent);

        return n > p + 1 && name[n - p - 1] == '.' && !strcmp(name + n - p, parent);
}
