/*
 * Printable text.
 * Input:  bytes of a guest (hostile).
 * Runs:   any thread; pure.
 * Limits: the caller's buffer.
 */
#include "sandbox/text.h"

#include <stdbool.h>
#include <string.h>

size_t text_utf8(const char *text, size_t len, uint32_t *ret)
{
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        const unsigned char *s = (const unsigned char *)text;
        size_t n = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : s[0] >> 3 == 30 ? 4 : 0;
        uint32_t c = n == 1 ? s[0] : n ? s[0] & (0xffu >> (n + 1)) : 0;

        if (!n || n > len)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if (s[i] >> 6 != 2)
                        return 0;
                c = c << 6 | (s[i] & 0x3fu);
        }
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                return 0;
        *ret = c;
        return n;
}

static bool acts(uint32_t c)
{
        return c < ' ' || (c >= 0x7f && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
               (c >= 0x2066 && c <= 0x2069);
}

size_t text_printable(const char *text, size_t len, char *to, size_t size)
{
        size_t columns = 0, at = 0;

        for (size_t i = 0; i < len; columns++) {
                uint32_t c = 0;
                size_t n = text_utf8(text + i, len - i, &c);
                bool shown = n && !acts(c);

                if (size - at - 1 < (shown ? n : 1))
                        break;
                if (shown)
                        memcpy(to + at, text + i, n);
                else
                        to[at] = '?';
                at += shown ? n : 1;
                i += n ? n : 1;
        }
        to[at] = 0;
        return columns;
}
