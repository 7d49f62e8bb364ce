/*
 * Tables, JSON and quantities.
 * Input:  values of a command; texts in them may come from a guest (hostile).
 * Runs:   the tool's only thread.
 * Limits: CELL_MAX bytes a cell; JSON_DEPTH_MAX levels.
 */
#include "cli/out.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "sandbox/text.h"
#include "vmm/base/assert.h"
#include "vmm/base/err.h"

#define CELL_MAX       1024
#define COLUMNS_MAX    16u
#define GAP            2 /* blanks between columns */
#define JSON_DEPTH_MAX 32
#define INDENT         4u

struct cell {
        char *text;
        size_t width;
};

struct out_table {
        const struct out_column *columns;
        size_t nr, nr_cells, room;
        size_t widths[COLUMNS_MAX]; /* once all cells are there */
        struct cell *cells;
        int error;
};

int out_table_new(const struct out_column *columns, size_t nr, struct out_table **ret)
{
        struct out_table *t = calloc(1, sizeof(*t));

        ASSERT(nr <= COLUMNS_MAX);
        if (!t)
                return err_new(-ENOMEM);
        t->columns = columns;
        t->nr = nr;
        *ret = t;
        return 0;
}

void out_table_free(struct out_table *t)
{
        if (!t)
                return;
        for (size_t i = 0; i < t->nr_cells; i++)
                free(t->cells[i].text);
        free(t->cells);
        free(t);
}

static int add(struct out_table *t, const char *text, size_t width)
{
        if (t->nr_cells == t->room) {
                size_t room = t->room ? 2 * t->room : 64;
                struct cell *cells = reallocarray(t->cells, room, sizeof(*cells));

                if (!cells)
                        return err_new(-ENOMEM);
                t->cells = cells;
                t->room = room;
        }
        t->cells[t->nr_cells].text = strdup(text);
        t->cells[t->nr_cells].width = width;
        if (!t->cells[t->nr_cells].text)
                return err_new(-ENOMEM);
        t->nr_cells++;
        return 0;
}

int out_cell(struct out_table *t, const char *format, ...)
{
        char raw[CELL_MAX], text[CELL_MAX];
        va_list args;

        va_start(args, format);
        (void)vsnprintf(raw, sizeof(raw), format, args);
        va_end(args);

        size_t width = text_printable(raw, strlen(raw), text, sizeof(text));

        if (!t->error)
                t->error = add(t, text, width);
        return t->error;
}

static size_t width_of(const struct out_table *t, size_t column)
{
        size_t width = strlen(t->columns[column].name);

        for (size_t i = column; i < t->nr_cells; i += t->nr) {
                if (t->cells[i].width > width)
                        width = t->cells[i].width;
        }
        return width;
}

static void print_cell(const struct out_table *t, size_t column, const char *text, size_t width, FILE *to)
{
        size_t blanks = t->widths[column] - width;
        bool last = column + 1 == t->nr;

        if (t->columns[column].right)
                fprintf(to, "%*s%s", (int)blanks, "", text);
        else
                fprintf(to, "%s%*s", text, last ? 0 : (int)blanks, "");
        fprintf(to, last ? "\n" : "%*s", GAP, "");
}

int out_table_print(struct out_table *t, FILE *to)
{
        ASSERT(t->nr);
        if (t->error)
                return err_trace(t->error);
        for (size_t i = 0; i < t->nr; i++)
                t->widths[i] = width_of(t, i);
        for (size_t i = 0; i < t->nr; i++)
                print_cell(t, i, t->columns[i].name, strlen(t->columns[i].name), to);
        for (size_t i = 0; i < t->nr_cells; i++)
                print_cell(t, i % t->nr, t->cells[i].text, t->cells[i].width, to);
        return 0;
}

static void put_string(FILE *to, const char *s)
{
        const char *end = s + strlen(s);

        putc('"', to);
        while (s < end) {
                uint32_t c = 0xfffd;
                size_t n = text_utf8(s, (size_t)(end - s), &c);

                if (c == '"' || c == '\\')
                        fprintf(to, "\\%c", (int)c);
                else if (n && c >= ' ' && c != 0x7f)
                        fwrite(s, 1, n, to);
                else
                        fprintf(to, "\\u%04x", (unsigned)c);
                s += n ? n : 1;
        }
        putc('"', to);
}

static void json_next_line(const struct out_json *j)
{
        if (j->indented)
                fprintf(j->to, "\n%*s", (int)(INDENT * j->depth), "");
}

static void json_begin(struct out_json *j, const char *key)
{
        if (j->filled & 1u << j->depth)
                putc(',', j->to);
        j->filled |= 1u << j->depth;
        if (j->depth)
                json_next_line(j);
        if (key) {
                put_string(j->to, key);
                fputs(j->indented ? ": " : ":", j->to);
        }
}

void out_json_open(struct out_json *j, const char *key, char bracket)
{
        json_begin(j, key);
        putc(bracket, j->to);
        ASSERT(j->depth + 1 < JSON_DEPTH_MAX);
        j->depth++;
        j->filled &= ~(1u << j->depth);
}

void out_json_close(struct out_json *j, char bracket)
{
        bool empty = !(j->filled & 1u << j->depth);

        ASSERT(j->depth);
        j->depth--;
        if (!empty)
                json_next_line(j);
        putc(bracket, j->to);
        if (!j->depth)
                j->filled = 0;
}

void out_json_text(struct out_json *j, const char *key, const char *text)
{
        json_begin(j, key);
        if (text)
                put_string(j->to, text);
        else
                fputs("null", j->to);
}

void out_json_number(struct out_json *j, const char *key, uint64_t value)
{
        json_begin(j, key);
        fprintf(j->to, "%llu", (unsigned long long)value);
}

void out_json_bool(struct out_json *j, const char *key, bool value)
{
        json_begin(j, key);
        fputs(value ? "true" : "false", j->to);
}

const char *out_size(char word[static OUT_WORD], uint64_t bytes)
{
        static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
        unsigned u = 0;
        uint64_t tenths = bytes;

        for (; tenths >= 1024 && u + 1 < array_size(units); u++)
                tenths /= 1024;
        if (u) /* tenths of the unit, rounded down: never more than there is */
                tenths = bytes / (1ull << 10 * (u - 1)) * 10 / 1024;
        if (!u || tenths >= 1000)
                snprintf(word, OUT_WORD, "%llu %s", (unsigned long long)(u ? tenths / 10 : tenths), units[u]);
        else
                snprintf(word, OUT_WORD, "%llu.%llu %s", (unsigned long long)(tenths / 10),
                         (unsigned long long)(tenths % 10), units[u]);
        return word;
}

const char *out_duration(char word[static OUT_WORD], uint64_t ns)
{
        static const struct {
                uint64_t s;
                const char *name;
        } units[] = { { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
        uint64_t s = ns / 1000000000;

        for (size_t i = 0; i < array_size(units); i++) {
                uint64_t n = s / units[i].s;

                /* Two of the largest unit, as docker has it: 90 minutes are no hour. */
                if (n >= 2 || units[i].s == 1) {
                        snprintf(word, OUT_WORD, "%llu %s%s", (unsigned long long)n, units[i].name,
                                 n == 1 ? "" : "s");
                        break;
                }
        }
        return word;
}

const char *out_time(char word[static OUT_WORD], uint64_t ns)
{
        time_t s = (time_t)(ns / 1000000000);
        struct tm tm;

        if (!gmtime_r(&s, &tm) || !strftime(word, OUT_WORD, "%Y-%m-%dT%H:%M:%SZ", &tm))
                snprintf(word, OUT_WORD, "?");
        return word;
}

bool out_has_colours(FILE *to)
{
        const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

        return !(none && *none) && term && strcmp(term, "dumb") && isatty(fileno(to));
}
