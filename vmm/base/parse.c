/*
 * Strict parsing of numbers, sizes and durations.
 * Input:  command lines and configuration files of a person.
 * Runs:   any thread.
 * Limits: 64-bit values; suggestions for words up to WORD_MAX letters.
 */
#include "vmm/base/parse.h"

#include <string.h>

#include "vmm/base/compiler.h"
#include "vmm/base/num.h"

#define WORD_MAX 32

/* Digits at the start of the text; *ret_rest behind them. */
static bool digits(const char *text, uint64_t *ret, const char **ret_rest)
{
        uint64_t v = 0;
        const char *p = text;

        for (; *p >= '0' && *p <= '9'; p++)
                if (!num_mul(v, 10, &v) || !num_add(v, (uint64_t)(*p - '0'), &v))
                        return false;
        if (p == text)
                return false;
        *ret = v;
        *ret_rest = p;
        return true;
}

bool parse_u64(const char *text, uint64_t *ret)
{
        const char *rest;
        uint64_t v;

        if (!digits(text, &v, &rest) || *rest)
                return false;
        *ret = v;
        return true;
}

bool parse_size(const char *text, uint64_t *ret_bytes)
{
        static const char units[] = "KMGT";
        const char *rest, *unit;
        uint64_t v;

        if (!digits(text, &v, &rest))
                return false;
        unit = *rest ? strchr(units, *rest >= 'a' ? *rest - 'a' + 'A' : *rest) : NULL;
        if (unit) {
                if (!num_mul(v, 1ull << 10 * (unit - units + 1), &v))
                        return false;
                rest++;
                if (*rest == 'i' && rest[1] == 'B')
                        rest++;
        }
        if (*rest == 'B')
                rest++;
        if (*rest)
                return false;
        *ret_bytes = v;
        return true;
}

bool parse_duration(const char *text, uint64_t *ret_ns)
{
        static const struct {
                const char *name;
                uint64_t ns;
        } units[] = {
                { "ns", 1 },
                { "us", 1000 },
                { "ms", 1000000 },
                { "s", 1000000000ull },
                { "m", 60000000000ull },
                { "h", 3600000000000ull },
        };
        const char *rest;
        uint64_t v;

        if (!digits(text, &v, &rest))
                return false;
        if (!*rest && !v) {
                *ret_ns = 0;
                return true;
        }
        for (unsigned i = 0; i < array_size(units); i++)
                if (!strcmp(rest, units[i].name))
                        return num_mul(v, units[i].ns, ret_ns);
        return false;
}

bool parse_bool(const char *text, bool *ret)
{
        static const char *const on[] = { "on", "yes", "true", "1" }, *const off[] = { "off", "no", "false",
                                                                                       "0" };

        for (unsigned i = 0; i < array_size(on); i++) {
                if (!strcmp(text, on[i]) || !strcmp(text, off[i])) {
                        *ret = !strcmp(text, on[i]);
                        return true;
                }
        }
        return false;
}

static unsigned least(unsigned a, unsigned b)
{
        return a < b ? a : b;
}

/* Levenshtein's distance; two neighbours that changed places are one mistake too. */
static unsigned distance(const char *a, const char *b)
{
        unsigned d[WORD_MAX + 1][WORD_MAX + 1];
        size_t la = strlen(a), lb = strlen(b);

        if (la > WORD_MAX || lb > WORD_MAX)
                return WORD_MAX;
        for (unsigned i = 0; i <= la; i++) {
                for (unsigned j = 0; j <= lb; j++) {
                        if (!i || !j) {
                                d[i][j] = i + j;
                                continue;
                        }
                        d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
                                        d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
                        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
                }
        }
        return d[la][lb];
}

const char *parse_closest(const char *text, const char *const *words)
{
        const char *best = NULL;
        unsigned best_distance = 3;

        for (; *words; words++) {
                unsigned d = distance(text, *words);

                /* A word that shares less than half with what was typed was not meant. */
                if (d < best_distance && 2 * d <= strlen(*words)) {
                        best = *words;
                        best_distance = d;
                }
        }
        return best;
}
