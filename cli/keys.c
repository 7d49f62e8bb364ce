/*
 * Detach keys.
 * Input:  the option's text and what is typed (the user).
 * Runs:   the tool's only thread; pure.
 * Limits: KEYS_MAX keys.
 */
#include "cli/keys.h"

#include <string.h>

/* One key at *text, which moves behind it. */
static bool take_key(const char **text, uint8_t *ret)
{
        const char *at = *text;
        bool ctrl = !strncmp(at, "ctrl-", 5);
        char c = at[ctrl ? 5 : 0];
        bool small = c >= 'a' && c <= 'z';

        if (ctrl && !small && !(c && strchr("@[\\]^_", c)))
                return false;
        if (!ctrl && !small && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
                return false;
        *ret = (uint8_t)(ctrl ? c & 0x1f : c);
        *text = at + (ctrl ? 6 : 1);
        return true;
}

bool keys_parse(const char *text, struct keys *ret)
{
        struct keys keys = { 0 };

        while (*text) {
                if (keys.nr == KEYS_MAX || !take_key(&text, &keys.sequence[keys.nr++]))
                        return false;
                if (*text && (*text++ != ',' || !*text))
                        return false;
        }
        *ret = keys;
        return true;
}

/* The longest beginning of the sequence that what is held and @c end with; the rest is passed on. */
static size_t press(struct keys *k, uint8_t c, uint8_t *to)
{
        uint8_t typed[KEYS_MAX + 1];
        size_t n = k->held + 1, keep;

        memcpy(typed, k->sequence, k->held);
        typed[k->held] = c;
        for (keep = n < k->nr ? n : k->nr; keep; keep--) {
                if (!memcmp(typed + n - keep, k->sequence, keep))
                        break;
        }
        memcpy(to, typed, n - keep);
        k->held = keep;
        return n - keep;
}

size_t keys_filter(struct keys *k, const uint8_t *from, size_t n, uint8_t *to, bool *ret_detached)
{
        size_t len = 0;

        *ret_detached = false;
        for (size_t i = 0; i < n; i++) {
                if (!k->nr) {
                        to[len++] = from[i];
                        continue;
                }
                len += press(k, from[i], to + len);
                if (k->held == k->nr) {
                        *ret_detached = true;
                        break;
                }
        }
        return len;
}
