/*
 * The text of a policy.
 * Input:  files and words of a person.
 * Runs:   any thread; pure.
 * Limits: POLICY_RULES_MAX, POLICY_PORTS_MAX, POLICY_TEXT_MAX.
 */
#include "net/policy_parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vmm/base/compiler.h"
#include "vmm/base/parse.h"
#include "vmm/base/toml.h"

/* A piece of a rule's text. */
struct piece {
        const char *at;
        size_t len;
};

static bool fail(struct policy_mistake *m, const char *format, ...) format_printf(2, 3);
static bool fail(struct policy_mistake *m, const char *format, ...)
{
        va_list args;

        m->line = 0;
        va_start(args, format);
        (void)vsnprintf(m->text, sizeof(m->text), format, args);
        va_end(args);
        return false;
}

#define SHOWN(p) (int)((p).len < 80 ? (p).len : 80), (p).at

static bool is_word(const struct piece *p, const char *word)
{
        return strlen(word) == p->len && !memcmp(p->at, word, p->len);
}

/* What stands before @c, and in *ret_rest what stands behind it. False without it. */
static bool cut(const struct piece *p, char c, struct piece *ret_first, struct piece *ret_rest)
{
        const char *found = memchr(p->at, c, p->len);

        if (!found)
                return false;
        *ret_rest = (struct piece){ found + 1, (size_t)(p->at + p->len - found - 1) };
        *ret_first = (struct piece){ p->at, (size_t)(found - p->at) };
        return true;
}

static bool read_number(const struct piece *p, uint64_t most, uint64_t *ret)
{
        uint64_t n = 0;

        for (size_t i = 0; i < p->len; i++) {
                if (p->at[i] < '0' || p->at[i] > '9')
                        return false;
                n = n * 10 + (uint64_t)(p->at[i] - '0');
                if (n > most)
                        return false;
        }
        *ret = n;
        return p->len;
}

static bool read_proto(struct piece *p, enum policy_proto *ret, struct policy_mistake *m)
{
        size_t len = p->len;
        struct piece word;

        *ret = POLICY_ANY;
        while (len && p->at[len - 1] != '/')
                len--;
        word = (struct piece){ p->at + len, p->len - len };
        if (!len || !word.len || (word.at[0] >= '0' && word.at[0] <= '9'))
                return true; /* no slash, or that of a range */
        for (enum policy_proto proto = POLICY_TCP; proto <= POLICY_ICMP; proto++)
                if (is_word(&word, policy_proto_text(proto)))
                        *ret = proto;
        if (*ret == POLICY_ANY)
                return fail(m, "behind the / is tcp, udp or icmp, not '%.*s'", SHOWN(word));
        p->len = len - 1;
        return true;
}

static bool read_port(const struct piece *p, uint16_t *ret, struct policy_mistake *m)
{
        uint64_t port;

        if (!read_number(p, UINT16_MAX, &port) || !port)
                return fail(m, "'%.*s' is no port: write 1 to 65535, or 80,443,8000-8010", SHOWN(*p));
        *ret = (uint16_t)port;
        return true;
}

static bool read_ports(struct piece p, struct policy_rule *r, struct policy_mistake *m)
{
        bool more = true;

        if (r->proto == POLICY_ICMP)
                return fail(m, "icmp has no ports");
        while (more) {
                struct policy_ports *ports = &r->ports[r->nr_ports];
                struct piece first, rest = { 0 }, last;

                more = cut(&p, ',', &first, &rest);
                if (!more)
                        first = p;
                p = rest;
                if (r->nr_ports == POLICY_PORTS_MAX)
                        return fail(m, "a rule has at most %u ranges of ports", POLICY_PORTS_MAX);
                last = first;
                if (cut(&first, '-', &first, &last) && !last.len)
                        return fail(m, "'%.*s-' is no range: its end is missing", SHOWN(first));
                if (!read_port(&first, &ports->first, m) || !read_port(&last, &ports->last, m))
                        return false;
                if (ports->first > ports->last)
                        return fail(m, "ports %u-%u: the smaller one comes first", ports->first, ports->last);
                r->nr_ports++;
        }
        return true;
}

/* Target and ports apart. An IPv6 address without brackets has no ports. */
static bool split(const struct piece *p, struct piece *ret_target, struct piece *ret_ports,
                  bool *ret_brackets, struct policy_mistake *m)
{
        struct piece first, rest, second;

        *ret_ports = (struct piece){ 0 };
        *ret_target = *p;
        *ret_brackets = p->len && p->at[0] == '[';
        if (*ret_brackets) {
                if (!cut(p, ']', &first, &rest))
                        return fail(m, "'%.*s': the ] is missing", SHOWN(*p));
                /* The range's length stands behind the bracket: both are needed in one piece. */
                *ret_target = (struct piece){ p->at + 1, first.len - 1 };
                if (rest.len && rest.at[0] != ':' && rest.at[0] != '/')
                        return fail(m, "'%.*s': behind the ] is / or :", SHOWN(*p));
                if (cut(&rest, ':', &first, &second)) {
                        *ret_ports = second;
                        if (!second.len)
                                return fail(m, "'%.*s': the port is missing", SHOWN(*p));
                }
                return true;
        }
        if (!cut(p, ':', &first, &rest) || memchr(rest.at, ':', rest.len))
                return true;
        if (!rest.len)
                return fail(m, "'%.*s': the port is missing", SHOWN(*p));
        *ret_target = first;
        *ret_ports = rest;
        return true;
}

static bool read_address(const struct piece *p, struct address *ret)
{
        char text[ADDRESS_TEXT_MAX];

        if (p->len >= sizeof(text) || memchr(p->at, 0, p->len))
                return false;
        memcpy(text, p->at, p->len);
        text[p->len] = 0;
        return address_from_text(text, ret);
}

/* The bits behind the prefix: a person who set some meant something else. */
static bool clear_rest(const struct address *a, unsigned prefix, struct address *ret)
{
        *ret = *a;
        for (unsigned i = prefix; i < address_bits(a); i++)
                ret->bytes[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
        return address_equal(ret, a);
}

static bool read_range(const struct piece *address, const struct piece *prefix, struct policy_rule *r,
                       struct policy_mistake *m)
{
        char text[ADDRESS_TEXT_MAX];
        struct address base;
        uint64_t n;

        if (!read_address(address, &r->address))
                return fail(m, "'%.*s' is no address", SHOWN(*address));
        if (!read_number(prefix, address_bits(&r->address), &n))
                return fail(m, "'/%.*s': a range of such addresses is /0 to /%u", SHOWN(*prefix),
                            address_bits(&r->address));
        r->prefix = (unsigned)n;
        if (clear_rest(&r->address, r->prefix, &base))
                return true;
        address_to_text(&base, text);
        return fail(m, "'%.*s/%u' is no range: did you mean %s/%u?", SHOWN(*address), r->prefix, text,
                    r->prefix);
}

static bool read_name(const struct piece *p, struct policy_rule *r, struct policy_mistake *m)
{
        bool below = p->len >= 2 && p->at[0] == '*' && p->at[1] == '.';
        struct piece name = { p->at + (below ? 2 : 0), p->len - (below ? 2 : 0) };
        int e = name_read(name.at, name.len, r->name);

        r->target = below ? POLICY_TO_BELOW : POLICY_TO_NAME;
        /* Written again as the name that it is, it would be one of the words. */
        if (e == NAME_OK && !below && (!strcmp(r->name, "host") || !strcmp(r->name, "metadata")))
                return fail(m, "'%.*s': no name; the word for it is %s", SHOWN(*p), r->name);
        if (e == NAME_OK)
                return true;
        if (below && e == NAME_E_EMPTY)
                return fail(m, "'*.': a name is missing behind it; * alone is all that is public");
        if (memchr(name.at, '*', name.len))
                return fail(m, "'%.*s': * stands alone, or as *. before a name", SHOWN(*p));
        return fail(m, "'%.*s': %s", SHOWN(*p), name_strerror(e));
}

/* @whole: with what stands behind a bracket, where the length of a range is. */
static bool read_target(const struct piece *target, const struct piece *whole, bool brackets,
                        struct policy_rule *r, struct policy_mistake *m)
{
        struct piece address = *target, prefix, behind = { 0 }, ignored;

        r->target = POLICY_TO_RANGE;
        if (brackets) {
                (void)cut(whole, ']', &ignored, &behind);
                if (behind.len && behind.at[0] == '/') {
                        prefix = (struct piece){ behind.at + 1, behind.len - 1 };
                        if (cut(&prefix, ':', &address, &ignored))
                                prefix = address;
                        return read_range(target, &prefix, r, m);
                }
        } else if (cut(target, '/', &address, &prefix)) {
                return read_range(&address, &prefix, r, m);
        }
        if (read_address(target, &r->address)) {
                r->prefix = address_bits(&r->address);
                return true;
        }
        if (brackets)
                return fail(m, "'%.*s' is no IPv6 address", SHOWN(*target));
        if (is_word(target, "*") || is_word(target, "host") || is_word(target, "metadata")) {
                r->target = target->at[0] == '*'   ? POLICY_TO_ALL
                            : target->at[0] == 'h' ? POLICY_TO_HOST
                                                   : POLICY_TO_METADATA;
                return true;
        }
        return read_name(target, r, m);
}

static bool parse_target(struct piece text, bool allow, struct policy_rule *ret, struct policy_mistake *m)
{
        struct piece target, ports;
        bool brackets;

        *ret = (struct policy_rule){ .allow = allow };
        for (size_t i = 0; i + 3 <= text.len; i++)
                if (!memcmp(text.at + i, "://", 3))
                        return fail(m, "'%.*s': write the name alone, without %.*s://", SHOWN(text), (int)i,
                                    text.at);
        if (!text.len)
                return fail(m, "what? Write a name, *.name, *, an address, a range, host or metadata");
        if (!read_proto(&text, &ret->proto, m) || !split(&text, &target, &ports, &brackets, m) ||
            !read_target(&target, &text, brackets, ret, m))
                return false;
        return !ports.len || read_ports(ports, ret, m);
}

bool policy_parse_rule(const char *text, size_t len, struct policy_rule *ret, struct policy_mistake *mistake)
{
        struct piece whole = { text, len }, verb, rest = { 0 };

        if (!cut(&whole, ' ', &verb, &rest))
                verb = whole;
        while (rest.len && rest.at[0] == ' ')
                rest = (struct piece){ rest.at + 1, rest.len - 1 };
        if (!is_word(&verb, "allow") && !is_word(&verb, "deny"))
                return fail(mistake, "'%.*s': a rule begins with allow or deny", SHOWN(whole));
        return parse_target(rest, verb.at[0] == 'a', ret, mistake);
}

bool policy_parse_mode(const char *text, enum policy_mode *ret, struct policy_mistake *mistake)
{
        for (enum policy_mode mode = POLICY_NONE; mode <= POLICY_PUBLIC; mode++) {
                if (strcmp(text, policy_mode_text(mode)))
                        continue;
                *ret = mode;
                return true;
        }
        return fail(mistake, "mode '%.80s': write none, deny, allow or public", text);
}

void policy_init(struct policy *p, enum policy_mode mode)
{
        *p = (struct policy){ .mode = mode, .connections = POLICY_CONNECTIONS_DEFAULT };
}

static bool has_room(const struct policy *p, struct policy_mistake *m)
{
        return p->nr_rules < POLICY_RULES_MAX || fail(m, "more than %u rules", POLICY_RULES_MAX);
}

bool policy_add(struct policy *p, bool allow, const char *target, struct policy_mistake *mistake)
{
        if (!has_room(p, mistake) ||
            !parse_target((struct piece){ target, strlen(target) }, allow, &p->rules[p->nr_rules], mistake))
                return false;
        p->nr_rules++;
        return true;
}

/* A file being read. */
struct reader {
        struct toml toml;
        struct policy *policy;
        struct policy_mistake *mistake;
        unsigned lines[POLICY_RULES_MAX]; /* of the rules */
        unsigned seen;                    /* keys, by their place in the table */
};

static bool fail_syntax(struct reader *r)
{
        return fail(r->mistake, "write key = \"text\", key = number, or rules = [ \"…\", … ]");
}

static bool read_rules(struct reader *r)
{
        struct policy *p = r->policy;

        if (!toml_take(&r->toml, '['))
                return fail(r->mistake, "rules is a list: rules = [ \"allow …\", \"deny …\" ]");
        for (;;) {
                char text[POLICY_RULE_TEXT_MAX];
                bool is_text;
                int e;

                if (!toml_skip_lines(&r->toml))
                        return fail(r->mistake, "the ] of the rules is missing");
                if (toml_take(&r->toml, ']'))
                        return true;
                e = toml_value(&r->toml, text, sizeof(text), &is_text);
                if (e == TOML_E_LONG)
                        return fail(r->mistake, "a rule of more than %u letters", POLICY_RULE_TEXT_MAX - 1);
                if (e || !is_text)
                        return fail(r->mistake, "a rule is a text in quotes");
                if (!has_room(p, r->mistake) ||
                    !policy_parse_rule(text, strlen(text), &p->rules[p->nr_rules], r->mistake))
                        return false;
                r->lines[p->nr_rules++] = r->toml.line;
                (void)toml_skip_lines(&r->toml);
                if (toml_take(&r->toml, ',') || (r->toml.at < r->toml.end && *r->toml.at == ']'))
                        continue;
                return fail(r->mistake, "between two rules is a comma, behind the last one a ]");
        }
}

static bool read_limit(struct reader *r, const char *name, bool is_size, uint64_t least, uint64_t most,
                       uint64_t *ret)
{
        char text[32];
        bool is_text;

        if (toml_value(&r->toml, text, sizeof(text), &is_text))
                return fail_syntax(r);
        if (!(is_size ? parse_size(text, ret) : !is_text && parse_u64(text, ret)) || *ret < least ||
            *ret > most)
                return fail(r->mistake, "%s: write %s from %llu to %llu", name,
                            is_size ? "a size such as \"10M\"," : "a number", (unsigned long long)least,
                            (unsigned long long)most);
        return true;
}

static bool read_mode(struct reader *r)
{
        char text[32];
        bool is_text;

        if (toml_value(&r->toml, text, sizeof(text), &is_text) || !is_text)
                return fail(r->mistake, "mode = \"none\", \"deny\", \"allow\" or \"public\"");
        return policy_parse_mode(text, &r->policy->mode, r->mistake);
}

static bool read_statement(struct reader *r)
{
        static const char *const keys[] = { "mode", "rules", "bytes_per_second", "connections_per_second",
                                            "connections" };
        struct policy *p = r->policy;
        struct piece word;
        unsigned k = 0;
        bool good;

        word.len = toml_word(&r->toml, &word.at);
        toml_skip_blanks(&r->toml);
        if (!word.len || !toml_take(&r->toml, '='))
                return fail_syntax(r);
        toml_skip_blanks(&r->toml);
        while (k < array_size(keys) && !is_word(&word, keys[k]))
                k++;
        if (k == array_size(keys))
                return fail(r->mistake,
                            "'%.*s' is not known: mode, rules, bytes_per_second, connections_per_second, "
                            "connections",
                            SHOWN(word));
        if (r->seen & 1u << k)
                return fail(r->mistake, "%s is said twice", keys[k]);
        r->seen |= 1u << k;
        good = k == 0   ? read_mode(r)
               : k == 1 ? read_rules(r)
               : k == 2 ? read_limit(r, keys[k], true, 0, POLICY_BYTES_MAX, &p->bytes_per_second)
               : k == 3 ? read_limit(r, keys[k], false, 0, POLICY_RATE_MAX, &p->connections_per_second)
                        : read_limit(r, keys[k], false, 1, POLICY_CONNECTIONS_MAX, &p->connections);
        return good && (toml_end_line(&r->toml) ||
                        fail(r->mistake, "something stands behind the value of %s", keys[k]));
}

bool policy_parse(const char *text, size_t len, struct policy *ret, struct policy_mistake *mistake)
{
        struct reader r = { .policy = ret, .mistake = mistake };

        policy_init(ret, POLICY_ALLOW);
        *mistake = (struct policy_mistake){ 0 };
        toml_init(&r.toml, text, len);
        while (toml_skip_lines(&r.toml)) {
                if (read_statement(&r))
                        continue;
                mistake->line = r.toml.line;
                return false;
        }
        if (!(r.seen & 1))
                return fail(mistake, "mode is missing: mode = \"deny\", \"allow\" or \"public\"");
        if (policy_check(ret, mistake))
                return true;
        mistake->line = mistake->line ? r.lines[mistake->line - 1] : 0;
        return false;
}
